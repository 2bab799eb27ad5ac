package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// noise is n bytes, the same for the same n.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func TestIngestJob(t *testing.T) {
	r := newRig(t)
	got := r.take("/v1/ingest", "application/json", strings.NewReader(`{"dataset":"cats","media":[{"uri":"s3://acme-raw/in/1.mp4"}],"meta":{"a":"<&>"}}`), "Traceparent", trace)
	if len(got.Jobs) != 1 || got.Jobs[0].Href != "/v1/jobs/"+got.Jobs[0].Job || got.Jobs[0].Topic != r.topic.name {
		t.Fatalf("%+v", got)
	}
	j, heads := r.jobAt(got.Jobs[0])
	if j.Media[0].URI != "s3://acme-raw/in/1.mp4" || string(j.Meta) != `{"a":"<&>"}` || heads["traceparent"] != trace || heads["millrace-tenant"] != "acme" {
		t.Errorf("%+v, %v", j, heads)
	}
	event := `{"specversion":"1.0","id":"e1","source":"/cam","type":"t","dataset":"dogs","data":{"text":"a dog"}}`
	got = r.take("/v1/ingest", "application/cloudevents+json", strings.NewReader(event))
	if j, _ := r.jobAt(got.Jobs[0]); j.Text != "a dog" || j.Dataset != "dogs" {
		t.Errorf("%+v", j)
	}
}

func TestIngestMedium(t *testing.T) {
	r := newRig(t)
	small := noise(10_000)
	got := r.take("/v1/ingest?dataset=cats&id=cam%2F1&meta=%7B%22a%22%3A1%7D", "image/jpeg", bytes.NewReader(small), "Millrace-Role", "front", "Millrace-Sha256", hexSum(small))
	j, heads := r.jobAt(got.Jobs[0])
	if m := j.Media[0]; !bytes.Equal(m.Data, small) || m.Type != "image/jpeg" || m.Role != "front" || j.ID != "cam/1" || string(j.Meta) != `{"a":1}` || heads["content-type"] != "image/jpeg" {
		t.Errorf("%+v, %v", j.ID, heads)
	}

	// What does not fit into a record goes to the store, once.
	large := noise(8<<20 + 1)
	var ids []string
	for range 2 {
		got = r.take("/v1/ingest?dataset=cats", "video/mp4", bytes.NewReader(large), "Millrace-Sha256", hexSum(large))
		j, _ = r.jobAt(got.Jobs[0])
		if m := j.Media[0]; m.URI != "store://_upload/acme/"+hexSum(large) || m.SHA256 != hexSum(large) || m.Type != "video/mp4" || !bytes.Equal(r.stored(m.URI), large) {
			t.Fatalf("%+v", m)
		}
		ids = append(ids, j.ID)
	}
	if ids[0] != ids[1] || len(ids[0]) != 32 {
		t.Errorf("the same bytes are %q", ids)
	}
	r.refused(422, "upload.digest", "POST", "/v1/ingest?dataset=cats", bytes.NewReader(large), "Content-Type", "video/mp4", "Millrace-Sha256", hexSum(small))
	// Without a length, too.
	got = r.take("/v1/ingest?dataset=dogs", "video/mp4", io.MultiReader(bytes.NewReader(large)))
	if j, _ = r.jobAt(got.Jobs[0]); !strings.HasSuffix(j.Media[0].URI, hexSum(large)) {
		t.Errorf("%+v", j.Media[0].URI)
	}
}

// A topic that takes small records only gets small records.
func TestIngestSmallTopic(t *testing.T) {
	r := newRig(t)
	r.topic.record = 1 << 20
	r.topic.cluster = "known"
	for _, n := range []int{100, 2 << 20} {
		b := noise(n)
		got := r.take("/v1/ingest?dataset=cats", "video/mp4", bytes.NewReader(b))
		rec := r.record(got.Jobs[0])
		if len(rec.Value) > 1<<20 {
			t.Errorf("a record of %d bytes", len(rec.Value))
		}
		if j, _ := r.jobAt(got.Jobs[0]); n > 1<<20 && !bytes.Equal(r.stored(j.Media[0].URI), b) {
			t.Error("other bytes are in the store")
		}
	}
	text := strings.Repeat("x", 60<<10)
	long := fmt.Sprintf(`{"dataset":"cats","text":%q,"meta":{"a":%q}}`, text, strings.Repeat("y", 1<<20))
	r.refused(413, "request.too-large", "POST", "/v1/ingest", strings.NewReader(long), "Content-Type", "application/json")
}

