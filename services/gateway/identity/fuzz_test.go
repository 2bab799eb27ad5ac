package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.yaml.in/yaml/v3"
)

// FuzzTokens: of a file of tokens that is taken, a request gets in by a secret of that digest
// alone, and with what its line says.
func FuzzTokens(f *testing.F) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	sum := sha256.Sum256([]byte("mrt_a_b"))
	line := "- {id: a, sha256: " + hex.EncodeToString(sum[:]) + ", tenant: acme, scopes: ['ingest:write'], expires: 2027-01-01T00:00:00Z}\n"
	f.Add([]byte(line), "Bearer mrt_a_b")
	f.Add([]byte(line), "bearer  mrt_a_c")
	f.Add([]byte(line+line), "Bearer mrt_a_b")
	f.Add([]byte("- {id: '', sha256: "+strings.Repeat("0", 64)+", tenant: x, scopes: [admin], expires: 2027-01-01T00:00:00Z}"), "Bearer mrt_")
	f.Add([]byte("- &a {id: a}\n- *a\n- <<: *a\n"), "")
	f.Fuzz(func(t *testing.T, file []byte, header string) {
		var list []Token
		if yaml.Unmarshal(file, &list) != nil {
			return
		}
		ts, err := NewTokens(list, func() time.Time { return now })
		if err != nil {
			return
		}
		r := request()
		r.Header["Authorization"] = []string{header}
		id, err := ts.Identify(r)
		if err != nil {
			if id.Tenant != "" || id.Scopes != nil || !errors.Is(err, ErrNone) && !errors.Is(err, ErrInvalid) {
				t.Fatalf("%+v, %v", id, err)
			}
			return
		}
		secret, _ := bearer(r)
		sum := sha256.Sum256([]byte(secret))
		at := slices.IndexFunc(list, func(k Token) bool { return "token/"+k.ID == id.Subject })
		if at < 0 || !strings.EqualFold(list[at].SHA256, hex.EncodeToString(sum[:])) || list[at].Tenant != id.Tenant || !now.Before(list[at].Expires) || len(id.Scopes) == 0 {
			t.Fatalf("%q gets in as %+v with %s", secret, id, file)
		}
	})
}

// FuzzSPIFFE: a certificate gets in by the very id that is listed.
func FuzzSPIFFE(f *testing.F) {
	f.Add("spiffe://example.org/ingest", "spiffe://example.org/ingest")
	f.Add("spiffe://example.org/ingest", "spiffe://example.org/%69ngest")
	f.Add("spiffe://example.org/a%2fb", "spiffe://example.org/a/b")
	f.Add("spiffe://a/x?", "spiffe://a/x#")
	f.Fuzz(func(t *testing.T, listed, shown string) {
		c, err := NewCertificates([]Workload{{ID: listed, Tenant: "acme", Scopes: []string{"ingest:write"}}}, func(*x509.Certificate) bool { return true }, nil)
		if err != nil {
			return
		}
		u, err := url.Parse(shown)
		if err != nil {
			return
		}
		r := request()
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{u}}}}}
		id, err := c.Identify(r)
		if (err == nil) != (u.String() == listed) {
			t.Fatalf("%q as %q, where %q is listed: %v", shown, u, listed, err)
		}
		if err == nil && (id.Subject != listed || !strings.HasPrefix(shown, "spiffe://") && !strings.EqualFold(shown[:9], "spiffe://") || strings.ContainsAny(listed, "?#@ \x00")) {
			t.Fatalf("%q gets in as %+v", shown, id)
		}
	})
}

// FuzzClaims: whatever an issuer signs, who gets in has a tenant, scopes that there are, and
// a token that was made for this service and does not live long. Signatures are go-oidc's to
// check; there is none here.
func FuzzClaims(f *testing.F) {
	const issuer, audience = "https://issuer.example", "gateway"
	now := time.Unix(1_795_000_000, 0)
	for _, seed := range []string{
		`{"iss":"https://issuer.example","aud":"gateway","sub":"alice","tenant":"acme","scope":"openid ingest:write","scp":["jobs:read"],"iat":1795000000,"exp":1795000600}`,
		`{"iss":"https://issuer.example","aud":["gateway","x"],"sub":"bob","scope":["admin",1,null],"iat":1794999000,"exp":1795000001.5}`,
		`{"iss":"https://issuer.example","aud":"gateway","sub":"alice","tenant":["acme"],"iat":1,"exp":1e300}`,
	} {
		f.Add([]byte(seed))
	}
	clock := func() time.Time { return now }
	o, err := NewOIDC(Issuer{URL: issuer, Audience: audience, Subjects: map[string]string{"bob": "other"}}, nil, clock)
	if err != nil {
		f.Fatal(err)
	}
	o.verifier, o.since = oidc.NewVerifier(issuer, nil, &oidc.Config{ClientID: audience, InsecureSkipSignatureCheck: true, Now: clock}), now
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		raw := head + "." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
		id, err := o.Identify(request("Bearer " + raw))
		if err != nil {
			if id.Tenant != "" || id.Scopes != nil || !errors.Is(err, ErrInvalid) && len(raw) <= maxBearer {
				t.Fatalf("%+v, %v", id, err)
			}
			return
		}
		token, err := o.verifier.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		if id.Tenant == "" || id.Subject != issuer+"#"+token.Subject || !slices.Contains(token.Audience, audience) || token.Expiry.Before(now) || token.Expiry.After(now.Add(maxLife+maxSkew)) {
			t.Fatalf("%s gets in as %+v until %v", claims, id, token.Expiry)
		}
		for _, s := range id.Scopes {
			if !slices.Contains(Scopes(), s) {
				t.Fatalf("%s gives the scope %q", claims, s)
			}
		}
	})
}
