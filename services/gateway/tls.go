package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
)

// secured is the listener's certificate and the authorities of its clients, which may be
// exchanged at any time: handshakes from then on see the new ones.
type secured struct {
	clients bool // they may have certificates
	now     atomic.Pointer[credentials]
}

type credentials struct {
	config *tls.Config
	roots  map[[sha256.Size]byte]bool // by digest of the certificate
}

// files are those of the settings, in the order in which use wants them.
func (t TLS) files() []string {
	switch {
	case t.Cert == "":
		return nil
	case t.ClientCA == "":
		return []string{t.Cert, t.Key}
	}
	return []string{t.Cert, t.Key, t.ClientCA}
}

// use takes what is in the files in place of what was. What does not fit together changes
// nothing.
func (s *secured) use(files [][]byte) error {
	pair, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return fmt.Errorf("cert_file and key_file: %w", err)
	}
	c := credentials{roots: map[[sha256.Size]byte]bool{}, config: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}}
	if s.clients {
		c.config.ClientCAs, c.config.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
		for rest := files[2]; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			root, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return fmt.Errorf("client_ca_file: %w", err)
			}
			c.config.ClientCAs.AddCert(root)
			c.roots[sha256.Sum256(root.Raw)] = true
		}
		if len(c.roots) == 0 {
			return errors.New("client_ca_file holds no PEM certificate")
		}
	}
	s.now.Store(&c)
	return nil
}

// config is nil where TLS is off. Sessions are not resumed over a change, as each
// configuration has ticket keys of its own.
func (s *secured) config() *tls.Config {
	if s.now.Load() == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.now.Load().config, nil },
	}
}

// trusts reports whether clients of this root are let in now.
func (s *secured) trusts(root *x509.Certificate) bool {
	c := s.now.Load()
	return c != nil && c.roots[sha256.Sum256(root.Raw)]
}