// parts writes a form. Each part is name, file name, type, bytes.
func parts(t *testing.T, list ...[4]string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range list {
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf("form-data; name=%q; filename=%q", p[0], p[1]))
		if p[2] != "" {
			h.Set("Content-Type", p[2])
		}
		part, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, p[3])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

func TestIngestForm(t *testing.T) {
	r := newRig(t)
	large := string(noise(9 << 20))
	job := `{"dataset":"cats","id":"f1","media":[{"uri":"part:///v","role":"left"},{"uri":"s3://acme-raw/in/x"},{"uri":"part:///p","type":"image/png"}]}`
	body, ct := parts(t, [4]string{"v", "a.mp4", "", large}, [4]string{"job", "", "application/json", job}, [4]string{"p", "b", "image/jpeg", "small"})
	got := r.take("/v1/ingest", ct, body)
	j, _ := r.jobAt(got.Jobs[0])
	if len(j.Media) != 3 || j.ID != "f1" || j.Media[0].Role != "left" || j.Media[0].Type != "video/mp4" || string(r.stored(j.Media[0].URI)) != large ||
		j.Media[1].URI != "s3://acme-raw/in/x" || string(j.Media[2].Data) != "small" || j.Media[2].Type != "image/png" {
		t.Errorf("%s %+v", j.ID, j.Media[0].URI)
	}
	// Media alone; four of 3 MiB do not fit into one record.
	three := string(noise(3 << 20))
	body, ct = parts(t, [4]string{"f", "a.jpg", "", three + "1"}, [4]string{"f", "b.flac", "", three + "2"}, [4]string{"f", "c", "image/png", three + "3"}, [4]string{"g", "", "", three + "4"})
	got = r.take("/v1/ingest?dataset=dogs&meta={}", ct, body)
	j, _ = r.jobAt(got.Jobs[0])
	if len(j.Media) != 4 || j.Dataset != "dogs" || string(j.Meta) != "{}" {
		t.Fatalf("%d media of %s", len(j.Media), j.Dataset)
	}
	for i, m := range j.Media {
		b := m.Data
		if b == nil {
			b = r.stored(m.URI)
		}
		if string(b) != fmt.Sprint(three, i+1) || m.Type != []string{"image/jpeg", "audio/flac", "image/png", ""}[i] {
			t.Errorf("medium %d has %d bytes and type %q", i, len(b), m.Type)
		}
	}
	for name, c := range map[string][][4]string{
		"names no part":  {{"job", "", "", `{"dataset":"cats","media":[{"uri":"part:///x"}]}`}},
		"part not named": {{"job", "", "", `{"dataset":"cats","text":"a"}`}, {"v", "", "", "x"}},
		"named twice":    {{"job", "", "", `{"dataset":"cats","media":[{"uri":"part:///v"},{"uri":"part:///v"}]}`}, {"v", "", "", "x"}},
		"two of a name":  {{"job", "", "", `{"dataset":"cats","media":[{"uri":"part:///v"}]}`}, {"v", "", "", "x"}, {"v", "", "", "y"}},
		"two jobs":       {{"job", "", "", `{}`}, {"job", "", "", `{}`}},
		"nothing":        {},
	} {
		body, ct := parts(t, c...)
		if resp, b := r.ask("POST", "/v1/ingest", body, "Content-Type", ct); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, resp.StatusCode, b)
		}
	}
	r.refused(400, "request.invalid", "POST", "/v1/ingest", strings.NewReader("--x\r\nbad"), "Content-Type", "multipart/form-data; boundary=x")
}

