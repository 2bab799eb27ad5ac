package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Workload is what a SPIFFE id stands for.
type Workload struct {
	// ID is the whole SPIFFE id: spiffe://trust-domain/path.
	ID     string   `yaml:"id" json:"id"`
	Tenant string   `yaml:"tenant" json:"tenant"`
	Scopes []string `yaml:"scopes" json:"scopes"`
}

// Certificates knows callers by client certificates that the TLS layer has verified.
type Certificates struct {
	byID    map[string]Identity
	trusted func(*x509.Certificate) bool
	now     func() time.Time
}

// NewCertificates makes an authenticator of workloads. trusted says of a root whether it
// is one still: connections may outlive it. now may be nil.
func NewCertificates(list []Workload, trusted func(root *x509.Certificate) bool, now func() time.Time) (*Certificates, error) {
	if now == nil {
		now = time.Now
	}
	c := &Certificates{byID: map[string]Identity{}, trusted: trusted, now: now}
	for i, w := range list {
		scopes, err := ParseScopes(w.Scopes)
		if err == nil && (w.Tenant == "" || len(scopes) == 0) {
			err = errors.New("it needs a tenant and scopes")
		}
		u, uerr := url.Parse(w.ID)
		if err == nil && (uerr != nil || !isSPIFFE(u) || u.String() != w.ID) {
			err = errors.New("its id is not a SPIFFE id such as spiffe://example.org/ingest")
		}
		if _, twice := c.byID[w.ID]; err == nil && twice {
			err = errors.New("its id stands twice")
		}
		if err != nil {
			return nil, fmt.Errorf("workload %d (%.100q): %w", i+1, w.ID, err)
		}
		c.byID[w.ID] = Identity{Tenant: w.Tenant, Subject: w.ID, Method: "mtls", Scopes: scopes}
	}
	return c, nil
}

// Identify implements Authenticator. Only chains that TLS has verified count.
func (c *Certificates) Identify(r *http.Request) (Identity, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Identity{}, ErrNone
	}
	if _, ok := bearer(r); ok { // a proxy's certificate must not hide who is behind it
		return Identity{}, ErrNone
	}
	if !slices.ContainsFunc(r.TLS.VerifiedChains, c.good) {
		return Identity{}, fmt.Errorf("%w (its certificate has expired, or its authority is trusted no more)", ErrInvalid)
	}
	id, err := spiffeID(r.TLS.VerifiedChains[0][0])
	if err != nil {
		return Identity{}, fmt.Errorf("%w (%v)", ErrInvalid, err)
	}
	caller, ok := c.byID[id]
	if !ok {
		return Identity{}, fmt.Errorf("%w (its SPIFFE id is not listed)", ErrInvalid)
	}
	return caller, nil
}

// good reports whether a chain that was good when its connection began is so still.
func (c *Certificates) good(chain []*x509.Certificate) bool {
	now := c.now()
	return c.trusted(chain[len(chain)-1]) && !slices.ContainsFunc(chain, func(x *x509.Certificate) bool { return now.After(x.NotAfter) })
}

// spiffeID is the id of an X.509-SVID: a leaf with exactly one URI as its alternative
// name (SPIFFE X.509-SVID, sections 2 and 4).
func spiffeID(leaf *x509.Certificate) (string, error) {
	switch {
	case leaf.IsCA:
		return "", errors.New("the certificate is an authority's, not a leaf")
	case len(leaf.URIs) != 1:
		return "", fmt.Errorf("the certificate has %d URIs as alternative names; a SPIFFE certificate has one", len(leaf.URIs))
	case !isSPIFFE(leaf.URIs[0]):
		return "", errors.New("the certificate's URI is not a SPIFFE id")
	}
	return leaf.URIs[0].String(), nil
}

// isSPIFFE holds a URI against the SPIFFE ID standard, section 2.
func isSPIFFE(u *url.URL) bool {
	if u.Scheme != "spiffe" || u.Host == "" || u.Port() != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(u.String()) > 2048 {
		return false
	}
	if u.Host != strings.ToLower(u.Host) || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return false
	}
	for part := range strings.SplitSeq(u.Path[1:], "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}
