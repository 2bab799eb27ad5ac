package gateway

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tus/tusd/v2/pkg/handler"
	"github.com/tus/tusd/v2/pkg/memorylocker"
	"golang.org/x/exp/slog"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/services/gateway/identity"
	"github.com/millrace/millrace/services/gateway/upload"
)

// jobHeader is where a client learns which job its upload has become.
const jobHeader = "Millrace-Job"

// graceful is how long the store may take to keep the last bytes of a broken connection.
const graceful = 10 * time.Second

func (g *Gateway) newTus() (*handler.UnroutedHandler, error) {
	composer := handler.NewStoreComposer()
	g.uploads.Use(composer)
	composer.UseLocker(locker{memorylocker.New()})
	return handler.NewUnroutedHandler(handler.Config{
		StoreComposer: composer, BasePath: uploadsPath, MaxSize: min(g.cfg.Limits.MaxUpload, upload.MaxSize),
		DisableDownload: true, DisableConcatenation: true, Cors: &handler.CorsConfig{Disable: true},
		NetworkTimeout: g.cfg.Limits.Idle, GracefulRequestCompletionTimeout: g.graceful(),
		// Its lines have paths and ids in them; ours say enough.
		Logger:                    slog.New(slog.NewTextHandler(io.Discard, nil)),
		PreUploadCreateCallback:   g.uploadBegins,
		PreFinishResponseCallback: g.uploadEnds,
	})
}

// graceful is also how long tusd keeps a goroutine after each request.
func (g *Gateway) graceful() time.Duration { return min(graceful, g.cfg.Finish) }

// resumable serves the tus protocol with one of tusd's handlers behind it.
func (g *Gateway) resumable(h http.HandlerFunc) handlerFunc {
	inner := http.StripPrefix(strings.TrimSuffix(uploadsPath, "/"), g.tus.Middleware(h))
	return func(w http.ResponseWriter, r *http.Request, c caller) error {
		if r.Header.Get("X-Http-Method-Override") != "" {
			return badRequest("X-HTTP-Method-Override is not taken here")
		}
		id := r.PathValue("upload")
		if strings.Contains(id, "/") { // tusd would look behind it
			return tusProblem(http.StatusNotFound, "")
		}
		if id != "" {
			job, err := g.settled(r.Context(), id, r.Method != http.MethodDelete)
			if err != nil {
				return err
			}
			if job != "" && r.Method != http.MethodDelete {
				w.Header().Set(jobHeader, job)
			}
		}
		body := &endingBody{ReadCloser: r.Body, begun: newBegun(), start: time.Now()}
		defer body.begun.now()
		r = r.WithContext(context.WithValue(r.Context(), bodyKey{}, body.begun))
		r.Body = body
		tw := &tusWriter{ResponseWriter: w, body: body, limits: g.cfg.Limits, expires: time.Now().Add(g.cfg.Limits.Expire)}
		inner.ServeHTTP(tw, r)
		return tw.problem()
	}
}

// metadata of an upload that mean something here; others are refused, so that a typing
// error is found at the start.
func uploadNames() []string {
	return []string{"dataset", "id", "filename", "filetype", "meta", "provenance", "role", "sha256"}
}

