package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/services/gateway/identity"
)

// requestInfo is what is said of a request in the log and in metrics.
type requestInfo struct {
	id      string
	tenant  string
	subject string
	code    codecs.Code
	in      int64
}

type infoKey struct{}

// requestOf is the context's request; an empty one outside of any.
func requestOf(ctx context.Context) *requestInfo {
	if i, ok := ctx.Value(infoKey{}).(*requestInfo); ok {
		return i
	}
	return &requestInfo{}
}

// observed is around everything: the request's id, the access line, the metrics. The
// line has the route, not the URL: paths, queries and headers may hold secrets.
func (g *Gateway) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		info := &requestInfo{id: strings.ToLower(ulid.Make().String())}
		r = r.WithContext(context.WithValue(r.Context(), infoKey{}, info))
		w.Header().Set("X-Request-Id", info.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		body := &countedBody{ReadCloser: r.Body}
		r.Body = body
		if r.ContentLength != 0 {
			// Of what nobody reads the server reads some before it answers, and would wait
			// for it without end. Who reads the body sets deadlines of his own.
			_ = http.NewResponseController(w).SetReadDeadline(start.Add(g.cfg.Limits.Idle))
		}
		seen := &seenWriter{ResponseWriter: w}
		defer func() {
			info.in = body.n
			if p := recover(); p != nil {
				g.log.Error("a request panicked", "request", info.id, "route", r.Pattern, "panic", p)
				panic(http.ErrAbortHandler)
			}
			g.note(r, info, seen, time.Since(start))
		}()
		next.ServeHTTP(seen, r)
	})
}

func (g *Gateway) note(r *http.Request, info *requestInfo, w *seenWriter, took time.Duration) {
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	g.metrics.requests.WithLabelValues(route, strconv.Itoa(w.status())).Inc()
	g.metrics.seconds.WithLabelValues(route).Observe(took.Seconds())
	if info.code != "" {
		g.metrics.refusals.WithLabelValues(string(info.code)).Inc()
	}
	if info.tenant != "" {
		g.metrics.received.WithLabelValues(info.tenant).Add(float64(info.in))
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	level := g.log.Info
	if route == "GET /healthz" || route == "GET /readyz" {
		level = g.log.Debug
	}
	level("request", "request", info.id, "route", route, "status", w.status(), "code", info.code, "tenant", info.tenant,
		"subject", info.subject, "remote", host, "in", info.in, "out", w.n, "ms", took.Milliseconds())
}

// seenWriter remembers what was answered.
type seenWriter struct {
	http.ResponseWriter
	code int
	n    int64
}

func (w *seenWriter) WriteHeader(code int) {
	if w.code == 0 && code >= 200 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *seenWriter) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

func (w *seenWriter) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// Unwrap is for http.ResponseController.
func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type countedBody struct {
	io.ReadCloser
	n int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

// caller is who makes a request, and what he may do.
type caller struct {
	identity.Identity
	*tenant
}

type handlerFunc func(http.ResponseWriter, *http.Request, caller) error

// onceHeaders are the headers that stand once: of two, a proxy might have looked at the other.
func onceHeaders() []string {
	return []string{"Content-Type", "Idempotency-Key", "Tus-Resumable", "Upload-Length", "Upload-Metadata", "Upload-Offset"}
}

// known lets a caller with a scope in, within its rate.
func (g *Gateway) known(scope identity.Scope, next handlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := g.caller(r, scope)
		for _, name := range onceHeaders() {
			if err == nil && len(r.Header.Values(name)) > 1 {
				err = badRequest("the header %s stands twice", name)
			}
		}
		if err == nil {
			err = next(w, r.WithContext(identity.With(r.Context(), c.Identity)), c)
		}
		if err != nil {
			g.refuse(w, r, err)
		}
	})
}

func (g *Gateway) caller(r *http.Request, scope identity.Scope) (caller, error) {
	id, err := g.auth.Identify(r)
	if err != nil {
		return caller{}, err
	}
	info := requestOf(r.Context())
	info.subject = id.Subject
	t := g.tenants[id.Tenant]
	if t == nil {
		return caller{}, &problem{status: http.StatusForbidden, code: codeTenant, detail: "the credential is good, but its tenant may not use this gateway"}
	}
	info.tenant = t.Name
	if !id.May(scope) {
		return caller{}, &problem{status: http.StatusForbidden, code: codeScope, detail: "the credential lacks the scope " + string(scope)}
	}
	if wait, ok := t.allow(1); !ok {
		return caller{}, &problem{status: http.StatusTooManyRequests, code: codeRate, wait: wait, detail: "the tenant makes more requests than its rate allows"}
	}
	return caller{id, t}, nil
}

// slotted bounds how many requests with bodies are under way: their number bounds the
// gateway's memory.
func (g *Gateway) slotted(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, c caller) error {
		if g.drains.Load() && r.ContentLength != 0 && strings.HasPrefix(r.URL.Path, uploadsPath) {
			// A long upload would be cut off: it goes on at another gateway.
			w.Header().Set("Connection", "close")
			return &problem{status: http.StatusServiceUnavailable, code: codeDraining, wait: time.Second, detail: "this gateway is about to end; go on with the upload, which leads to another"}
		}
		if !strings.HasPrefix(r.URL.Path, uploadsPath) { // of an upload each piece counts that comes
			if err := c.quota.fits(r.ContentLength); err != nil {
				return err
			}
		}
		r.Body = &metered{r.Body, c.quota}
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		default:
			return &problem{status: http.StatusTooManyRequests, code: codeBusy, wait: time.Second, detail: "the tenant has as many requests under way as it may have"}
		}
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		default:
			return &problem{status: http.StatusServiceUnavailable, code: codeBusy, wait: time.Second, detail: "the gateway has as many requests under way as it can serve"}
		}
		g.metrics.underway.Inc()
		defer g.metrics.underway.Dec()
		return next(w, r, c)
	}
}
