package queue

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/millrace/millrace/pipeline"
)

// TLS says how connections to the brokers are secured.
type TLS struct {
	Enabled bool `yaml:"enabled" json:"enabled"`
	// CA is a PEM file of authorities to trust instead of the system's.
	CA string `yaml:"ca_file,omitempty" json:"ca_file,omitempty"`
	// Cert and Key are PEM files of this client's own certificate (mTLS).
	Cert string `yaml:"cert_file,omitempty" json:"cert_file,omitempty"`
	Key  string `yaml:"key_file,omitempty" json:"key_file,omitempty"`
	// ServerName is the name to expect in the brokers' certificates, where it is
	// not the host of their addresses.
	ServerName string `yaml:"server_name,omitempty" json:"server_name,omitempty"`
}

func (t TLS) validate() error {
	switch {
	case (t.Cert == "") != (t.Key == ""):
		return fmt.Errorf("queue.tls.cert_file and queue.tls.key_file go together: give both or neither")
	case !t.Enabled && (t.CA != "" || t.Cert != "" || t.ServerName != ""):
		return fmt.Errorf("queue.tls has settings, but queue.tls.enabled is false: set it, or drop them")
	}
	return nil
}

// config returns nil where TLS is off.
func (t TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("queue.tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("queue.tls.ca_file %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("queue.tls.cert_file and key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// SASL says how this client proves who it is.
type SASL struct {
	// Mechanism is "" (none), "plain", "scram-sha-256" or "scram-sha-512".
	Mechanism string          `yaml:"mechanism,omitempty" json:"mechanism,omitempty"`
	Username  string          `yaml:"username,omitempty" json:"username,omitempty"`
	Password  pipeline.Secret `yaml:"password,omitempty" json:"password,omitempty"`
}

func (s SASL) validate(tls bool) error {
	switch s.Mechanism {
	case "":
		if s.Username != "" || s.Password.Set() {
			return fmt.Errorf("queue.sasl has a user or a password, but no queue.sasl.mechanism: give plain, scram-sha-256 or scram-sha-512")
		}
		return nil
	case "plain":
		if !tls {
			return fmt.Errorf("queue.sasl.mechanism plain sends the password as it is: set queue.tls.enabled, or use scram-sha-512")
		}
	case "scram-sha-256", "scram-sha-512":
	default:
		return fmt.Errorf("queue.sasl.mechanism %q is not one of plain, scram-sha-256, scram-sha-512", s.Mechanism)
	}
	if s.Username == "" || !s.Password.Set() {
		return fmt.Errorf("queue.sasl.mechanism %s needs queue.sasl.username and queue.sasl.password", s.Mechanism)
	}
	return nil
}

// mechanism returns nil where there is none.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "plain":
		return plain.Mechanism{Username: s.Username, Password: s.Password.Reveal()}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, s.Username, s.Password.Reveal())
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, s.Username, s.Password.Reveal())
	}
	return nil, nil
}
