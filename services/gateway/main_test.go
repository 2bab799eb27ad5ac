package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/gateway/identity"
)

func TestMain(m *testing.M) {
	for _, t := range []string{"application/offset+octet-stream", "application/x-ndjson", "video/mp4", "image/jpeg", "image/png", "audio/flac"} {
		openapi3filter.RegisterBodyDecoder(t, openapi3filter.FileBodyDecoder)
	}
	openapi3filter.RegisterBodyDecoder("application/cloudevents+json", openapi3filter.JSONBodyDecoder)
	code := m.Run()
	kafkatest.StopShared()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// rig is a gateway on a fake broker and a folder, with a client that holds everything
// that is said against the OpenAPI document.
type rig struct {
	*Gateway
	t      testing.TB
	url    string
	client *http.Client
	queue  *queue.Client
	store  store.Store
	token  string // of tenant acme, scopes ingest:write and jobs:read
	admin  string
	other  string // of tenant other
	log    *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t testing.TB, change ...func(*Parts)) *rig {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return newRigAt(t, c.ListenAddrs()[0], change...)
}

func newRigAt(t testing.TB, broker string, change ...func(*Parts)) *rig {
	t.Helper()
	r := &rig{t: t, log: &syncBuffer{}}
	cfg := queue.Default()
	cfg.Brokers, cfg.Topic = []string{broker}, kafkatest.Topic(t)
	var err error
	if r.queue, err = queue.Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.queue.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.queue.EnsureTopic(ctx, 2, map[string]string{"max.message.bytes": fmt.Sprint(12 << 20)}); err != nil {
		t.Fatal(err)
	}
	dir, err := store.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	p := Parts{Config: DefaultConfig(), Queue: r.queue, Topic: cfg.Topic, Store: store.NewRetry(dir, store.Policy{}), Dir: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(r.log, nil))}
	p.Config.Listen, p.Config.Drain, p.Config.Finish = "127.0.0.1:0", 0, 200*time.Millisecond
	p.Config.Tenants = []Tenant{
		{Name: "acme", Datasets: []string{"cats", "dogs"}, Sources: []string{"s3://acme-raw/in", "https://media.acme.example/"}},
		{Name: "other", Datasets: []string{"birds"}},
	}
	issue := func(tenant string, scopes ...identity.Scope) string {
		secret, kept, err := identity.NewToken(tenant, scopes, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		p.Config.Auth.Tokens = append(p.Config.Auth.Tokens, kept)
		return secret
	}
	r.token = issue("acme", identity.IngestWrite, identity.JobsRead)
	r.admin = issue("acme", identity.Admin)
	r.other = issue("other", identity.IngestWrite, identity.JobsRead)
	for _, f := range change {
		f(&p)
	}
	if r.Gateway, err = New(ctx, p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Gateway.Close)
	r.store = p.Store
	s, err := r.Serve()
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + s.Addr()
	transport := &http.Transport{}
	r.client = &http.Client{Transport: newChecked(t, transport)}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
	})
	return r
}

// checked holds requests and responses against the OpenAPI document: every response,
// and every request that the gateway takes.
type checked struct {
	t      testing.TB
	router routers.Router
	next   http.RoundTripper
}

func newChecked(t testing.TB, next http.RoundTripper) *checked {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &checked{t, router, next}
}

const mostChecked = 1 << 20 // bytes of a body that is looked into

