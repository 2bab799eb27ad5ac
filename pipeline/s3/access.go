// Package s3 reaches S3-compatible servers: the settings, the credential chain and the
// client that the store (which writes) and the sources (which only read, under an
// identity of their own) have in common.
package s3

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/millrace/millrace/pipeline"
)

// Access says how a server is reached, and as whom. The zero value reaches AWS with the
// credentials of the environment.
type Access struct {
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
	// AWS tools, then web identity, container and instance roles. AccessKey may also be
	// file:PATH or env:NAME, as the others are; all three are read again from there
	// when the server refuses them (see [Client.Renew]).
	AccessKey    string          `yaml:"access_key" json:"access_key"`
	SecretKey    pipeline.Secret `yaml:"secret_key" json:"secret_key"`
	SessionToken pipeline.Secret `yaml:"session_token" json:"session_token"`
	// Profile of the AWS files; empty means AWS_PROFILE, or "default".
	Profile string `yaml:"profile" json:"profile"`
	// Anonymous sends no credentials. Never inferred.
	Anonymous bool `yaml:"anonymous" json:"anonymous"`
	// CACert is a PEM file of certificates to trust besides the system's.
	CACert string `yaml:"ca_cert" json:"ca_cert"`
}

// Validate refuses settings that can not work. Its errors begin with a setting's name,
// so that a caller can put its own section's name before it.
func (a Access) Validate() error {
	switch {
	case (a.AccessKey == "") != !a.SecretKey.Set():
		return errors.New("access_key and secret_key: one is set without the other; set both or neither")
	case a.SessionToken.Set() && a.AccessKey == "":
		return errors.New("session_token is set without access_key and secret_key: it belongs to such a pair")
	case a.Anonymous && (a.AccessKey != "" || a.Profile != ""):
		return errors.New("anonymous is set together with access_key or profile: choose one")
	}
	if _, _, err := a.host(); err != nil {
		return err
	}
	if a.CACert != "" {
		if _, err := os.Stat(a.CACert); err != nil {
			return fmt.Errorf("ca_cert: %w", err)
		}
	}
	return nil
}

// RegionOrDefault never leaves a custom endpoint without a region, which spares a
// request that many servers do not answer.
func (a Access) RegionOrDefault() string {
	for _, r := range []string{a.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")} {
		if r != "" {
			return r
		}
	}
	if a.Endpoint != "" {
		return "us-east-1"
	}
	return ""
}

// awsEndpoint leads to the right region's host: minio-go sees to that.
const awsEndpoint = "s3.amazonaws.com"

// host gives the endpoint without its scheme, and whether it is to be TLS.
func (a Access) host() (host string, secure bool, err error) {
	host, secure = a.Endpoint, !a.Insecure
	if host == "" {
		if a.Insecure {
			return "", false, errors.New("insecure is set without an endpoint: AWS is reached by TLS only")
		}
		return awsEndpoint, true, nil
	}
	if rest, ok := strings.CutPrefix(host, "https://"); ok {
		if a.Insecure {
			return "", false, fmt.Errorf("insecure is set, yet endpoint %q says https", a.Endpoint)
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

func (a Access) transport(secure bool) (*http.Transport, error) {
	t, err := minio.DefaultTransport(secure)
	if err != nil || a.CACert == "" {
		return t, err
	}
	pem, err := os.ReadFile(a.CACert)
	if err != nil {
		return nil, fmt.Errorf("ca_cert: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_cert: %s holds no PEM certificate", a.CACert)
	}
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return t, nil
}
