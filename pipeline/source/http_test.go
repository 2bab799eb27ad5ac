package source

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func wantPlain(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || codecs.AsError(err) != nil || !strings.Contains(err.Error(), part) {
		t.Errorf("got %v; want a plain error with %q", err, part)
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// raw answers each connection with the same bytes and closes it.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4096)
			if n, _ := c.Read(b); strings.HasPrefix(string(b[:n]), "HEAD ") { // it works otherwise
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
			} else {
				_, _ = c.Write([]byte(answer))
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestHTTP(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for _, h := range []string{"Cookie", "Authorization", "Referer", "Range"} {
			if r.Header.Get(h) != "" {
				t.Errorf("the request has %s", h)
			}
		}
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("the request accepts %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Set-Cookie", "a=b")
		fmt.Fprint(w, "film")
	})
	f := newFetcher(t, local(t))
	for range 2 {
		id := wantBytes(t, f, pipeline.Media{URI: url + "/a.mp4?sig=secret"}, "film")
		if id.URI != url+"/a.mp4" || id.Version != "v1" {
			t.Errorf("the identity is %+v", id)
		}
	}
	wantFault(t, f, pipeline.Media{URI: url, Version: "v2"}, pipeline.CodeSourceChanged)
	e := wantFault(t, f, pipeline.Media{URI: url + "?sig=secret", SHA256: strings.Repeat("1", 64)}, pipeline.CodeSourceChanged)
	if strings.Contains(e.Error(), "secret") {
		t.Errorf("the error tells the query: %v", e)
	}
	if head, err := f.Peek(t.Context(), pipeline.Media{URI: url}, 2); err != nil || string(head) != "fi" {
		t.Errorf("peeked %q, %v", head, err)
	}
	wantFault(t, newFetcher(t, denying(t)), pipeline.Media{URI: url}, pipeline.CodeSourceDenied)
}

func denying(t *testing.T) Config {
	cfg := local(t)
	cfg.AllowPrivate = false
	return cfg
}

func TestHTTPStatus(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			return // it works, whatever it says about a path
		}
		asked.Add(1)
		var code int
		fmt.Sscanf(r.URL.Path, "/%d", &code)
		if code == 206 {
			w.Header().Set("Content-Range", "bytes 0-3/9")
		}
		w.WriteHeader(code)
		if code != 204 && code != 304 {
			fmt.Fprint(w, "some")
		}
	})
	f := newFetcher(t, local(t))
	for status, want := range map[int]struct {
		code  codecs.Code
		tries int64
	}{
		404: {pipeline.CodeSourceGone, 1}, 410: {pipeline.CodeSourceGone, 1},
		401: {pipeline.CodeSourceDenied, 1}, 403: {pipeline.CodeSourceDenied, 1}, 451: {pipeline.CodeSourceDenied, 1},
		412: {pipeline.CodeSourceChanged, 1}, 204: {pipeline.CodeSourceEmpty, 1},
		206: {pipeline.CodeSourceProtocol, 1}, 304: {pipeline.CodeSourceProtocol, 1}, 301: {pipeline.CodeSourceProtocol, 1}, 400: {pipeline.CodeSourceProtocol, 1}, 418: {pipeline.CodeSourceProtocol, 1},
		429: {pipeline.CodeSourceTransient, 3}, 500: {pipeline.CodeSourceTransient, 3}, 503: {pipeline.CodeSourceTransient, 3}, 408: {pipeline.CodeSourceTransient, 3},
	} {
		asked.Store(0)
		e := wantFault(t, f, pipeline.Media{URI: fmt.Sprintf("%s/%d", url, status)}, want.code)
		if asked.Load() != want.tries || int64(max(e.Attempts, 1)) != want.tries {
			t.Errorf("%d: asked %d times, and says %d; want %d (%v)", status, asked.Load(), e.Attempts, want.tries, e)
		}
	}
}

func TestHTTPRetry(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.URL.Path == "/later":
			w.Header().Set("Retry-After", "301")
			w.WriteHeader(503)
		case n == 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(429)
		case n == 2: // breaks off
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "fi")
		default:
			fmt.Fprint(w, "film")
		}
	})
	f := newFetcher(t, local(t))
	wantBytes(t, f, pipeline.Media{URI: url}, "film")
	asked.Store(0)
	wantFault(t, f, pipeline.Media{URI: url + "/later"}, pipeline.CodeSourceTransient)
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, though the server wants a longer wait than is allowed", n)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("shutting down")
	url = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "200")
		w.WriteHeader(503)
		time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	})
	if _, err := f.Fetch(ctx, pipeline.Media{URI: url}); !errors.Is(err, cause) || codecs.AsError(err) != nil {
		t.Errorf("cancelled while waiting: %v", err)
	}
}

func TestHTTPRedirects(t *testing.T) {
	var canary atomic.Int64
	inner := serve(t, func(http.ResponseWriter, *http.Request) { canary.Add(1) })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(inner, "http://"))
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer") != "" {
			t.Errorf("the redirect tells the referer %q", r.Header.Get("Referer"))
		}
		var n int
		switch _, _ = fmt.Sscanf(r.URL.Path, "/%d", &n); {
		case r.URL.Path == "/to":
			w.Header().Set("Location", r.URL.Query().Get("u"))
			w.WriteHeader(302)
		case n > 0:
			http.Redirect(w, r, fmt.Sprintf("/%d?secret", n-1), http.StatusFound)
		default:
			fmt.Fprint(w, "film")
		}
	})
	f := newFetcher(t, local(t))
	wantBytes(t, f, pipeline.Media{URI: url + "/3"}, "film")
	wantFault(t, f, pipeline.Media{URI: url + "/4"}, pipeline.CodeSourceDenied)
	for _, to := range []string{"file:///etc/passwd", "gopher://h/", "ftp://h/", "http://0.0.0.0:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://u:p@127.0.0.1:" + port, "http://0x7f000001:" + port, "http://169.254.169.254/"} {
		wantFault(t, f, pipeline.Media{URI: url + "/to?u=" + to}, pipeline.CodeSourceDenied)
	}
	if n := canary.Load(); n != 0 {
		t.Errorf("the refused target was asked %d times", n)
	}
}

