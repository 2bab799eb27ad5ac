package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Token is a static token as it is kept: its secret is there as a digest only. The
// secret has 260 random bits, so a fast digest is enough: there is nothing to guess.
type Token struct {
	// ID is the token's public part, by which it is looked up, and named in logs.
	ID string `yaml:"id" json:"id"`
	// SHA256 is the digest of the whole token, in hex.
	SHA256  string    `yaml:"sha256" json:"sha256"`
	Tenant  string    `yaml:"tenant" json:"tenant"`
	Scopes  []string  `yaml:"scopes" json:"scopes"`
	Expires time.Time `yaml:"expires" json:"expires"`
}

// tokenMark begins every token, so that scanners of leaked secrets can know them.
const tokenMark = "mrt_"

// MaxTokenLife bounds how long a token may be good for.
const MaxTokenLife = 400 * 24 * time.Hour

// NewToken makes a token for a tenant. The secret is what the caller sends; it can not
// be had again.
func NewToken(tenant string, scopes []Scope, expires time.Time) (secret string, t Token, err error) {
	if tenant == "" || len(scopes) == 0 {
		return "", Token{}, errors.New("a token needs a tenant and at least one scope")
	}
	if life := time.Until(expires); life <= 0 || life > MaxTokenLife {
		return "", Token{}, fmt.Errorf("a token expires within %d days from now", int(MaxTokenLife.Hours()/24))
	}
	id := strings.ToLower(rand.Text()[:12])
	secret = tokenMark + id + "_" + rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	t = Token{ID: id, SHA256: hex.EncodeToString(sum[:]), Tenant: tenant, Expires: expires.UTC().Truncate(time.Second)}
	for _, s := range scopes {
		t.Scopes = append(t.Scopes, string(s))
	}
	return secret, t, nil
}

// Tokens knows callers by static tokens.
type Tokens struct {
	byID atomic.Pointer[map[string]known]
	now  func() time.Time
}

type known struct {
	sum     [sha256.Size]byte
	caller  Identity
	expires time.Time
}

// NewTokens makes an authenticator of tokens. now may be nil.
func NewTokens(list []Token, now func() time.Time) (*Tokens, error) {
	if now == nil {
		now = time.Now
	}
	ts := &Tokens{now: now}
	return ts, ts.Replace(list)
}

// Replace takes a list in place of the one before: a token that is not on it ends at
// once. A list with a mistake in it changes nothing. It may be called at any time.
func (ts *Tokens) Replace(list []Token) error {
	byID := map[string]known{}
	for i, t := range list {
		scopes, err := ParseScopes(t.Scopes)
		sum, herr := hex.DecodeString(t.SHA256)
		switch {
		case t.ID == "" || t.Tenant == "" || len(scopes) == 0 && err == nil:
			err = errors.New("it needs id, tenant and scopes")
		case herr != nil || len(sum) != sha256.Size:
			err = errors.New("its sha256 is not 64 hexadecimal digits; make tokens with `millrace gateway token`")
		case t.Expires.IsZero():
			err = errors.New("it has no expires")
		case byID[t.ID].caller.Tenant != "":
			err = errors.New("its id stands twice")
		}
		if err != nil {
			return fmt.Errorf("token %d (%.20q): %w", i+1, t.ID, err)
		}
		k := known{expires: t.Expires, caller: Identity{Tenant: t.Tenant, Subject: "token/" + t.ID, Method: "token", Scopes: scopes}}
		copy(k.sum[:], sum)
		byID[t.ID] = k
	}
	ts.byID.Store(&byID)
	return nil
}

// Identify implements Authenticator.
func (ts *Tokens) Identify(r *http.Request) (Identity, error) {
	secret, ok := bearer(r)
	rest, ours := strings.CutPrefix(secret, tokenMark)
	if !ok || !ours {
		return Identity{}, ErrNone
	}
	id, _, _ := strings.Cut(rest, "_")
	// An id that nobody has is compared too, with what no token digests to, so that
	// both take the same time.
	k := (*ts.byID.Load())[id]
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(sum[:], k.sum[:]) != 1 || k.caller.Tenant == "" || !ts.now().Before(k.expires) {
		return Identity{}, ErrInvalid
	}
	return k.caller, nil
}