// uploadMeta reads Upload-Metadata: names and base64 values. tusd leaves out what it can
// not read, and takes the last of two: a digest that is not looked at, a dataset that is
// another. Here such is refused.
func uploadMeta(header string) (map[string]string, error) {
	meta := map[string]string{}
	if header == "" {
		return meta, nil
	}
	for pair := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), " ")
		b, err := base64.StdEncoding.Strict().DecodeString(value)
		switch {
		case !slices.Contains(uploadNames(), name):
			return nil, badRequest("Upload-Metadata has %.40q; known are %v", name, uploadNames())
		case err != nil || strings.ContainsAny(value, "\r\n"):
			return nil, badRequest("Upload-Metadata's %s is not base64", name)
		case !utf8.Valid(b):
			return nil, badRequest("Upload-Metadata's %s is not UTF-8", name)
		}
		if _, twice := meta[name]; twice {
			return nil, badRequest("Upload-Metadata's %s stands twice", name)
		}
		meta[name] = string(b)
	}
	if d := meta[upload.MetaSHA256]; d != "" && !digestForm.MatchString(d) {
		return nil, badRequest("Upload-Metadata's sha256 is not 64 hexadecimal digits, in lower case")
	}
	return meta, nil
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// uploadBegins checks what the upload's job will be, before a byte of it comes.
func (g *Gateway) uploadBegins(e handler.HookEvent) (handler.HTTPResponse, handler.FileInfoChanges, error) {
	c, err := g.callerOf(e.Context)
	if err != nil {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, tusError(err)
	}
	meta, err := uploadMeta(e.HTTPRequest.Header.Get("Upload-Metadata"))
	if err != nil {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, tusError(err)
	}
	if e.Upload.Size > c.MaxBytes {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, tusError(tooLarge(c.MaxBytes))
	}
	if keys := e.HTTPRequest.Header.Values("Idempotency-Key"); len(keys) > 0 {
		if err := checkKey(keys[0]); err != nil {
			return handler.HTTPResponse{}, handler.FileInfoChanges{}, tusError(err)
		}
		meta["id"] = first(meta["id"], keyID(c.tenant.Name, keys[0], 0))
	}
	if meta["dataset"] == "" {
		meta["dataset"] = first(c.defaultDataset(), g.parts.Dataset)
	}
	probe := &upload.State{ID: strings.Repeat("0", 26), Tenant: c.tenant.Name, Meta: meta}
	if _, err := g.uploadJob(c, probe, strings.Repeat("0", 64)); err != nil {
		return handler.HTTPResponse{}, handler.FileInfoChanges{}, tusError(err)
	}
	g.metrics.uploads.WithLabelValues("begun").Inc()
	return handler.HTTPResponse{}, handler.FileInfoChanges{MetaData: meta}, nil
}

// callerOf is who a tus request is of.
func (g *Gateway) callerOf(ctx context.Context) (caller, error) {
	id, ok := identity.From(ctx)
	t := g.tenants[id.Tenant]
	if !ok || t == nil {
		return caller{}, &problem{status: http.StatusForbidden, code: codeTenant, detail: "the upload's tenant may not use this gateway"}
	}
	return caller{id, t}, nil
}