func TestHTTPTLS(t *testing.T) {
	plainURL := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "film") })
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, plainURL, http.StatusFound)
			return
		}
		fmt.Fprint(w, "film")
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	f := newFetcher(t, local(t))
	wantFault(t, f, pipeline.Media{URI: s.URL}, pipeline.CodeSourceProtocol) // unknown authority
	wantFault(t, f, pipeline.Media{URI: strings.Replace(plainURL, "http:", "https:", 1)}, pipeline.CodeSourceProtocol)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	trusting := newFetcher(t, local(t))
	trusting.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	wantBytes(t, trusting, pipeline.Media{URI: s.URL}, "film")
	wantFault(t, trusting, pipeline.Media{URI: s.URL + "/down"}, pipeline.CodeSourceDenied)
}

func TestHTTPBadServers(t *testing.T) {
	cfg := local(t)
	cfg.MaxBytes = 1000
	f := newFetcher(t, cfg)
	long := strings.Repeat("x", 2000)
	for name, c := range map[string]struct {
		url  string
		want codecs.Code
	}{
		"gzip": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "x")
		}), pipeline.CodeSourceProtocol},
		"announced too large": {serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, long) }), pipeline.CodeSourceLimit},
		"endless": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				fmt.Fprint(w, long)
				w.(http.Flusher).Flush()
			}
		}), pipeline.CodeSourceLimit},
		"empty":             {serve(t, func(http.ResponseWriter, *http.Request) {}), pipeline.CodeSourceEmpty},
		"length too long":   {raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), pipeline.CodeSourceTransient},
		"negative length":   {raw(t, "HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\nabc"), pipeline.CodeSourceTransient},
		"two lengths":       {raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 9\r\n\r\nabc"), pipeline.CodeSourceTransient},
		"broken chunks":     {raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), pipeline.CodeSourceTransient},
		"not http":          {raw(t, "SSH-2.0-OpenSSH_9.2\r\n"), pipeline.CodeSourceProtocol},
		"malformed header":  {raw(t, "HTTP/1.1 200 OK\r\nno colon\r\n\r\nabc"), pipeline.CodeSourceProtocol},
		"a million headers": {raw(t, "HTTP/1.1 200 OK\r\n"+strings.Repeat("A: b\r\n", 50_000)+"\r\n"), pipeline.CodeSourceLimit},
	} {
		t.Run(name, func(t *testing.T) { wantFault(t, f, pipeline.Media{URI: c.url}, c.want) })
	}
	wantBytes(t, f, pipeline.Media{URI: raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")}, "abc")
}

// full is the address of a socket whose queue of connections is full.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

// The bound on headers is the setting's.
func TestHTTPHeaders(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 10<<10))
		fmt.Fprint(w, "film")
	})
	wantBytes(t, newFetcher(t, local(t)), pipeline.Media{URI: url}, "film")
	small := local(t)
	small.HTTP.MaxHeaderBytes = 4 << 10
	wantFault(t, newFetcher(t, small), pipeline.Media{URI: url}, pipeline.CodeSourceLimit)
}

func TestHTTPSlow(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/headers" {
			<-r.Context().Done()
			return
		}
		for r.Context().Err() == nil { // one byte at a time, for ever
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	slow := local(t)
	slow.RateWindow = 50 * time.Millisecond
	wantFault(t, newFetcher(t, slow), pipeline.Media{URI: url}, pipeline.CodeSourceLimit)
	total := local(t)
	total.HTTP.Total = 50 * time.Millisecond
	wantFault(t, newFetcher(t, total), pipeline.Media{URI: url}, pipeline.CodeSourceLimit)
	if n := asked.Load(); n != 2 {
		t.Errorf("a slow server was asked again (%d times)", n)
	}
	header := local(t)
	header.HTTP.Header = 20 * time.Millisecond
	wantFault(t, newFetcher(t, header), pipeline.Media{URI: url + "/headers"}, pipeline.CodeSourceTransient)

	quiet, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	handshake := local(t)
	handshake.HTTP.TLS, handshake.Tries = 20*time.Millisecond, 1
	begun := time.Now()
	_, err = newFetcher(t, handshake).Fetch(t.Context(), pipeline.Media{URI: "https://" + quiet.Addr().String()})
	wantPlain(t, err, "TLS handshake timeout")
	connect := local(t)
	connect.HTTP.Connect, connect.Tries, connect.OutagePatience = 50*time.Millisecond, 1, time.Millisecond
	_, err = newFetcher(t, connect).Fetch(t.Context(), pipeline.Media{URI: "http://" + full(t)})
	wantPlain(t, err, "i/o timeout")
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("a host that shakes no hand and one that takes no connection were given up after %v", took)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newFetcher(t, local(t)).Fetch(ctx, pipeline.Media{URI: url}); !errors.Is(err, context.DeadlineExceeded) || codecs.AsError(err) != nil {
		t.Errorf("past the caller's deadline: %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "120": 2 * time.Minute, "Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Thu, 01 Jan 2026 00:00:00 GMT": 0,
	} {
		if got, ok := retryAfter(text, now); !ok || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-1", "soon", "99999999999999999999", "1.5"} {
		if got, ok := retryAfter(text, now); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
