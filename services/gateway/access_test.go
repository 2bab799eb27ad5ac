package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/services/gateway/identity"
)

func TestAccess(t *testing.T) {
	r := newRig(t, func(p *Parts) {
		secret, kept, err := identity.NewToken("nobody", []identity.Scope{identity.Admin}, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		p.Config.Auth.Tokens = append(p.Config.Auth.Tokens, kept)
		t.Setenv("NOBODY", secret)
		writer, kept, err := identity.NewToken("acme", []identity.Scope{identity.IngestWrite}, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		p.Config.Auth.Tokens = append(p.Config.Auth.Tokens, kept)
		t.Setenv("WRITER", writer)
	})
	send := func(status int, code, auth string) {
		t.Helper()
		resp, _ := r.refused(status, code, "GET", "/v1/jobs/x", http.NoBody, "Authorization", auth)
		if (status == 401) != (resp.Header.Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%v", resp.Header)
		}
	}
	send(401, "auth.missing", "")
	send(401, "auth.invalid", "Bearer "+r.token+"x")
	send(401, "auth.missing", "Basic "+r.token)
	send(403, "auth.tenant", "Bearer "+os.Getenv("NOBODY"))
	send(403, "auth.scope", "Bearer "+os.Getenv("WRITER"))
	send(404, "request.not-found", "Bearer "+r.token)
	r.refused(403, "auth.scope", "GET", "/metrics", http.NoBody)
	resp, b := r.ask("GET", "/metrics", http.NoBody, "Authorization", "Bearer "+r.admin)
	if resp.StatusCode != 200 || !strings.Contains(string(b), `millrace_gateway_refusals_total{code="auth.invalid"} 1`) {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	for _, p := range []string{"/healthz", "/readyz", "/openapi.yaml"} { // for everybody
		if resp, b := r.ask("GET", p, http.NoBody, "Authorization", ""); resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", p, resp.StatusCode, b)
		}
	}
	if log := r.log.String(); !strings.Contains(log, `route="GET /v1/jobs/{job}" status=401`) || strings.Contains(log, r.token) {
		t.Errorf("the log is\n%s", log)
	}
}

func TestConfigRefusesToBeOpen(t *testing.T) {
	good := DefaultConfig()
	good.Auth.None = true
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	token := identity.Token{ID: "a"}
	for want, change := range map[string]func(*Config){
		"no way to know callers": func(c *Config) { c.Auth.None = false },
		"loopback only":          func(c *Config) { c.Listen = "0.0.0.0:80" },
		"choose one":             func(c *Config) { c.Auth.Tokens = []identity.Token{token} },
		"tenants is empty":       func(c *Config) { c.Auth = Auth{Tokens: []identity.Token{token}} },
		"client_ca_file":         func(c *Config) { c.Auth = Auth{Workloads: []identity.Workload{{}}} },
		"tokens_file":            func(c *Config) { c.Auth = Auth{TokensFile: "no-such-file"} },
		"listen":                 func(c *Config) { c.Listen = "x" },
		"tenants[0].name":        func(c *Config) { c.Tenants = []Tenant{{Name: "../x"}} },
		"stands twice":           func(c *Config) { c.Tenants = []Tenant{{Name: "a"}, {Name: "a"}} },
		"sources":                func(c *Config) { c.Tenants = []Tenant{{Name: "a", Sources: []string{"file:///"}}} },
		"limits.uploads":         func(c *Config) { c.Limits.Uploads = 0 },
		"inline_bytes":           func(c *Config) { c.Limits.Inline = 1 << 30 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, l := range []string{":8080", "example.org:80", "192.168.0.1:80", "[::]:80"} {
		c := good
		if c.Listen = l; c.Validate() == nil {
			t.Errorf("--insecure-no-auth listens at %s", l)
		}
	}
}

// Without authentication it is for programs of this machine, not for web pages.
func TestNoAuth(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Auth = Auth{None: true} })
	got := r.take("/v1/ingest?dataset=any", "image/png", strings.NewReader("x"), "Authorization", "")
	if got.Jobs[0].Dataset != "any" {
		t.Errorf("%+v", got)
	}
	for name, change := range map[string]func(*http.Request){
		"another site":    func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another origin":  func(q *http.Request) { q.Header.Set("Origin", "https://evil.example") },
		"a name of ours?": func(q *http.Request) { q.Host = "evil.example:80" },
	} {
		q, _ := http.NewRequestWithContext(t.Context(), "POST", r.url+"/v1/ingest?dataset=any", strings.NewReader("x"))
		q.Header.Set("Content-Type", "image/png")
		change(q)
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 && resp.StatusCode != 421 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

func TestRates(t *testing.T) {
	r := newRig(t, func(p *Parts) {
		p.Config.Tenants[0].Rate, p.Config.Tenants[0].Burst = 0.01, 3
		p.Config.Tenants[1].Uploads = 1
		p.Config.Limits.Idle = 10 * time.Second
	})
	for range 3 {
		r.take("/v1/ingest?dataset=cats", "image/png", strings.NewReader("x"))
	}
	resp, _ := r.refused(429, "rate.limited", "POST", "/v1/ingest?dataset=cats", strings.NewReader("x"), "Content-Type", "image/png")
	if s := resp.Header.Get("Retry-After"); len(s) != 2 && s != "100" {
		t.Errorf("Retry-After %q", s)
	}
	// The other tenant goes on, with one request at a time.
	body, feed := io.Pipe()
	done := make(chan int)
	go func() {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", r.url+"/v1/ingest", body)
		req.Header.Set("Authorization", "Bearer "+r.other)
		req.Header.Set("Content-Type", "image/png")
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	_, _ = feed.Write([]byte("first")) // it is under way
	for len(r.tenants["other"].slots) == 0 {
		time.Sleep(time.Millisecond)
	}
	r.refused(429, "rate.busy", "POST", "/v1/ingest", strings.NewReader("x"), "Content-Type", "image/png", "Authorization", "Bearer "+r.other)
	_ = feed.Close()
	if status := <-done; status != 202 {
		t.Errorf("the one under way ends with %d", status)
	}
}

// A sender who drips bytes is let go.
func TestSlowBody(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.Idle, p.Config.Limits.MinRate = 300*time.Millisecond, 1<<20 })
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/ingest?dataset=cats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n", r.token)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-time.After(50 * time.Millisecond): // never idle, and never done
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	b := make([]byte, 12)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "HTTP/1.1 408" {
		t.Errorf("%q, %v", b, err)
	}
	close(stop)
	<-stopped
}

// A client certificate with a SPIFFE id is a credential; without one there is none.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server, serverKey := ca.issue(t, "")
	client, clientKey := ca.issue(t, "spiffe://example.org/ingest")
	stranger, strangerKey := newAuthority(t).issue(t, "spiffe://example.org/ingest")
	r := newRig(t, func(p *Parts) {
		p.Config.TLS = TLS{Cert: write("cert", server), Key: write("key", serverKey), ClientCA: write("ca", ca.pem())}
		p.Config.Auth = Auth{Workloads: []identity.Workload{{ID: "spiffe://example.org/ingest", Tenant: "acme", Scopes: []string{"jobs:read"}}}}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.pem())
	ask := func(cert, key []byte) (int, error) {
		cfg := &tls.Config{RootCAs: roots, ServerName: "localhost"}
		if cert != nil {
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			// Sent whatever the server asks for.
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", strings.Replace(r.url, "http:", "https:", 1)+"/v1/jobs/x", nil)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if status, err := ask(client, clientKey); status != 404 || err != nil { // known, and there is no such job
		t.Errorf("%d %v", status, err)
	}
	if status, err := ask(nil, nil); status != 401 || err != nil {
		t.Errorf("without a certificate: %d %v", status, err)
	}
	if status, err := ask(stranger, strangerKey); err == nil {
		t.Errorf("a stranger's certificate: %d", status)
	}
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a leaf for localhost, or for a SPIFFE id.
func (a *authority) issue(t *testing.T, id string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if id != "" {
		u, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		tmpl.URIs, tmpl.DNSNames = []*url.URL{u}, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, k.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kb})
}

// A drain says that it is not ready, takes jobs still, and ends what is under way.
func TestDrain(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Finish = 5 * time.Second })
	r.drains.Store(true)
	r.refused(503, "transient.draining", "GET", "/readyz", http.NoBody)
	r.take("/v1/ingest?dataset=cats", "image/png", strings.NewReader("x"))
	if resp, _ := r.ask("GET", "/healthz", http.NoBody); resp.StatusCode != 200 {
		t.Errorf("healthz while draining: %d", resp.StatusCode)
	}
	r.drains.Store(false)

	s, err := r.Serve()
	if err != nil {
		t.Fatal(err)
	}
	body, feed := io.Pipe()
	status := make(chan int)
	go func() {
		req, _ := http.NewRequest("POST", "http://"+s.Addr()+"/v1/ingest?dataset=cats", body)
		req.Header.Set("Authorization", "Bearer "+r.token)
		req.Header.Set("Content-Type", "image/png")
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	_, _ = feed.Write([]byte("half"))
	for len(r.slots) == 0 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan error)
	go func() { stopped <- s.Stop(context.Background()) }()
	for !r.drains.Load() {
		time.Sleep(time.Millisecond)
	}
	_, _ = feed.Write([]byte("whole"))
	_ = feed.Close()
	if got := <-status; got != 202 {
		t.Errorf("a request under way ends with %d", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr()); err == nil {
		t.Error("it listens on")
	}
}
