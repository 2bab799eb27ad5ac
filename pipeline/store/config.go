package store

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/millrace/millrace/pipeline"
)

// Config says how stores are reached. Only S3 has settings; a directory needs none,
// and the zero value reaches AWS with the credentials of the environment.
type Config struct {
	// Endpoint is "host", "host:port", or the same as an http:// or https:// URL.
	// Empty means AWS.
	Endpoint string `yaml:"endpoint" json:"endpoint"`
	// Region is the bucket's. Empty means AWS_REGION, or what AWS says the bucket's
	// is, or us-east-1 at any other endpoint.
	Region string `yaml:"region" json:"region"`
	// PathStyle puts the bucket into the path of requests, not into the host name.
	// AWS wants it in the host, most other servers in the path; the endpoint
	// decides, unless this is set.
	PathStyle bool `yaml:"path_style" json:"path_style"`
	// Insecure speaks plain HTTP. An http:// endpoint asks for it too.
	Insecure bool `yaml:"insecure" json:"insecure"`
	// AccessKey, SecretKey and SessionToken are used before all other credentials.
	// Without them: the environment (AWS_ACCESS_KEY_ID and so on), the files of the
	// AWS tools, then web identity, container and instance roles.
	AccessKey    string          `yaml:"access_key" json:"access_key"`
	SecretKey    pipeline.Secret `yaml:"secret_key" json:"secret_key"`
	SessionToken pipeline.Secret `yaml:"session_token" json:"session_token"`
	// Profile of the AWS files; empty means AWS_PROFILE, or "default".
	Profile string `yaml:"profile" json:"profile"`
	// Anonymous sends no credentials. Never inferred.
	Anonymous bool `yaml:"anonymous" json:"anonymous"`
	// CACert is a PEM file of certificates to trust besides the system's.
	CACert string `yaml:"ca_cert" json:"ca_cert"`
	// CreateBucket makes the bucket if there is none.
	CreateBucket bool `yaml:"create_bucket" json:"create_bucket"`
	// PartSize is the size, in bytes, from which on an object is sent in parts, and
	// that of a part: 16 to 64 MiB. 0 means 32 MiB.
	PartSize int64 `yaml:"part_size" json:"part_size"`
	// Parts is how many parts of one object travel at a time: 1 to 16. 0 means 4.
	Parts int `yaml:"parts" json:"parts"`
	// NoChecksums leaves out the checksum headers, for servers that refuse them. What
	// was put is then read back to be verified.
	NoChecksums bool `yaml:"no_checksums" json:"no_checksums"`
}

// Validate refuses settings that can not work, by name.
func (c Config) Validate() error {
	switch {
	case (c.AccessKey == "") != !c.SecretKey.Set():
		return errors.New("access_key and secret_key: one is set without the other; set both or neither")
	case c.SessionToken.Set() && c.AccessKey == "":
		return errors.New("session_token is set without access_key and secret_key: it belongs to such a pair")
	case c.Anonymous && (c.AccessKey != "" || c.Profile != ""):
		return errors.New("anonymous is set together with access_key or profile: choose one")
	case c.PartSize != 0 && (c.PartSize < 16<<20 || c.PartSize > 64<<20):
		return fmt.Errorf("part_size is %d: it must be from %d to %d bytes (16 to 64 MiB)", c.PartSize, 16<<20, 64<<20)
	case c.Parts < 0 || c.Parts > 16:
		return fmt.Errorf("parts is %d: it must be from 1 to 16", c.Parts)
	}
	if _, _, err := c.host(); err != nil {
		return err
	}
	if c.CACert != "" {
		if _, err := os.Stat(c.CACert); err != nil {
			return fmt.Errorf("ca_cert: %w", err)
		}
	}
	return nil
}

// awsEndpoint leads to the right region's host: minio-go sees to that.
const awsEndpoint = "s3.amazonaws.com"

// host gives the endpoint without its scheme, and whether it is to be TLS.
func (c Config) host() (host string, secure bool, err error) {
	host, secure = c.Endpoint, !c.Insecure
	if host == "" {
		if c.Insecure {
			return "", false, errors.New("insecure is set without an endpoint: AWS is reached by TLS only")
		}
		return awsEndpoint, true, nil
	}
	if rest, ok := strings.CutPrefix(host, "https://"); ok {
		if c.Insecure {
			return "", false, fmt.Errorf("insecure is set, yet endpoint %q says https", c.Endpoint)
		}
		host = rest
	} else if rest, ok := strings.CutPrefix(host, "http://"); ok {
		host, secure = rest, false
	}
	host = strings.TrimSuffix(host, "/")
	if host == "" || strings.ContainsAny(host, "/?#@ ") {
		return "", false, errors.New("endpoint: want host, host:port, or an http(s):// URL of these, without path, query or credentials")
	}
	return host, secure, nil
}

func (c Config) partSize() int64 {
	if c.PartSize == 0 {
		return 32 << 20
	}
	return c.PartSize
}

func (c Config) parts() int {
	if c.Parts == 0 {
		return 4
	}
	return c.Parts
}

// region never leaves a custom endpoint without one, which spares a request that
// many servers do not answer.
func (c Config) region() string {
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

// checkBucket refuses a bucket name that S3 does not allow.
func checkBucket(name string) error {
	if err := s3utils.CheckValidBucketNameStrict(name); err != nil {
		return fmt.Errorf("the bucket %q: %w", name, err)
	}
	return nil
}
