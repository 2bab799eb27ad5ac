package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/services/gateway/identity"
)

func tokenFor(t *testing.T, tenant string, life time.Duration) (string, identity.Token) {
	t.Helper()
	secret, kept, err := identity.NewToken(tenant, []identity.Scope{identity.JobsRead}, time.Now().Add(life))
	if err != nil {
		t.Fatal(err)
	}
	return secret, kept
}

// Tokens are withdrawn and added without a restart. A file that can not be used changes
// nothing, and is told of everywhere.
func TestTokensReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := func(ts ...identity.Token) []byte {
		b, err := yaml.Marshal(ts)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, keptFirst := tokenFor(t, "acme", time.Hour)
	second, keptSecond := tokenFor(t, "acme", time.Hour)
	brief, keptBrief := tokenFor(t, "acme", 2*time.Second)
	write(list(keptFirst, keptBrief))
	r := newRig(t, func(p *Parts) { p.Config.Auth.TokensFile = path })
	good := func(step string, want map[string]bool) {
		t.Helper()
		for token, ok := range want {
			status := 404 // known, and there is no such job
			if !ok {
				status = 401
			}
			if resp, b := r.ask("GET", "/v1/jobs/x", http.NoBody, "Authorization", "Bearer "+token); resp.StatusCode != status {
				t.Errorf("%s: %d %s, want %d", step, resp.StatusCode, b, status)
			}
		}
	}
	good("at the start", map[string]bool{first: true, second: false, r.token: true})

	before := time.Now().Add(-time.Hour) // the same time and size as before would not hide it
	write(list(keptSecond, keptBrief))
	if err := os.Chtimes(path, before, before); err != nil {
		t.Fatal(err)
	}
	r.reloadOnce()
	good("withdrawn", map[string]bool{first: false, second: true, r.token: true})
	for name, broken := range map[string][]byte{
		"empty": nil, "not YAML": []byte("{{{"), "cut": list(keptFirst, keptSecond)[:60], "twice": list(keptSecond, keptSecond), "too long": []byte(strings.Repeat("#", maxReloaded+1)),
	} {
		write(broken)
		r.reloadOnce()
		good(name, map[string]bool{first: false, second: true, r.token: true})
		if s := r.stale(); !strings.Contains(s, "gateway.auth.tokens_file") {
			t.Errorf("%s: readiness says %q", name, s)
		}
	}
	resp, b := r.ask("GET", "/readyz", http.NoBody, "Authorization", "")
	if resp.StatusCode != 200 || !strings.Contains(string(b), "tokens_file") || strings.Contains(string(b), path) {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	if _, b := r.ask("GET", "/metrics", http.NoBody, "Authorization", "Bearer "+r.admin); !strings.Contains(string(b), `millrace_gateway_credentials_stale{setting="gateway.auth.tokens_file"} 1`) {
		t.Errorf("%s", b)
	}
	lines := strings.Count(r.log.String(), "can not be used")
	r.reloadOnce()
	if n := strings.Count(r.log.String(), "can not be used"); n != lines || n < 5 {
		t.Errorf("%d lines of log for five broken files, %d after one more look", lines, n)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.reloadOnce()
	good("no file", map[string]bool{second: true})
	write(list(keptFirst, keptBrief))
	r.reloadOnce()
	good("mended", map[string]bool{first: true, second: false})
	if s := r.stale(); s != "" {
		t.Errorf("mended, and readiness says %q", s)
	}
	time.Sleep(time.Until(keptBrief.Expires.Add(10 * time.Millisecond)))
	good("expired", map[string]bool{brief: false})
	write([]byte("[]\n"))
	r.reloadOnce()
	good("none", map[string]bool{first: false, r.token: true})
	if log := r.log.String(); strings.Contains(log, first) || strings.Contains(log, keptFirst.SHA256) {
		t.Error("the log has a token")
	}
}

// It looks by itself, too.
func TestReloadsByItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	secret, kept := tokenFor(t, "acme", time.Hour)
	b, _ := yaml.Marshal([]identity.Token{kept})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(p *Parts) { p.Config.Auth.TokensFile = path })
	if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if resp, _ := r.ask("GET", "/v1/jobs/x", http.NoBody, "Authorization", "Bearer "+secret); resp.StatusCode == 401 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the token was withdrawn, and is good still")
		}
	}
}

// The listener's certificate and its clients' authorities are exchanged. A client of an
// authority that is trusted no more is known no more, on its open connection too.
func TestTLSReload(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, fresh := newAuthority(t), newAuthority(t)
	oldServer, oldServerKey := old.issue(t, "")
	server, serverKey := fresh.issue(t, "")
	const id = "spiffe://example.org/ingest"
	oldClient, oldClientKey := old.issue(t, id)
	client, clientKey := fresh.issue(t, id)
	r := newRig(t, func(p *Parts) {
		p.Config.TLS = TLS{Cert: write("cert", oldServer), Key: write("key", oldServerKey), ClientCA: write("ca", old.pem())}
		p.Config.Auth = Auth{Workloads: []identity.Workload{{ID: id, Tenant: "acme", Scopes: []string{"jobs:read"}}}}
	})
	connect := func(of *authority, cert, key []byte) func() (int, error) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(of.pem())
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		cfg := &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
		transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return func() (int, error) {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", strings.Replace(r.url, "http:", "https:", 1)+"/v1/jobs/x", nil)
			resp, err := transport.RoundTrip(req)
			if err != nil {
				return 0, err
			}
			return resp.StatusCode, resp.Body.Close()
		}
	}
	open := connect(old, oldClient, oldClientKey)
	if status, err := open(); status != 404 || err != nil {
		t.Fatalf("%d %v", status, err)
	}
	// Half of a pair is no pair: the old one counts until both are there.
	write("cert", server)
	r.reloadOnce()
	if s := r.stale(); !strings.Contains(s, "gateway.tls") {
		t.Errorf("readiness says %q", s)
	}
	if status, err := connect(old, oldClient, oldClientKey)(); status != 404 || err != nil {
		t.Errorf("with half of a pair: %d %v", status, err)
	}
	write("key", serverKey)
	write("ca", append(old.pem(), fresh.pem()...))
	r.reloadOnce()
	if status, err := connect(fresh, client, clientKey)(); status != 404 || err != nil || r.stale() != "" {
		t.Errorf("with the new ones: %d %v, %s", status, err, r.stale())
	}
	if status, err := open(); status != 404 || err != nil {
		t.Errorf("with both authorities: %d %v", status, err)
	}
	write("ca", fresh.pem())
	r.reloadOnce()
	if status, err := open(); status != 401 || err != nil {
		t.Errorf("an open connection of an authority that is trusted no more: %d %v", status, err)
	}
	if status, err := connect(fresh, oldClient, oldClientKey)(); err == nil {
		t.Errorf("a new connection of such: %d", status)
	}
	write("ca", []byte("none"))
	r.reloadOnce()
	if status, err := connect(fresh, client, clientKey)(); status != 404 || err != nil {
		t.Errorf("with no authority in the file: %d %v", status, err)
	}
}

func TestTokensAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	c := DefaultConfig()
	c.Auth.TokensFile = path
	if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Gateway{cfg: c, metrics: newMetrics()}
	if _, err := g.newAuth(); !errors.Is(err, errNoTokens) {
		t.Errorf("with no token at all: %v", err)
	}
	if err := os.WriteFile(path, []byte("- id: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.newAuth(); err == nil || !strings.Contains(err.Error(), "gateway.auth.tokens_file") {
		t.Errorf("with a bad one: %v", err)
	}
}
