package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var stream = ledger.KafkaStream("c1", "ingest", 3)

// chain begins a stream at offset 0.
func chain(t testing.TB, s ledger.Store, stream ledger.Stream) *ledger.Chain {
	t.Helper()
	c, err := ledger.Open(t.Context(), s, stream, ledger.Options{})
	if err == nil {
		err = c.Begin(t.Context(), 0)
	}
	if err == nil {
		err = c.Fence(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// commit writes one record; the offsets follow the chain's end.
func commit(t testing.TB, c *ledger.Chain, outcomes ...ledger.Outcome) {
	t.Helper()
	from := c.Next()
	to := from
	for i := range outcomes {
		outcomes[i].Offset += from
		to = max(to, outcomes[i].Offset+1)
	}
	if err := c.Commit(t.Context(), ledger.Entry{To: to, Outcomes: outcomes}); err != nil {
		t.Fatal(err)
	}
}

func refusal(at int64, id, code string) ledger.Outcome {
	return ledger.Outcome{Offset: at, ID: id, Dataset: "d", Status: ledger.Quarantined, Code: code, Stage: "fetch", Detail: "it says why"}
}

// repeat ends without samples, so that these tests need no shards.
func repeat(at int64, id string) ledger.Outcome {
	return ledger.Outcome{Offset: at, ID: id, Dataset: "d", Status: ledger.DupOf}
}

func places(t testing.TB, letters iter.Seq2[Letter, error]) []string {
	t.Helper()
	var out []string
	for l, err := range letters {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Place())
	}
	return out
}

func TestLetters(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	c := chain(t, s, stream)
	commit(t, c, refusal(0, "a", "source.gone"), repeat(1, "x"), refusal(2, "b", "decode.crash"))
	part := refusal(1, "n1", "source.denied")
	part.Part = 1
	commit(t, c, refusal(0, "", "msg.invalid"), refusal(1, "n0", "source.gone"), part)
	other := chain(t, s, ledger.NamedStream("cats"))
	commit(t, other, refusal(0, "c", "source.gone"))
	const k = "c1/ingest/3/"
	for _, q := range []struct {
		name  string
		query Query
		want  []string
	}{
		{"all", Query{}, []string{k + "0", k + "2", k + "3", k + "4", k + "4/1", "cats/0"}},
		{"a code", Query{Codes: []string{"source.gone"}}, []string{k + "0", k + "4", "cats/0"}},
		{"a family", Query{Codes: []string{"source.*", "msg.*"}}, []string{k + "0", k + "3", k + "4", k + "4/1", "cats/0"}},
		{"a stream", Query{Stream: "ingest/3", Codes: []string{"source.gone"}}, []string{k + "0", k + "4"}},
		{"a backfill", Query{Stream: "cats"}, []string{"cats/0"}},
		{"an id", Query{ID: "b"}, []string{k + "2"}},
		{"another dataset", Query{Dataset: "e"}, nil},
		{"later", Query{Since: time.Now().Add(time.Hour)}, nil},
		{"since before", Query{Since: time.Now().Add(-time.Hour), ID: "b"}, []string{k + "2"}},
	} {
		if got := places(t, Letters(t.Context(), s, q.query)); !slices.Equal(got, q.want) {
			t.Errorf("%s: %q, want %q", q.name, got, q.want)
		}
	}
	for _, bad := range []string{"", "*", "gone", "*.gone", "source.*x*"} {
		if (Query{Codes: []string{bad}}).Validate() == nil {
			t.Errorf("the code %q is taken", bad)
		}
	}
}

// A job that was refused and sent again is settled once it has ended as samples, and not
// when it was refused again, or had ended as samples before.
func TestSettled(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	ids := ledger.NewIDs(0)
	ids.Add("d", "before", 1, ledger.OK)
	ids.Add("d", "since", 9, ledger.OK)
	ids.Add("d", "again", 9, ledger.Quarantined)
	for id, want := range map[string]bool{"before": false, "since": true, "again": false, "never": false, "": false} {
		l := Letter{Outcome: refusal(5, id, "source.gone")}
		if got := settled(ids, &l); got != want {
			t.Errorf("%q: settled is %v", id, got)
		}
	}
	c := chain(t, s, stream)
	commit(t, c, refusal(0, "a", "source.gone"))
	known, err := known(t.Context(), s, stream)
	if _, status, found := known.Find("d", "a"); err != nil || !found || status != ledger.Quarantined {
		t.Errorf("the ledger's ids: %v, %v, %v", status, found, err)
	}
}

// topic is a dead-letter topic, and an ingest topic, in memory.
type topic struct {
	mu       sync.Mutex
	got      []queue.Message
	ingest   map[int64]*queue.Record
	fail     func(queue.Message) error
	arrivals chan struct{}
}

func (p *topic) publish(_ context.Context, ms ...queue.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range ms {
		if p.fail != nil {
			if err := p.fail(m); err != nil {
				return &queue.PublishError{Errs: []error{err}}
			}
		}
		p.got = append(p.got, m)
	}
	if p.arrivals != nil {
		p.arrivals <- struct{}{}
	}
	return nil
}

func (p *topic) original(_ context.Context, _ int32, offset int64) (*queue.Record, error) {
	return p.ingest[offset], nil
}

func (p *topic) keys() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.got {
		out = append(out, string(m.Key))
	}
	return out
}

func header(m queue.Message, name string) string {
	for _, h := range m.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func outbox(s ledger.Store, p *topic) *Outbox {
	return &Outbox{Store: s, Original: p.original, Publish: p.publish, Log: slog.New(slog.DiscardHandler)}
}

// The topic is told of each refused job, in order, by whoever has the stream; one who
// comes later goes on where the one before has come to.
func TestOutboxGoesOn(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	c := chain(t, s, stream)
	commit(t, c, refusal(0, "a", "source.gone"), repeat(1, "x"))
	p := &topic{ingest: map[int64]*queue.Record{
		0: {Key: []byte("a"), Value: []byte(`{"id": "a"}`), Headers: []queue.Header{{Key: "dataset", Value: []byte("d")}, {Key: "millrace-replay-of", Value: []byte("old")}}},
	}}
	tell := func() {
		t.Helper()
		if err := outbox(s, p).tell(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	tell()
	tell() // nothing new
	commit(t, c, refusal(0, "b", "decode.crash"))
	commit(t, c, repeat(0, "x"))
	tell()
	const k = "c1~ingest~3/"
	if got := p.keys(); !slices.Equal(got, []string{k + "0", k + "2"}) {
		t.Fatalf("told of %q", got)
	}
	first, second := p.got[0], p.got[1]
	if string(first.Value) != `{"id": "a"}` || header(first, "dataset") != "d" || header(first, headerKey) != "a" || header(first, headerValue) != valueOriginal || header(first, message.HeaderReplayOf) != "" {
		t.Errorf("the original does not stand in the letter: %s %v", first.Value, first.Headers)
	}
	for name, want := range map[string]string{
		headerTopic: "ingest", headerPartition: "3", headerOffset: "0", headerStage: "fetch", headerClass: "source.gone",
		headerMessage: "it says why", headerCode: "source.gone", headerID: "a", headerDataset: "d", headerPart: "0", headerAttempts: "1",
	} {
		if got := header(first, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if header(second, headerValue) != valueOutcome || !strings.Contains(string(second.Value), `"code":"decode.crash"`) {
		t.Errorf("a message that is gone: %s %v", second.Value, second.Headers)
	}
}

// A topic that is down holds up nothing but its letters: they come when it is back, the
// one under way perhaps twice, none never.
func TestOutboxWaits(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	c := chain(t, s, stream)
	p := &topic{arrivals: make(chan struct{}, 100)}
	down := true
	tried := make(chan struct{}, 100)
	p.fail = func(queue.Message) error {
		tried <- struct{}{}
		if down {
			return errors.New("the brokers are down")
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	wake, done := make(chan struct{}, 1), make(chan struct{})
	go func() { defer close(done); outbox(s, p).Run(ctx, stream, wake) }()
	for i := range 5 {
		commit(t, c, refusal(0, fmt.Sprint(i), "source.gone"))
	}
	wake <- struct{}{}
	<-tried
	p.mu.Lock()
	down = false
	p.mu.Unlock()
	for range 5 {
		<-p.arrivals
	}
	cancel()
	<-done
	keys := p.keys()
	slices.Sort(keys)
	if keys = slices.Compact(keys); len(keys) != 5 {
		t.Errorf("told of %q", keys)
	}
}

func TestOutboxTooLarge(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	commit(t, chain(t, s, stream), refusal(0, "a", "decode.crash"))
	p := &topic{ingest: map[int64]*queue.Record{0: {Key: []byte("a"), Value: make([]byte, 5000)}}}
	p.fail = func(m queue.Message) error {
		if len(m.Value) > 4000 {
			return kafka.MessageSizeTooLarge
		}
		return nil
	}
	if err := outbox(s, p).tell(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if len(p.got) != 1 || header(p.got[0], headerValue) != valueTooLarge || header(p.got[0], headerCode) != "decode.crash" {
		t.Errorf("%d letters: %v", len(p.got), p.got)
	}
}

// A place that can not be read costs repeats, never letters.
func TestOutboxPlaceBroken(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	commit(t, chain(t, s, stream), refusal(0, "a", "source.gone"))
	for _, text := range []string{"", "garbage", `{"seq": -7}`, `[]`} {
		if err := s.Replace(t.Context(), outboxPrefix+stream.Path(), []byte(text)); err != nil {
			t.Fatal(err)
		}
		p := &topic{}
		if err := outbox(s, p).tell(t.Context(), stream); err != nil || len(p.got) != 1 {
			t.Errorf("%q: %d letters, %v", text, len(p.got), err)
		}
	}
}

func TestReplay(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	c := chain(t, s, stream)
	part := refusal(3, "p1", "source.gone")
	part.Part = 1
	commit(t, c, refusal(0, "a", "source.gone"), refusal(1, "b", "source.gone"), refusal(2, "gone", "source.gone"), refusal(3, "p0", "source.gone"), part, refusal(4, "was", "source.gone"))
	commit(t, chain(t, s, ledger.NamedStream("cats")), refusal(0, "z", "source.gone"))
	commit(t, chain(t, s, ledger.KafkaStream("c2", "ingest", 0)), refusal(0, "y", "source.gone"))
	job := func(id string) []byte {
		return fmt.Appendf(nil, `{"id": %q, "dataset": "d", "text": "x", "media": [{"uri": "https://example.org/x"}]}`, id)
	}
	p := &topic{ingest: map[int64]*queue.Record{
		0: {Key: []byte("k"), Value: job("a"), Headers: []queue.Header{{Key: "traceparent", Value: []byte("t")}, {Key: "Millrace-Replay-Of", Value: []byte("older")}}},
		1: {Value: job("b")},
		3: {Value: []byte(`{"Records": [` + event("k0") + `,` + event("k1") + `]}`)},
		4: {Value: job("another")},
	}}
	options := message.Options{Dataset: "d", Buckets: []message.BucketRule{{Bucket: "b", Dataset: "d"}}}
	parts, err := message.Parse(message.Record{Value: p.ingest[3].Value}, options)
	if err != nil || len(parts) != 2 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	// The ids of a notification's jobs are derived, so the ledger has those.
	letters := func(yield func(Letter, error) bool) {
		for l, err := range Letters(t.Context(), s, Query{}) {
			if l.Stream == stream && l.Offset == 3 {
				l.ID = parts[l.Part].Job.ID
			}
			if !yield(l, err) {
				return
			}
		}
	}
	var left []string
	r := &Replayer{Original: p.original, Publish: p.publish, Options: options, Cluster: "c1", Topic: "ingest",
		Each: func(l *Letter, why string) {
			if why != "" {
				left = append(left, l.Place()+": "+why)
			}
		}}
	r.DryRun = true
	if n, err := r.Replay(t.Context(), letters, 0); err != nil || n != (Replayed{Sent: 3, Parts: 1, Left: 4}) || len(p.got) != 0 {
		t.Fatalf("dry: %+v, %d sent, %v", n, len(p.got), err)
	}
	r.DryRun, left = false, nil
	n, err := r.Replay(t.Context(), letters, 0)
	if err != nil || n != (Replayed{Sent: 3, Parts: 1, Left: 4}) {
		t.Fatalf("%+v, %v; left %q", n, err, left)
	}
	for i, want := range []struct{ key, of string }{{"k", "c1/ingest/3/0"}, {"b", "c1/ingest/3/1"}, {parts[0].Job.ID, "c1/ingest/3/3"}} {
		m := p.got[i]
		var of []string
		for _, h := range m.Headers {
			if strings.EqualFold(h.Key, message.HeaderReplayOf) {
				of = append(of, string(h.Value))
			}
		}
		if string(m.Key) != want.key || !slices.Equal(of, []string{want.of}) {
			t.Errorf("message %d: key %q, replay of %q; want %v", i, m.Key, of, want)
		}
	}
	if header(p.got[0], "traceparent") != "t" || string(p.got[1].Value) != string(job("b")) {
		t.Errorf("the message did not stay as it was: %v", p.got[0])
	}
	for _, want := range []string{"no longer has", "is not of the job", "--retry", "of cluster c2"} {
		if !slices.ContainsFunc(left, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("none is left since %q: %q", want, left)
		}
	}
	p.got = nil
	if n, err := r.Replay(t.Context(), letters, 2); err != nil || n.Sent != 2 || len(p.got) != 2 {
		t.Errorf("limited: %+v, %v", n, err)
	}
}

func event(key string) string {
	return fmt.Sprintf(`{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": %q, "size": 1, "eTag": "e"}}}`, key)
}

func TestWithoutSecrets(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"uri": "https://u:p@h.example/a/b.mp4?X-Amz-Signature=s3cret&x=1", "n": 1}`, `{"uri": "https://h.example/a/b.mp4", "n": 1}`},
		{`{"uri": "https:\/\/u:p@h.example\/a.mp4?s3cret"}`, `{"uri": "https:\/\/h.example\/a.mp4"}`},
		{`s3://key:s3cret@bucket/k HTTPS://h/?q#frag`, `s3://bucket/k HTTPS://h/#frag`},
		{`{"text": "no uri? just@text: a//b"}`, `{"text": "no uri? just@text: a//b"}`},
		{`{"uri": "https://h.example/plain.mp4"}`, `{"uri": "https://h.example/plain.mp4"}`},
	} {
		r := &queue.Record{Value: []byte(c.in)}
		got, kind := withoutSecrets(r)
		if string(got) != c.want || (kind == valueOriginal) != (c.in == c.want) {
			t.Errorf("%s\n gives %s (%s)\n  want %s", c.in, got, kind, c.want)
		}
	}
	media := &queue.Record{Value: []byte("https://u:p@h/?x"), Headers: []queue.Header{{Key: "Content-Type", Value: []byte("Video/mp4")}}}
	if got, kind := withoutSecrets(media); string(got) != string(media.Value) || kind != valueOriginal {
		t.Errorf("media bytes were changed: %s", got)
	}
	if got := kept([]queue.Header{{Key: "Authorization", Value: []byte("Bearer x")}, {Key: "uri", Value: []byte("https://u:p@h/?q")}}); len(got) != 1 || string(got[0].Value) != "https://h/" {
		t.Errorf("headers: %v", got)
	}
}

// Whatever stands around a URI, its userinfo and its query do not stay.
func FuzzWithoutSecrets(f *testing.F) {
	f.Add(`{"uri": "`, `", "n": 1}`)
	f.Add("", "")
	f.Add("https://", "?&@")
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "s3cr3t-0f-mine"
		text := before + " https://user:" + secret + "@host.example/path?sig=" + secret + " " + after
		got, _ := withoutSecrets(&queue.Record{Value: []byte(text)})
		if !strings.Contains(before+after, secret) && strings.Contains(string(got), secret) {
			t.Errorf("%q keeps it: %q", text, got)
		}
	})
}
