package source

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
)

// S3 says how s3:// objects are reached. It is a reader's identity, apart from that
// of the store which samples are written to.
type S3 struct {
	// Endpoint is "host", "host:port" or the same as a URL; empty means AWS. It never
	// comes from a message.
	Endpoint string `yaml:"endpoint"`
	// Region of the buckets. Empty means AWS_REGION, or what AWS says, or us-east-1 at
	// any other endpoint.
	Region string `yaml:"region"`
	// PathStyle puts the bucket into the path, as most servers other than AWS want it.
	PathStyle bool `yaml:"path_style"`
	// Insecure speaks plain HTTP. An http:// endpoint asks for it too.
	Insecure bool `yaml:"insecure"`
	// AccessKey, SecretKey and SessionToken come before all other credentials. Without
	// them: the environment, the AWS tools' files, then roles.
	AccessKey    string          `yaml:"access_key"`
	SecretKey    pipeline.Secret `yaml:"secret_key"`
	SessionToken pipeline.Secret `yaml:"session_token"`
	// Profile of the AWS tools' files; empty means AWS_PROFILE, or "default".
	Profile string `yaml:"profile"`
	// Anonymous sends no credentials. Never inferred.
	Anonymous bool `yaml:"anonymous"`
	// CACert is a PEM file of certificates to trust besides the system's.
	CACert string `yaml:"ca_cert"`
	// Allow lists what may be read: "bucket" or "bucket/prefix". Empty allows all that
	// the credentials allow.
	Allow []string `yaml:"allow"`
	// MaxBytes bounds one object.
	MaxBytes int64 `yaml:"max_bytes"`
	// Total bounds one attempt at an object, body included.
	Total time.Duration `yaml:"total_timeout"`
}

func (c S3) validate() error {
	switch {
	case (c.AccessKey == "") != !c.SecretKey.Set():
		return errors.New("source.s3.access_key and source.s3.secret_key: one is set without the other; set both or neither")
	case c.SessionToken.Set() && c.AccessKey == "":
		return errors.New("source.s3.session_token is set without access_key and secret_key: it belongs to such a pair")
	case c.Anonymous && (c.AccessKey != "" || c.Profile != ""):
		return errors.New("source.s3.anonymous is set together with access_key or profile: choose one")
	}
	if _, _, err := c.host(); err != nil {
		return err
	}
	for _, a := range c.Allow {
		if a == "" || strings.HasPrefix(a, "/") || strings.Contains(a, "://") {
			return fmt.Errorf("source.s3.allow has %q: want bucket or bucket/prefix", a)
		}
	}
	return nil
}

// host gives the endpoint without its scheme, and whether it is to be TLS.
func (c S3) host() (host string, secure bool, err error) {
	host, secure = c.Endpoint, !c.Insecure
	if host == "" {
		if c.Insecure {
			return "", false, errors.New("source.s3.insecure is set without an endpoint: AWS is reached by TLS only")
		}
		return "s3.amazonaws.com", true, nil
	}
	if rest, ok := strings.CutPrefix(host, "https://"); ok {
		if c.Insecure {
			return "", false, fmt.Errorf("source.s3.insecure is set, yet source.s3.endpoint %q says https", c.Endpoint)
		}
		host = rest
	} else if rest, ok := strings.CutPrefix(host, "http://"); ok {
		host, secure = rest, false
	}
	host = strings.TrimSuffix(host, "/")
	if host == "" || strings.ContainsAny(host, "/?#@ ") {
		return "", false, errors.New("source.s3.endpoint: want host, host:port, or an http(s):// URL of these, without path, query or credentials")
	}
	return host, secure, nil
}

// region never leaves a custom endpoint without one, which spares a request that
// many servers do not answer.
func (c S3) region() string {
	for _, r := range []string{c.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if r != "" {
			return r
		}
	}
	if c.Endpoint != "" {
		return "us-east-1"
	}
	return ""
}

// allows tells whether an object may be read. A prefix ends at a slash, so that
// "videos" does not allow the bucket "videos-private".
func (c S3) allows(bucket, key string) bool {
	for _, a := range c.Allow {
		b, prefix, _ := strings.Cut(a, "/")
		if b == bucket && (prefix == "" || key == prefix || strings.HasPrefix(key, strings.TrimSuffix(prefix, "/")+"/")) {
			return true
		}
	}
	return len(c.Allow) == 0
}
