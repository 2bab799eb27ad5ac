package gateway

import (
	_ "embed"
	"net/http"
	"strings"

	"github.com/millrace/millrace/services/gateway/identity"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI is the description of the API, as it is served. The caller owns the copy.
func OpenAPI() []byte { return append([]byte(nil), openAPI...) }

// routes is the whole API.
func (g *Gateway) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", g.healthz)
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI)
	})
	mux.Handle("GET /metrics", g.known(identity.Admin, func(w http.ResponseWriter, r *http.Request, _ caller) error {
		g.metrics.handler().ServeHTTP(w, r)
		return nil
	}))
	mux.Handle("POST /v1/ingest", g.known(identity.IngestWrite, g.slotted(g.ingest)))
	mux.Handle("POST /v1/ingest/batch", g.known(identity.IngestWrite, g.slotted(g.batch)))
	mux.Handle("GET "+jobsPath+"{job}", g.known(identity.JobsRead, g.job))

	mux.Handle("OPTIONS "+uploadsPath, g.known(identity.IngestWrite, g.resumable(func(http.ResponseWriter, *http.Request) {})))
	mux.Handle("POST "+uploadsPath+"{$}", g.known(identity.IngestWrite, g.slotted(g.resumable(g.tus.PostFile))))
	mux.Handle("HEAD "+uploadsPath+"{upload}", g.known(identity.IngestWrite, g.resumable(g.tus.HeadFile)))
	mux.Handle("PATCH "+uploadsPath+"{upload}", g.known(identity.IngestWrite, g.slotted(g.resumable(g.tus.PatchFile))))
	mux.Handle("DELETE "+uploadsPath+"{upload}", g.known(identity.IngestWrite, g.resumable(g.tus.DelFile)))
	mux.HandleFunc("/", g.nothing(mux))

	var h http.Handler = mux
	if g.cfg.Auth.None {
		h = g.localOnly(h)
	}
	return g.observed(h)
}

// nothing is for paths and methods that are not there.
func (g *Gateway) nothing(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST"} {
			if _, pattern := mux.Handler(&http.Request{Method: m, URL: r.URL, Host: r.Host}); pattern != "/" {
				allowed = append(allowed, m)
			}
		}
		if len(allowed) > 0 {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			g.refuse(w, r, &problem{status: http.StatusMethodNotAllowed, code: codeMethod, detail: "there is no such method here"})
			return
		}
		g.refuse(w, r, &problem{status: http.StatusNotFound, code: codeNotFound, detail: "there is nothing at this path; /openapi.yaml says what there is"})
	}
}

// localOnly keeps web pages out of a gateway that asks nobody who he is: they could send
// forms to loopback, or give their own name loopback's address (DNS rebinding).
func (g *Gateway) localOnly(next http.Handler) http.Handler {
	pages := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isLoopback(hostOf(r.Host)):
			g.refuse(w, r, &problem{status: http.StatusMisdirectedRequest, code: codeAuthMissing, detail: "this gateway asks nobody who he is, so it answers to loopback's names only"})
		case pages.Check(r) != nil:
			g.refuse(w, r, &problem{status: http.StatusForbidden, code: codeAuthMissing, detail: "this gateway asks nobody who he is, so it takes nothing from web pages"})
		default:
			next.ServeHTTP(w, r)
		}
	})
}
