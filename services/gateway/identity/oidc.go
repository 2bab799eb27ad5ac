package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// Issuer is an OpenID Connect issuer whose tokens are taken.
type Issuer struct {
	// URL is the issuer, as its tokens name it. Its keys are found by discovery.
	URL string `yaml:"url" json:"url"`
	// Audience is what tokens for this gateway are made for.
	Audience string `yaml:"audience" json:"audience"`
	// Algorithms that signatures may have. Empty means RS256 and ES256.
	Algorithms []string `yaml:"algorithms" json:"algorithms"`
	// TenantClaim names the claim that is the tenant. Empty means "tenant".
	TenantClaim string `yaml:"tenant_claim" json:"tenant_claim"`
	// Tenants gives a tenant to a value of the claim; other values are none. Empty takes the
	// value as it is, which only a single issuer may do: of several, none may speak for
	// another's tenants.
	Tenants map[string]string `yaml:"tenants" json:"tenants"`
	// Subjects gives a tenant to a subject; it wins over the claim.
	Subjects map[string]string `yaml:"subjects" json:"subjects"`
	// ScopeClaim names the claim that has the scopes, as text with spaces or as a list.
	// Empty means "scope" and "scp".
	ScopeClaim string `yaml:"scope_claim" json:"scope_claim"`
	// Scopes gives scopes to a value of it, a role perhaps; other values give none. Empty
	// takes the scopes' own names.
	Scopes map[string][]string `yaml:"scopes" json:"scopes"`
}

const (
	maxLife      = time.Hour       // of a token
	maxSkew      = time.Minute     // between the issuer's clock and ours
	keysAge      = time.Hour       // after which keys are fetched anew, so that a withdrawn one ends
	discoverEach = 5 * time.Second // at most, where the issuer does not answer
	issuerWait   = 10 * time.Second
	maxAnswer    = 1 << 20 // of an issuer
	// An issuer is asked at most askBurst times at once and then every askEach: tokens that
	// name keys which nobody knows cost their senders nothing.
	askEach  = 5 * time.Second
	askBurst = 10
)

// Issuers knows callers by signed bearer tokens of several issuers. A token is held
// against the issuer that it names, and no other.
type Issuers map[string]*OIDC

// NewIssuers makes an authenticator. client and now may be nil.
func NewIssuers(list []Issuer, client *http.Client, now func() time.Time) (Issuers, error) {
	all := Issuers{}
	for _, i := range list {
		if all[i.URL] != nil {
			return nil, fmt.Errorf("the issuer %.100s stands twice", i.URL)
		}
		if len(list) > 1 && len(i.Tenants)+len(i.Subjects) == 0 {
			return nil, fmt.Errorf("the issuer %.100s has no tenants: of several issuers each says whose tokens it may give out", i.URL)
		}
		o, err := NewOIDC(i, client, now)
		if err != nil {
			return nil, err
		}
		o.mapped = len(list) > 1 || len(i.Tenants) > 0
		all[i.URL] = o
	}
	return all, nil
}

// Identify implements Authenticator. What a token says of its issuer is not believed: it
// only chooses whose keys it must be signed with.
func (all Issuers) Identify(r *http.Request) (Identity, error) {
	raw, ok := bearer(r)
	if !ok || strings.Count(raw, ".") != 2 {
		return Identity{}, ErrNone
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[1])
	if err != nil {
		return Identity{}, ErrInvalid
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return Identity{}, ErrInvalid
	}
	o := all[c.Issuer]
	if o == nil {
		return Identity{}, fmt.Errorf("%w (its issuer is not one of gateway.auth.oidc)", ErrInvalid)
	}
	return o.Identify(r)
}

// OIDC knows callers by signed bearer tokens of one issuer.
type OIDC struct {
	cfg  Issuer
	now  func() time.Time
	http *http.Client
	// mapped: the claim's value is no tenant by itself.
	mapped bool

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	since    time.Time // of verifier
	tried    time.Time // the last discovery that failed
}

// NewOIDC makes an authenticator. It asks the issuer for nothing yet: one that is away
// must not keep the gateway from starting. client and now may be nil.
func NewOIDC(cfg Issuer, client *http.Client, now func() time.Time) (*OIDC, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "https" && !loopback(u) || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("the issuer's url is %.100q: want https://host/path", cfg.URL)
	}
	if cfg.Audience == "" {
		return nil, fmt.Errorf("the issuer %s has no audience: tokens that were made for other services would be taken", cfg.URL)
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{oidc.RS256, oidc.ES256}
	}
	known := []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}
	for _, a := range cfg.Algorithms {
		if !slices.Contains(known, a) {
			return nil, fmt.Errorf("the algorithm %.20q of issuer %s is not one of %v", a, cfg.URL, known)
		}
	}
	if cfg.TenantClaim == "" {
		cfg.TenantClaim = "tenant"
	}
	for value, names := range cfg.Scopes {
		if _, err := ParseScopes(names); err != nil {
			return nil, fmt.Errorf("the scopes of %.40q of issuer %s: %w", value, cfg.URL, err)
		}
	}
	if now == nil {
		now = time.Now
	}
	if client == nil {
		client = &http.Client{Timeout: issuerWait}
	}
	bounded := *client
	bounded.Transport = boundedAnswers{client.Transport, rate.NewLimiter(rate.Every(askEach), askBurst)}
	return &OIDC{cfg: cfg, now: now, http: &bounded, mapped: len(cfg.Tenants) > 0}, nil
}