func (c *checked) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil && req.ContentLength >= 0 && req.ContentLength <= mostChecked {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = b
		req.Body = io.NopCloser(bytes.NewReader(b))
	}
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		if resp.StatusCode < 400 {
			c.t.Errorf("%s %s is answered with %d, and the document does not know it: %v", req.Method, req.URL.Path, resp.StatusCode, err)
		}
		return resp, nil
	}
	in := &openapi3filter.RequestValidationInput{Request: req.Clone(context.Background()), PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			ExcludeRequestBody: body == nil || strings.HasPrefix(req.Header.Get("Content-Type"), "multipart/")}}
	in.Request.Body = io.NopCloser(bytes.NewReader(body))
	if resp.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			c.t.Errorf("%s %s was taken, yet is not as the document says: %v", req.Method, req.URL.Path, err)
		}
	}
	got, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: in.Options,
		Body: io.NopCloser(bytes.NewReader(got))}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		c.t.Errorf("%s %s answers with %d %s, which is not as the document says: %v", req.Method, req.URL.Path, resp.StatusCode, got, err)
	}
	return resp, nil
}

// ask sends a request. head is a list of names and values.
func (r *rig) ask(method, path string, body io.Reader, head ...string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
		if head[i+1] == "" {
			req.Header.Del(head[i])
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, b
}

// take sends what must be taken.
func (r *rig) take(path, contentType string, body io.Reader, head ...string) Accepted {
	r.t.Helper()
	resp, b := r.ask("POST", path, body, append([]string{"Content-Type", contentType}, head...)...)
	if resp.StatusCode != http.StatusAccepted {
		r.t.Fatalf("%s: %d %s", path, resp.StatusCode, b)
	}
	return decode[Accepted](r.t, b)
}

// refused sends what must be refused, with a status and a code.
func (r *rig) refused(status int, code string, method, path string, body io.Reader, head ...string) (*http.Response, Problem) {
	r.t.Helper()
	resp, b := r.ask(method, path, body, head...)
	p := Problem{}
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		p = decode[Problem](r.t, b)
	}
	if resp.StatusCode != status || string(p.Code) != code || p.Status != status || p.RequestID != resp.Header.Get("X-Request-Id") {
		r.t.Errorf("%s %s: %d %s, want %d %s", method, path, resp.StatusCode, b, status, code)
	}
	return resp, p
}

func decode[T any](t testing.TB, b []byte) (v T) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return v
}

// record reads what stands at a job's place in the topic.
func (r *rig) record(p Placed) queue.Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	part := r.queue.Read(p.Partition, p.Offset, nil)
	defer part.Close()
	rec, err := part.Next(ctx)
	if err != nil || rec.Skipped != nil {
		r.t.Fatalf("at %+v: %v, %v", p, rec.Skipped, err)
	}
	return rec
}

// jobAt reads a job as a worker would, and its record's headers.
func (r *rig) jobAt(p Placed) (pipeline.Job, map[string]string) {
	r.t.Helper()
	rec := r.record(p)
	m, heads := message.Record{Key: rec.Key, Value: rec.Value}, map[string]string{}
	for _, h := range rec.Headers {
		m.Headers = append(m.Headers, message.Header(h))
		heads[h.Key] = string(h.Value)
	}
	ps, err := message.Parse(m, message.Options{})
	if err != nil || len(ps) != 1 || ps[0].Fault != nil {
		r.t.Fatalf("at %+v: %v, %v", p, ps, err)
	}
	if ps[0].Job.ID != p.ID || ps[0].Job.Dataset != p.Dataset || string(rec.Key) != p.ID {
		r.t.Errorf("the job at %+v is %s of %s", p, ps[0].Job.ID, ps[0].Job.Dataset)
	}
	return ps[0].Job, heads
}

// size counts the topic's records.
func (r *rig) size() (n int64) {
	r.t.Helper()
	for q := range 2 {
		o, err := r.queue.Offsets(r.t.Context(), q)
		if err != nil {
			r.t.Fatal(err)
		}
		n += o.High
	}
	return n
}

// stored reads an object.
func (r *rig) stored(uri string) []byte {
	r.t.Helper()
	key, ok := strings.CutPrefix(uri, StoreURI(""))
	if !ok {
		r.t.Fatalf("%q is not in the store", uri)
	}
	rc, _, err := r.store.Get(r.t.Context(), key, 0, -1)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}