func TestIngestRefuses(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.MaxBytes = 9 << 20 })
	before := r.size()
	for _, c := range []struct {
		status         int
		code           string
		path, ct, body string
	}{
		{400, "msg.invalid", "/v1/ingest", "application/json", `{"dataset":"cats","media":[]}`},
		{400, "msg.invalid", "/v1/ingest", "application/json", `{"text":"a"}`}, // two datasets: which?
		{400, "msg.invalid", "/v1/ingest", "application/json", `not json`},
		{400, "msg.version", "/v1/ingest", "application/json", `{"version":2}`},
		{413, "request.too-large", "/v1/ingest", "application/json", strings.Repeat(" ", 8<<20+1)},
		{413, "request.too-large", "/v1/ingest?dataset=cats", "video/mp4", string(noise(9<<20 + 1))},
		{415, "msg.type", "/v1/ingest", "text/html", "x"},
		{415, "msg.type", "/v1/ingest", "", "x"},
		{400, "msg.empty", "/v1/ingest?dataset=cats", "video/mp4", ""},
		{400, "msg.invalid", "/v1/ingest?dataset=cats&meta=1", "video/mp4", "x"},
		{400, "request.invalid", "/v1/ingest?datset=cats", "video/mp4", "x"},
		{400, "request.invalid", "/v1/ingest?id=1&id=2", "video/mp4", "x"},
		{403, "auth.dataset", "/v1/ingest?dataset=birds", "video/mp4", "x"},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"s3://other-raw/in/1.mp4"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"s3://acme-raw/in/../out/1.mp4"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"s3://acme-raw/inside/1.mp4"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"https://media.acme.example.evil.com/1.mp4"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"https://media.acme.example@evil.com/1.mp4"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"https://user:pw@media.acme.example/1.mp4"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"file:///etc/passwd"}]}`},
		{403, "source.denied", "/v1/ingest", "application/json", `{"dataset":"cats","media":[{"uri":"store://_upload/other/x"}]}`},
		{404, "request.not-found", "/v1/else", "application/json", "{}"},
	} {
		r.refused(c.status, c.code, "POST", c.path, strings.NewReader(c.body), "Content-Type", c.ct)
	}
	for _, ok := range []string{"s3://acme-raw/in/a b?.mp4", "https://MEDIA.acme.example/x/1.mp4?sig=s"} {
		r.take("/v1/ingest", "application/json", strings.NewReader(fmt.Sprintf(`{"dataset":"cats","media":[{"uri":%q}]}`, ok)))
	}
	if n := r.size() - before; n != 2 {
		t.Errorf("%d records for 2 jobs", n)
	}
	resp, _ := r.refused(405, "request.method", "GET", "/v1/ingest", http.NoBody)
	if a := resp.Header.Get("Allow"); a != "POST" {
		t.Errorf("allowed is %q", a)
	}
	r.refused(405, "request.method", "OPTIONS", "/v1/ingest", http.NoBody)
	r.refused(400, "request.invalid", "POST", "/v1/ingest?dataset=cats;id=x", strings.NewReader("x"), "Content-Type", "video/mp4")
	r.refused(400, "request.invalid", "POST", "/v1/ingest?dataset=cats&id=%zz", strings.NewReader("x"), "Content-Type", "video/mp4")
}

func TestBatch(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.Batch = 5 })
	lines := `{"text":"a","dataset":"cats"}