func loopback(u *url.URL) bool {
	return u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
}

// Identify implements Authenticator.
func (o *OIDC) Identify(r *http.Request) (Identity, error) {
	raw, ok := bearer(r)
	if !ok || strings.Count(raw, ".") != 2 {
		return Identity{}, ErrNone
	}
	v, err := o.current(r.Context())
	if err != nil {
		return Identity{}, err
	}
	t, err := v.Verify(r.Context(), raw)
	if err != nil {
		if isNetwork(err) {
			return Identity{}, ErrUnavailable
		}
		return Identity{}, ErrInvalid
	}
	if t.IssuedAt.IsZero() || t.IssuedAt.After(o.now().Add(maxSkew)) || t.Expiry.Sub(t.IssuedAt) > maxLife {
		return Identity{}, fmt.Errorf("%w (it needs iat, and exp within an hour of it)", ErrInvalid)
	}
	return o.caller(t)
}

// caller reads the claims that say who it is.
func (o *OIDC) caller(t *oidc.IDToken) (Identity, error) {
	claims := map[string]any{}
	if err := t.Claims(&claims); err != nil {
		return Identity{}, ErrInvalid
	}
	tenant, ok := o.cfg.Subjects[t.Subject]
	if !ok {
		tenant, _ = claims[o.cfg.TenantClaim].(string)
		if o.mapped {
			tenant = o.cfg.Tenants[tenant]
		}
	}
	if tenant == "" {
		return Identity{}, fmt.Errorf("%w (it names no tenant)", ErrInvalid)
	}
	return Identity{Tenant: tenant, Subject: t.Issuer + "#" + t.Subject, Method: "oidc", Scopes: o.scopes(claims)}, nil
}

// scopes are those that the claims give; what is not known is for other services.
func (o *OIDC) scopes(claims map[string]any) (out []Scope) {
	from := []string{"scope", "scp"} // RFC 8693, section 4.2, and what others do
	if o.cfg.ScopeClaim != "" {
		from = []string{o.cfg.ScopeClaim}
	}
	for _, claim := range from {
		var names []string
		switch s := claims[claim].(type) {
		case string:
			names = strings.Fields(s)
		case []any:
			names = texts(s)
		}
		for _, n := range names {
			given := []string{n}
			if len(o.cfg.Scopes) > 0 {
				given = o.cfg.Scopes[n]
			}
			for _, g := range given {
				if s := Scope(g); slices.Contains(Scopes(), s) && !slices.Contains(out, s) {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

func texts(list []any) (out []string) {
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// current is the verifier, made anew once an hour. Between, go-oidc fetches keys only
// for a key id that it does not know, one request at a time.
func (o *OIDC) current(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if o.verifier != nil && now.Sub(o.since) < keysAge {
		return o.verifier, nil
	}
	if now.Sub(o.tried) < discoverEach {
		return nil, ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuerWait)
	defer cancel()
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, o.http), o.cfg.URL)
	if err != nil {
		o.tried, o.verifier = now, nil // keys whose age is past the limit are not used on
		return nil, fmt.Errorf("%w: discovery of %s failed", ErrUnavailable, o.cfg.URL)
	}
	o.verifier = p.VerifierContext(oidc.ClientContext(context.Background(), o.http), &oidc.Config{
		ClientID: o.cfg.Audience, SupportedSigningAlgs: o.cfg.Algorithms, Now: o.now,
	})
	o.since = now
	return o.verifier, nil
}

// isNetwork tells a failure to fetch keys from a bad signature.
func isNetwork(err error) bool {
	var u *url.Error
	return errors.As(err, &u) || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "fetching keys")
}

// boundedAnswers keeps an issuer from answering without end, and from being asked without
// end.
type boundedAnswers struct {
	next http.RoundTripper
	asks *rate.Limiter
}

var errAskedEnough = errors.New("fetching keys: the issuer was asked often enough for now")

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	if !b.asks.Allow() {
		return nil, errAskedEnough
	}
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	resp, err := next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}