// uploadJob is the job that an upload becomes. Without an id of the sender it is the
// upload's own, so that to make the job twice makes a duplicate.
func (g *Gateway) uploadJob(c caller, s *upload.State, digest string) (*order, error) {
	m := pipeline.Media{URI: StoreURI(s.Key()), SHA256: digest, Role: s.Meta["role"], Type: s.Meta["filetype"]}
	if m.Type == "" {
		m.Type = mediaTypeOf(s.Meta["filename"])
	}
	doc := map[string]any{"id": first(s.Meta["id"], "upload-"+s.ID), "dataset": s.Meta["dataset"], "media": []pipeline.Media{m}}
	for _, name := range []string{"meta", "provenance"} {
		if v := s.Meta[name]; v != "" {
			if !json.Valid([]byte(v)) {
				return nil, badRequest("the upload's %s is not JSON", name)
			}
			doc[name] = json.RawMessage(v)
		}
	}
	if name := s.Meta["filename"]; name != "" && s.Meta["meta"] == "" {
		doc["meta"] = map[string]string{"filename": name}
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	orders, err := g.parse(c, message.Record{Value: raw, Headers: params{}.headers("application/json")})
	if err != nil {
		return nil, err
	}
	bare := orders[0].job
	bare.Media = nil // the gateway's own URI is no matter of the tenant's sources
	return orders[0], c.check(&bare)
}

// uploadEnds makes the job of an upload whose last byte has come.
func (g *Gateway) uploadEnds(e handler.HookEvent) (handler.HTTPResponse, error) {
	u, err := g.uploads.Get(e.Context, e.Upload.ID)
	if err == nil {
		err = g.settle(e.Context, u)
	}
	if err != nil {
		return handler.HTTPResponse{}, tusError(err)
	}
	return handler.HTTPResponse{Header: handler.HTTPHeader{jobHeader: u.Job}}, nil
}

// settled brings an upload that is complete, but not yet a job, to its end: its process
// was killed, or the topic did not answer. It returns the job's handle, or nothing for
// one that is under way. Where there is no such upload of the tenant it says so before tusd
// asks whoever has an upload of that name in hand to let go of it.
func (g *Gateway) settled(ctx context.Context, id string, settle bool) (string, error) {
	u, err := g.uploads.Get(ctx, id)
	switch {
	case err != nil:
		return "", uploadProblem(err)
	case !settle || u.Job != "" || u.Offset() < u.Size:
		return u.Job, nil
	}
	return u.Job, g.settle(ctx, u)
}

// settle publishes a complete upload's job. Two that do so at once make a duplicate, not
// a second set of samples.
func (g *Gateway) settle(ctx context.Context, u *upload.Upload) error {
	if u.Job != "" {
		return nil
	}
	ctx = identity.With(context.WithoutCancel(ctx), identity.Identity{Tenant: u.Tenant})
	c, err := g.callerOf(ctx)
	if err != nil {
		return err
	}
	if err := u.FinishUpload(ctx); err != nil {
		return uploadProblem(err)
	}
	if u.Job != "" { // another gateway was first
		return nil
	}
	sum := u.Body().SHA256
	o, err := g.uploadJob(c, &u.State, hex.EncodeToString(sum[:]))
	if err != nil {
		return err
	}
	rec, err := message.Encode(o.job)
	if err != nil {
		return err
	}
	places, errs := g.topic.send(ctx, oneMessage(rec, u.Tenant))
	if errs[0] != nil {
		return errs[0]
	}
	g.metrics.uploads.WithLabelValues("complete").Inc()
	g.metrics.stored.Add(float64(u.Size))
	if err := u.SetJob(ctx, g.placed(c, &o.job, places[0]).Job); err != nil {
		g.log.Warn("an upload's job is published, but that is not written down; it may come twice, as a duplicate", "upload", u.ID, "error", err)
	}
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// tusError is a problem as tusd sends it; tusWriter makes a problem of it again.
func tusError(err error) error {
	p := problemOf(err)
	b, _ := json.Marshal(p.body("")) // of strings and numbers
	head := handler.HTTPHeader{"Content-Type": "application/problem+json"}
	if p.wait > 0 {
		head["Retry-After"] = p.retryAfter()
	}
	return handler.Error{ErrorCode: string(p.code), Message: p.detail, HTTPResponse: handler.HTTPResponse{
		StatusCode: p.status, Body: string(b), Header: head,
	}}
}

// tusWriter keeps back tusd's errors, which are plain text, to send problems instead,
// and adds what tusd does not know: the expiration extension.
type tusWriter struct {
	http.ResponseWriter
	body    *endingBody
	limits  Limits
	expires time.Time
	failed  int
	text    []byte
}

func (w *tusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetReadDeadline holds the body to the least rate, and lifts the deadline once the body has come whole: the server takes one
// that passes for the sender having gone, while the store puts the parts together.
func (w *tusWriter) SetReadDeadline(t time.Time) error {
	switch due := w.limits.due(w.body.start, w.body.n.Load()); {
	case w.body.ended.Load():
		t = time.Time{}
	case due.Before(t):
		t = due
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
}

// SetWriteDeadline leaves the store the time that it needs.
func (w *tusWriter) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t.Add(upload.FinishWithin))
}

// endingBody knows that it has been read to its end.
type endingBody struct {
	io.ReadCloser
	begun *begun
	start time.Time
	n     atomic.Int64 // tusd asks for deadlines from another goroutine, too
	ended atomic.Bool
}

func (b *endingBody) Read(p []byte) (int, error) {
	b.begun.now()
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	if p := (*problem)(nil); errors.As(err, &p) {
		err = tusError(p)
	}
	return n, err
}

func (w *tusWriter) WriteHeader(status int) {
	h := w.Header()
	if status >= http.StatusBadRequest {
		w.failed = status
		return
	}
	if u, err := url.Parse(h.Get("Location")); err == nil && u.Path != "" {
		h.Set("Location", u.Path) // a proxy may have another scheme and host than the request here
	}
	if e := h.Get("Tus-Extension"); e != "" {
		h.Set("Tus-Extension", e+",expiration")
	}
	if status == http.StatusCreated || status == http.StatusNoContent && h.Get("Upload-Offset") != "" {
		h.Set("Upload-Expires", w.expires.UTC().Format(http.TimeFormat))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *tusWriter) Write(p []byte) (int, error) {
	if w.failed == 0 {
		return w.ResponseWriter.Write(p)
	}
	if len(w.text)+len(p) <= 8<<10 {
		w.text = append(w.text, p...)
	}
	return len(p), nil
}

// uploadProblem tells what can not be gone on with from what the store could not do now.
// Both wrap err.
func uploadProblem(err error) error {
	var e handler.Error
	if !errors.As(err, &e) {
		return storeProblem(err)
	}
	p := tusProblem(e.HTTPResponse.StatusCode, e.HTTPResponse.Body)
	p.cause = err
	return p
}

var tusCode = regexp.MustCompile(`^(ERR_[A-Z_]+): `)

// tusProblem is a refusal of tusd or of its data store.
func tusProblem(status int, text string) *problem {
	text = strings.TrimSpace(text)
	name := ""
	if m := tusCode.FindStringSubmatch(text); m != nil {
		name = m[1]
	}
	detail := tusCode.ReplaceAllString(text, "")
	switch {
	case name == upload.ErrDamaged.ErrorCode:
		return &problem{status: status, code: codeDamaged, detail: detail}
	case name == upload.DigestCode:
		return &problem{status: status, code: codeDigest, detail: detail}
	case name == upload.ErrNewer.ErrorCode:
		return &problem{status: status, code: codeNewer, detail: detail, wait: problemWait}
	case name == handler.ErrReadTimeout.ErrorCode:
		return &problem{status: http.StatusRequestTimeout, code: codeTooSlow, detail: "the body did not come in time; ask for the upload's offset and go on"}
	case status == http.StatusNotFound:
		return &problem{status: status, code: codeNotFound, detail: "there is no such upload of this tenant; it may have expired"}
	case status == http.StatusNotImplemented:
		return &problem{status: http.StatusBadRequest, code: codeUpload, detail: detail}
	case status >= http.StatusInternalServerError:
		return &problem{status: http.StatusServiceUnavailable, code: codeStore, wait: problemWait, detail: "the upload could not go on here; ask for its offset and go on", cause: errors.New(text)}
	}
	return &problem{status: status, code: codeUpload, detail: detail}
}

// problem is what tusd wanted to say; nil where all went well.
func (w *tusWriter) problem() error {
	if w.failed == 0 {
		return nil
	}
	w.Header().Del("Content-Length")
	var p Problem
	if json.Unmarshal(w.text, &p) == nil && p.Code != "" {
		return &problem{status: p.Status, code: p.Code, detail: p.Detail, wait: w.wait()}
	}
	return tusProblem(w.failed, string(w.text))
}

// wait is the Retry-After that a problem of ours had on its way through tusd.
func (w *tusWriter) wait() time.Duration {
	n, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	return time.Duration(n) * time.Second
}
