package s3test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/millrace/millrace/pipeline/store"
)

// Careless reaches the server as one that ignores conditional writes: a proxy before it
// drops If-None-Match and signs the request anew.
func (s *Server) Careless(t testing.TB) store.Config {
	return s.behind(t, func(http.ResponseWriter, *http.Request) bool { return false })
}

// Racy reaches the server as one that looks whether there is an object, and then puts
// one, as two steps.
func (s *Server) Racy(t testing.TB) store.Config {
	return s.behind(t, func(w http.ResponseWriter, r *http.Request) bool {
		_, err := os.Stat(filepath.Join(s.Dir, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			return false
		}
		w.WriteHeader(http.StatusPreconditionFailed)
		_, _ = io.WriteString(w, "<Error><Code>PreconditionFailed</Code></Error>")
		return true
	})
}

// behind is a proxy that drops If-None-Match, once refuse has not answered the request.
func (s *Server) behind(t testing.TB, refuse func(http.ResponseWriter, *http.Request) bool) store.Config {
	t.Helper()
	target, err := url.Parse(s.Config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // which is signed
			if r.Out.Header.Get("If-None-Match") == "" {
				return
			}
			r.Out.Header.Del("If-None-Match")
			r.Out.Header.Del("Authorization")
			r.Out = signer.SignV4(*r.Out, s.Config.AccessKey, s.Config.SecretKey.Reveal(), "", s.Config.Region)
		},
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == "" || !refuse(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
	})
	cfg := s.Config
	cfg.Endpoint = front.URL
	return cfg
}
