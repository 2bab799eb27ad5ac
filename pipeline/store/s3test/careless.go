package s3test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/millrace/millrace/pipeline/store"
)

// Careless is the server as one that ignores conditional writes: a proxy before it
// drops If-None-Match and signs the request anew.
func (s *Server) Careless(t testing.TB) store.Config {
	t.Helper()
	target, err := url.Parse(s.Config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	front := httptest.NewServer(&httputil.ReverseProxy{
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
	})
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
	})
	cfg := s.Config
	cfg.Endpoint = front.URL
	return cfg
}
