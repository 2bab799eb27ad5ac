// Package identity finds out who makes a request: by a static token, an OpenID Connect
// bearer token, or a client certificate with a SPIFFE id. What it says of a caller
// comes from the credential and the configuration, never from the request's content.
package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Scope is something that a caller may do.
type Scope string

// The scopes. They never change their meaning.
const (
	IngestWrite Scope = "ingest:write" // send jobs and media
	JobsRead    Scope = "jobs:read"    // ask what became of one's own jobs
	DLQRead     Scope = "dlq:read"     // look at one's refused jobs
	DLQReplay   Scope = "dlq:replay"   // send refused jobs again
	Admin       Scope = "admin"        // everything, and the metrics
)

// Scopes are all that there are.
func Scopes() []Scope { return []Scope{IngestWrite, JobsRead, DLQRead, DLQReplay, Admin} }

// ParseScopes reads names of scopes. An unknown one is refused.
func ParseScopes(names []string) ([]Scope, error) {
	var out []Scope
	for _, n := range names {
		s := Scope(strings.TrimSpace(n))
		if !slices.Contains(Scopes(), s) {
			return nil, fmt.Errorf("%q is no scope: known are %v", n, Scopes())
		}
		out = append(out, s)
	}
	return out, nil
}

// Identity is a caller.
type Identity struct {
	// Tenant is whose jobs it sends and sees.
	Tenant string
	// Subject names the credential for logs: a token's id, a SPIFFE id, or issuer and
	// subject. It is no secret.
	Subject string
	// Method is "token", "oidc", "mtls" or "none".
	Method string
	Scopes []Scope
}

// May reports whether the caller has a scope.
func (i Identity) May(s Scope) bool {
	return slices.Contains(i.Scopes, s) || slices.Contains(i.Scopes, Admin)
}

// Errors of an Authenticator. Their texts hold nothing of the credential.
var (
	// ErrNone says that a request carries no credential of the authenticator's kind.
	ErrNone = errors.New("the request carries no credential: send Authorization: Bearer TOKEN, or a client certificate")
	// ErrInvalid says that the credential is wrong, expired or unknown.
	ErrInvalid = errors.New("the credential is not valid: it may be mistyped, expired, revoked or made for another service")
	// ErrUnavailable says that it can not be checked at the moment.
	ErrUnavailable = errors.New("the credential can not be checked now, as its issuer does not answer: try again")
)

// Authenticator finds the caller of a request. Safe for concurrent use.
type Authenticator interface {
	// Identify returns ErrNone where the request has no credential of this kind, or an
	// error that wraps ErrInvalid or ErrUnavailable.
	Identify(r *http.Request) (Identity, error)
}

// Chain asks its members in turn: the first that finds a credential of its kind
// decides.
type Chain []Authenticator

// Identify implements Authenticator.
func (c Chain) Identify(r *http.Request) (Identity, error) {
	for _, a := range c {
		id, err := a.Identify(r)
		if !errors.Is(err, ErrNone) {
			return id, err
		}
	}
	if _, ok := bearer(r); ok { // of no kind that is known here
		return Identity{}, ErrInvalid
	}
	return Identity{}, ErrNone
}

// Anyone takes every caller for one tenant with all scopes. It is for loopback only.
type Anyone struct{ Tenant string }

// Identify implements Authenticator.
func (a Anyone) Identify(*http.Request) (Identity, error) {
	return Identity{Tenant: a.Tenant, Subject: "anyone", Method: "none", Scopes: []Scope{Admin}}, nil
}

// maxBearer bounds a bearer token, in bytes.
const maxBearer = 16 << 10

// bearer is the token of an Authorization header (RFC 6750, section 2.1). Tokens in
// forms and queries are not looked at: they end up in logs.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > maxBearer {
		return "", false
	}
	return token, true
}

type contextKey struct{}

// With puts the caller into a request's context.
func With(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// From is the caller that With put there; false if there is none.
func From(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(contextKey{}).(Identity)
	return id, ok
}