{"text":"b","dataset":"birds"}
{"text":1,"dataset":"cats"}
{"text":"c","id":"c1"}
`
	resp, b := r.ask("POST", "/v1/ingest/batch?dataset=dogs", strings.NewReader(lines), "Content-Type", "application/x-ndjson")
	got := decode[Batch](t, b)
	if resp.StatusCode != 207 || got.Accepted != 2 || got.Refused != 2 || len(got.Results) != 4 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	if got.Results[1].Problem.Code != "auth.dataset" || got.Results[2].Problem.Code != "msg.invalid" {
		t.Errorf("%s", b)
	}
	for i, text := range map[int]string{0: "a", 3: "c"} {
		if j, _ := r.jobAt(*got.Results[i].Job); j.Text != text {
			t.Errorf("item %d is %q", i, j.Text)
		}
	}
	if j := got.Results[3].Job; j.ID != "c1" || j.Dataset != "dogs" {
		t.Errorf("%+v", j)
	}
	resp, b = r.ask("POST", "/v1/ingest/batch", strings.NewReader(`[{"text":"a","dataset":"cats"},{"text":"b","dataset":"cats"}]`), "Content-Type", "application/json")
	if got := decode[Batch](t, b); resp.StatusCode != 202 || got.Accepted != 2 {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	for body, code := range map[string]string{
		`[]`: "request.invalid", `{}`: "request.invalid", `[1`: "request.invalid", `[{}] x`: "request.invalid",
		`[1,2,3,4,5,6]`: "request.too-large",
	} {
		if _, b := r.ask("POST", "/v1/ingest/batch", strings.NewReader(body), "Content-Type", "application/json"); string(decode[Problem](t, b).Code) != code {
			t.Errorf("%s: %s", body, b)
		}
	}
}

func TestIdempotency(t *testing.T) {
	r := newRig(t)
	body := `{"dataset":"cats","text":"one"}`
	send := func(body string, head ...string) (*http.Response, []byte) {
		return r.ask("POST", "/v1/ingest", strings.NewReader(body), append([]string{"Content-Type", "application/json", "Idempotency-Key", "k1"}, head...)...)
	}
	resp, first := send(body)
	if resp.StatusCode != 202 || !strings.HasPrefix(decode[Accepted](t, first).Jobs[0].ID, "idem-") {
		t.Fatalf("%d %s", resp.StatusCode, first)
	}
	n := r.size()
	resp, second := send(body)
	if resp.StatusCode != 202 || string(second) != string(first) || resp.Header.Get("Idempotency-Replayed") != "true" || r.size() != n {
		t.Errorf("%d %s, %d records more", resp.StatusCode, second, r.size()-n)
	}
	r.refused(422, "idempotency.mismatch", "POST", "/v1/ingest", strings.NewReader(`{"dataset":"cats","text":"two"}`), "Content-Type", "application/json", "Idempotency-Key", "k1")
	r.refused(400, "request.invalid", "POST", "/v1/ingest", strings.NewReader(body), "Content-Type", "application/json", "Idempotency-Key", "a b")

	// Another tenant's key of the same name is another key.
	resp, other := send(`{"dataset":"birds","text":"one"}`, "Authorization", "Bearer "+r.other)
	if resp.StatusCode != 202 || decode[Accepted](t, other).Jobs[0].ID == decode[Accepted](t, first).Jobs[0].ID {
		t.Errorf("%d %s", resp.StatusCode, other)
	}
	// A gateway that remembers nothing gives the job the same id, and a worker knows the rest.
	r.tenants["acme"].keys = newMemory(time.Hour, 10, 1<<20)
	_, again := send(body)
	if a, b := decode[Accepted](t, again).Jobs[0], decode[Accepted](t, first).Jobs[0]; a.ID != b.ID || a.Partition != b.Partition || a.Offset == b.Offset {
		t.Errorf("%+v, before %+v", a, b)
	}
	// A refusal is not remembered: the request can be mended.
	bad := func(body string) (*http.Response, []byte) {
		return r.ask("POST", "/v1/ingest", strings.NewReader(body), "Content-Type", "application/json", "Idempotency-Key", "k2")
	}
	if resp, _ := bad(`{"dataset":"nobody","text":"x"}`); resp.StatusCode != 403 {
		t.Error(resp.StatusCode)
	}
	if resp, b := bad(`{"dataset":"cats","text":"x"}`); resp.StatusCode != 202 {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

// Two gateways on one topic: each has its own answers, and both give a request of one
// Idempotency-Key the same job, in the same partition, where a worker finds that it is a
// duplicate. That holds for another body, too, which one gateway alone would refuse.
func TestIdempotencyAcrossGateways(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	one := newRigAt(t, c.ListenAddrs()[0])
	two := newRigAt(t, c.ListenAddrs()[0], func(p *Parts) {
		p.Queue, p.Topic, p.Store, p.Config.Auth.Tokens = one.queue, one.topic.name, one.store, one.cfg.Auth.Tokens
	})
	two.token = one.token
	form := func() (string, io.Reader) {
		b, ct := parts(t, [4]string{"v", "a.mp4", "", "medium"})
		return ct, b
	}
	formType, formBody := form()
	again, againBody := form()
	for name, c := range map[string]struct {
		path, ct, againType string
		first, second       io.Reader
	}{
		"a job":         {"/v1/ingest", "application/json", "", strings.NewReader(`{"dataset":"cats","text":"one"}`), strings.NewReader(`{"dataset":"cats","text":"one"}`)},
		"another body":  {"/v1/ingest", "application/json", "", strings.NewReader(`{"dataset":"cats","text":"one"}`), strings.NewReader(`{"dataset":"cats","text":"two"}`)},
		"a medium":      {"/v1/ingest?dataset=cats", "image/png", "", strings.NewReader("x"), strings.NewReader("x")},
		"a large one":   {"/v1/ingest?dataset=cats", "video/mp4", "", bytes.NewReader(noise(9 << 20)), bytes.NewReader(noise(9 << 20))},
		"a form":        {"/v1/ingest?dataset=cats", formType, again, formBody, againBody},
		"another kind":  {"/v1/ingest?dataset=cats", "image/png", "application/json", strings.NewReader("x"), strings.NewReader(`{"dataset":"cats","text":"one"}`)},
		"other dataset": {"/v1/ingest", "application/json", "", strings.NewReader(`{"dataset":"cats","text":"one"}`), strings.NewReader(`{"dataset":"dogs","text":"one"}`)},
	} {
		if c.againType == "" {
			c.againType = c.ct
		}
		key := strings.ReplaceAll(name, " ", "-")
		a := one.take(c.path, c.ct, c.first, "Idempotency-Key", key).Jobs[0]
		b := two.take(c.path, c.againType, c.second, "Idempotency-Key", key).Jobs[0]
		if a.ID != b.ID || a.Partition != b.Partition || a.Offset == b.Offset {
			t.Errorf("%s: %+v and %+v", name, a, b)
		}
		// Both gateways read both handles.
		if p, ok := one.handles.open("acme", b.Job); !ok || p.Offset != b.Offset {
			t.Errorf("%s: the other's handle is %+v", name, p)
		}
	}
}

// A tenant that makes up keys without end makes its own first ones be forgotten, and no
// other tenant's.
func TestIdempotencyIsShared(t *testing.T) {
	r := newRig(t, func(p *Parts) { p.Config.Limits.IdempotencyKeys = 8 }) // four each
	send := func(key string, head ...string) string {
		t.Helper()
		resp, b := r.ask("POST", "/v1/ingest", strings.NewReader(`{"text":"x","dataset":"birds"}`), append([]string{"Content-Type", "application/json", "Idempotency-Key", key, "Authorization", "Bearer " + r.other}, head...)...)
		if resp.StatusCode != 202 {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
		return resp.Header.Get("Idempotency-Replayed")
	}
	send("mine")
	for i := range 20 {
		resp, b := r.ask("POST", "/v1/ingest", strings.NewReader(`{"text":"x","dataset":"cats"}`), "Content-Type", "application/json", "Idempotency-Key", fmt.Sprint("k", i))
		if resp.StatusCode != 202 {
			t.Fatalf("%d %s", resp.StatusCode, b)
		}
	}
	if send("mine") != "true" {
		t.Error("it was forgotten for another tenant's keys")
	}
	for i := range 4 {
		send(fmt.Sprint("more", i))
	}
	if send("mine") != "" {
		t.Error("it is remembered beyond the tenant's share")
	}
}
