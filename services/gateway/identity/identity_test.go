package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request(auth ...string) *http.Request {
	r := httptest.NewRequest("GET", "/?access_token=x", nil)
	for _, a := range auth {
		r.Header.Add("Authorization", a)
	}
	return r
}

func TestTokens(t *testing.T) {
	now := time.Now()
	secret, kept, err := NewToken("acme", []Scope{IngestWrite}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(kept); strings.Contains(string(b), secret[len(tokenMark)+13:]) {
		t.Errorf("the secret is kept: %s", b)
	}
	ts, err := NewTokens([]Token{kept}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	id, err := ts.Identify(request("bearer  " + secret))
	if err != nil || id.Tenant != "acme" || !id.May(IngestWrite) || id.May(JobsRead) || strings.Contains(fmt.Sprintf("%+v", id), secret) {
		t.Errorf("%+v, %v", id, err)
	}
	other, _, _ := NewToken("acme", []Scope{IngestWrite}, now.Add(time.Hour))
	for name, c := range map[string]struct {
		auth []string
		want error
	}{
		"none":          {nil, ErrNone},
		"basic":         {[]string{"Basic " + secret}, ErrNone},
		"two":           {[]string{"Bearer " + secret, "Bearer " + secret}, ErrNone},
		"unknown":       {[]string{"Bearer " + other}, ErrInvalid},
		"of this id":    {[]string{"Bearer " + secret[:len(tokenMark)+13] + "x"}, ErrInvalid},
		"cut":           {[]string{"Bearer " + secret[:len(secret)-1]}, ErrInvalid},
		"of other form": {[]string{"Bearer abc"}, ErrNone},
		"endless":       {[]string{"Bearer " + tokenMark + strings.Repeat("x", maxBearer)}, ErrNone},
	} {
		if id, err := ts.Identify(request(c.auth...)); !errors.Is(err, c.want) || id.Tenant != "" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if _, err := (Chain{ts}).Identify(request("Bearer abc")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a credential of no kind is %v", err)
	}
	if err := ts.Replace([]Token{kept, kept}); err == nil {
		t.Error("a list with a mistake was taken")
	}
	if _, err := ts.Identify(request("Bearer " + secret)); err != nil {
		t.Errorf("after a list with a mistake: %v", err)
	}
	if err := ts.Replace(nil); err != nil {
		t.Error(err)
	}
	if _, err := ts.Identify(request("Bearer " + secret)); !errors.Is(err, ErrInvalid) {
		t.Errorf("withdrawn: %v", err)
	}
	if err := ts.Replace([]Token{kept}); err != nil {
		t.Error(err)
	}
	now = now.Add(2 * time.Hour)
	if _, err := ts.Identify(request("Bearer " + secret)); !errors.Is(err, ErrInvalid) {
		t.Errorf("expired: %v", err)
	}
	for name, change := range map[string]func(*Token){
		"scopes": func(k *Token) { k.Scopes = []string{"root"} }, "none": func(k *Token) { k.Scopes = nil },
		"sha256": func(k *Token) { k.SHA256 = secret }, "expires": func(k *Token) { k.Expires = time.Time{} }, "tenant": func(k *Token) { k.Tenant = "" },
	} {
		k := kept
		change(&k)
		if _, err := NewTokens([]Token{k}, nil); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewTokens([]Token{kept, kept}, nil); err == nil {
		t.Error("an id twice")
	}
	if _, _, err := NewToken("acme", []Scope{Admin}, time.Now().Add(2*MaxTokenLife)); err == nil {
		t.Error("a token for ever")
	}
}

func TestCertificates(t *testing.T) {
	const listed = "spiffe://example.org/ingest"
	now, trusts := time.Now(), true
	c, err := NewCertificates([]Workload{{ID: listed, Tenant: "acme", Scopes: []string{"ingest:write"}}}, func(*x509.Certificate) bool { return trusts }, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	with := func(ca bool, uris ...string) *http.Request {
		leaf := &x509.Certificate{IsCA: ca, NotAfter: now.Add(time.Hour), Subject: pkix.Name{CommonName: listed}, DNSNames: []string{"example.org"}}
		for _, u := range uris {
			p, err := url.Parse(u)
			if err != nil {
				t.Fatal(err)
			}
			leaf.URIs = append(leaf.URIs, p)
		}
		r := request()
		r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}
		return r
	}
	if id, err := c.Identify(with(false, listed)); err != nil || id.Tenant != "acme" || id.Subject != listed {
		t.Errorf("%+v, %v", id, err)
	}
	for name, r := range map[string]*http.Request{
		"an authority": with(true, listed), "no uri": with(false), "two": with(false, listed, listed),
		"not listed": with(false, listed+"2"), "https": with(false, "https://example.org/ingest"), "query": with(false, listed+"?x=1"),
	} {
		if _, err := c.Identify(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	unverified := with(false, listed)
	unverified.TLS.VerifiedChains, unverified.TLS.PeerCertificates = nil, unverified.TLS.VerifiedChains[0]
	if _, err := c.Identify(unverified); !errors.Is(err, ErrNone) {
		t.Errorf("a certificate that nobody has verified: %v", err)
	}
	trusts = false
	if _, err := c.Identify(with(false, listed)); !errors.Is(err, ErrInvalid) {
		t.Errorf("of an authority that is trusted no more: %v", err)
	}
	trusts = true
	old := with(false, listed)
	now = now.Add(2 * time.Hour)
	if _, err := c.Identify(old); !errors.Is(err, ErrInvalid) {
		t.Errorf("expired on its connection: %v", err)
	}
	for _, id := range []string{"", "spiffe://", "spiffe://Example.org/x", "spiffe://a/x/", "spiffe://a/../x", "spiffe://a:1/x", "spiffe://u@a/x"} {
		if _, err := NewCertificates([]Workload{{ID: id, Tenant: "a", Scopes: []string{"admin"}}}, nil, nil); err == nil {
			t.Errorf("%q is taken for a SPIFFE id", id)
		}
	}
}

// issuer is an OpenID Connect issuer with one key at a time.
type issuer struct {
	*httptest.Server
	key   atomic.Pointer[jose.JSONWebKey]
	asked atomic.Int64 // for keys
	down  atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.rotate(t, "k1")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if i.down.Load() {
			w.WriteHeader(500)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":"x","token_endpoint":"x"}`, i.URL, i.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if i.down.Load() {
			w.WriteHeader(500)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Load().Public()}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) rotate(t *testing.T, id string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.key.Store(&jose.JSONWebKey{Key: k, KeyID: id, Algorithm: "ES256", Use: "sig"})
}

func (i *issuer) sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(claims)
	o, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOIDC(t *testing.T) {
	i := newIssuer(t)
	now := time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	o, err := NewOIDC(Issuer{URL: i.URL, Audience: "gateway", Algorithms: []string{"ES256"}, Subjects: map[string]string{"bob": "other"}}, client, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change ...any) map[string]any {
		c := map[string]any{"iss": i.URL, "aud": "gateway", "sub": "alice", "tenant": "acme", "scope": "openid ingest:write", "scp": []string{"jobs:read"},
			"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
		for k := 0; k < len(change); k += 2 {
			c[change[k].(string)] = change[k+1]
			if change[k+1] == nil {
				delete(c, change[k].(string))
			}
		}
		return c
	}
	signed := func(change ...any) *http.Request {
		return request("Bearer " + i.sign(t, jose.ES256, i.key.Load(), claims(change...)))
	}
	id, err := o.Identify(signed())
	if err != nil || id.Tenant != "acme" || !slices.Equal(id.Scopes, []Scope{IngestWrite, JobsRead}) {
		t.Fatalf("%+v, %v", id, err)
	}
	if id, err := o.Identify(signed("sub", "bob")); err != nil || id.Tenant != "other" {
		t.Errorf("%+v, %v", id, err)
	}
	stranger, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for name, r := range map[string]*http.Request{
		"issuer":    signed("iss", "https://evil.example"),
		"audience":  signed("aud", "other"),
		"expired":   signed("exp", now.Add(-time.Second).Unix()),
		"too long":  signed("exp", now.Add(2*time.Hour).Unix()),
		"no iat":    signed("iat", nil),
		"future":    signed("iat", now.Add(time.Hour).Unix(), "exp", now.Add(90*time.Minute).Unix()),
		"no tenant": signed("tenant", nil),
		"a number":  signed("tenant", 1),
		"stranger":  request("Bearer " + i.sign(t, jose.ES256, &jose.JSONWebKey{Key: stranger, KeyID: "k1"}, claims())),
		"HMAC":      request("Bearer " + i.sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), claims())),
		"none":      request("Bearer eyJhbGciOiJub25lIn0." + strings.Split(i.sign(t, jose.ES256, i.key.Load(), claims()), ".")[1] + "."),
	} {
		if id, err := o.Identify(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	// A new key is found when it is first used; a withdrawn one ends within the hour.
	old := i.key.Load()
	i.rotate(t, "k2")
	if _, err := o.Identify(signed()); err != nil {
		t.Errorf("a new key: %v", err)
	}
	now = now.Add(keysAge)
	if _, err := o.Identify(request("Bearer " + i.sign(t, jose.ES256, old, claims()))); !errors.Is(err, ErrInvalid) {
		t.Errorf("a withdrawn key: %v", err)
	}
	// Keys are kept while their issuer is away, up to their age.
	if _, err := o.Identify(signed()); err != nil {
		t.Fatal(err)
	}
	i.down.Store(true)
	asked := i.asked.Load()
	if _, err := o.Identify(signed()); err != nil || i.asked.Load() != asked {
		t.Errorf("with the issuer away: %v", err)
	}
	now = now.Add(keysAge)
	if _, err := o.Identify(signed()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("with old keys: %v", err)
	}
}

// Several issuers: a token is its own issuer's, for its audience, with the tenants and
// scopes that this one may give.
func TestIssuers(t *testing.T) {
	one, two, down := newIssuer(t), newIssuer(t), newIssuer(t)
	down.down.Store(true)
	now := time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	all, err := NewIssuers([]Issuer{
		{URL: one.URL, Audience: "gateway", Tenants: map[string]string{"acme": "acme"}},
		{URL: two.URL, Audience: "millrace", TenantClaim: "org", Tenants: map[string]string{"org-7": "other"}, ScopeClaim: "roles",
			Scopes: map[string][]string{"sender": {"ingest:write", "jobs:read"}}, Algorithms: []string{"ES256"}},
		{URL: down.URL, Audience: "gateway", Subjects: map[string]string{"alice": "third"}},
	}, client, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	of := func(i *issuer, change ...any) map[string]any {
		c := map[string]any{"iss": i.URL, "aud": "gateway", "sub": "alice", "tenant": "acme", "scope": "ingest:write", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		for k := 0; k < len(change); k += 2 {
			c[change[k].(string)] = change[k+1]
		}
		return c
	}
	by := func(i *issuer, claims map[string]any) *http.Request {
		return request("Bearer " + i.sign(t, jose.ES256, i.key.Load(), claims))
	}
	second := []any{"aud", "millrace", "org", "org-7", "tenant", "acme", "roles", []string{"sender", "admin"}, "scope", "admin"}
	for name, c := range map[string]struct {
		r      *http.Request
		tenant string
		scopes []Scope
	}{
		"the first":  {by(one, of(one)), "acme", []Scope{IngestWrite}},
		"the second": {by(two, of(two, second...)), "other", []Scope{IngestWrite, JobsRead}},
	} {
		if id, err := all.Identify(c.r); err != nil || id.Tenant != c.tenant || !slices.Equal(id.Scopes, c.scopes) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	for name, c := range map[string]struct {
		r    *http.Request
		want error
	}{
		"signed by another issuer":   {by(two, of(one)), ErrInvalid},
		"for another's audience":     {by(one, of(one, "aud", "millrace")), ErrInvalid},
		"with another's tenant":      {by(one, of(one, "tenant", "other")), ErrInvalid},
		"with another's claim":       {by(two, of(two, "aud", "millrace", "roles", "sender")), ErrInvalid},
		"of nobody":                  {by(one, of(one, "iss", "https://evil.example")), ErrInvalid},
		"of a list":                  {by(one, of(one, "iss", []string{one.URL, two.URL})), ErrInvalid},
		"with a slash more":          {by(one, of(one, "iss", one.URL+"/")), ErrInvalid},
		"for more than an hour":      {by(one, of(one, "exp", now.Add(61*time.Minute).Unix())), ErrInvalid},
		"of an issuer that is away":  {by(down, of(down)), ErrUnavailable},
		"that is none":               {request("Bearer a.b.c"), ErrInvalid},
		"that is base64 and nothing": {request("Bearer a.bm90aGluZw.c"), ErrInvalid},
		"of a static kind":           {request("Bearer mrt_x_y"), ErrNone},
		"that is not there":          {request(), ErrNone},
	} {
		if id, err := all.Identify(c.r); !errors.Is(err, c.want) || id.Tenant != "" {
			t.Errorf("a token %s: %+v, %v", name, id, err)
		}
	}
	if id, err := all.Identify(by(one, of(one))); err != nil {
		t.Errorf("beside one that is away: %+v, %v", id, err)
	}
	for name, list := range map[string][]Issuer{
		"twice":            {{URL: one.URL, Audience: "a", Tenants: map[string]string{"a": "a"}}, {URL: one.URL, Audience: "b", Tenants: map[string]string{"a": "a"}}},
		"no tenants":       {{URL: one.URL, Audience: "a"}, {URL: two.URL, Audience: "a", Tenants: map[string]string{"a": "a"}}},
		"no such scope":    {{URL: one.URL, Audience: "a", Scopes: map[string][]string{"x": {"root"}}}},
		"no audience":      {{URL: one.URL}},
		"not over the web": {{URL: "ftp://x", Audience: "a"}},
	} {
		if _, err := NewIssuers(list, nil, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Tokens that name keys which nobody has do not make the gateway ask their issuer without
// end, and good ones are taken all the while.
func TestIssuerIsNotFlooded(t *testing.T) {
	i := newIssuer(t)
	now := time.Now()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	o, err := NewOIDC(Issuer{URL: i.URL, Audience: "gateway"}, client, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": i.URL, "aud": "gateway", "sub": "a", "tenant": "acme", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	good := request("Bearer " + i.sign(t, jose.ES256, i.key.Load(), claims))
	if _, err := o.Identify(good); err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		bad := request("Bearer " + i.sign(t, jose.ES256, &jose.JSONWebKey{Key: stranger, KeyID: fmt.Sprint("x", n)}, claims))
		if _, err := o.Identify(bad); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnavailable) {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if n := i.asked.Load(); n > askBurst+1 {
		t.Errorf("the issuer was asked for keys %d times", n)
	}
	if _, err := o.Identify(good); err != nil {
		t.Errorf("a good token afterwards: %v", err)
	}
}

func TestOIDCSettings(t *testing.T) {
	for _, c := range []Issuer{
		{URL: "http://issuer.example", Audience: "a"}, {URL: "https://issuer.example"}, {URL: "https://u:p@issuer.example", Audience: "a"},
		{URL: "https://issuer.example", Audience: "a", Algorithms: []string{"HS256"}}, {URL: "https://issuer.example", Audience: "a", Algorithms: []string{"none"}},
	} {
		if _, err := NewOIDC(c, nil, nil); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
