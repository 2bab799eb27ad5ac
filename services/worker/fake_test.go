package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
)

func TestMain(m *testing.M) {
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

// topic is a log of one partition, and a group whose only member is told by the test what
// it has.
type topic struct {
	mu      sync.Mutex
	id      string
	values  [][]byte
	first   int64
	grown   chan struct{}
	advised []int64
	owner   queue.Owner
	end     context.CancelCauseFunc // of the generation
	owns    sync.WaitGroup
	gen     int32
	renewed chan int32 // generations that the member wants ended
}

func newTopic(jobs int) *topic {
	t := &topic{id: "topic-1", grown: make(chan struct{}), renewed: make(chan int32, 100)}
	t.produce(jobs)
	return t
}

func (t *topic) produce(jobs int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range jobs {
		t.values = append(t.values, fmt.Appendf(nil, `{"id": "job-%d", "dataset": "d", "text": "x"}`, len(t.values)))
	}
	close(t.grown)
	t.grown = make(chan struct{})
}

func (t *topic) Name() string                              { return "ingest" }
func (t *topic) ClusterID(context.Context) (string, error) { return "cluster", nil }

func (t *topic) ID(context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.id, nil
}

func (t *topic) StartOffset(context.Context, int) (int64, error) { return t.first, nil }

func (t *topic) Offsets(context.Context, int) (queue.Offsets, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := int64(len(t.values))
	return queue.Offsets{First: t.first, Stable: n, High: n}, nil
}

func (t *topic) Read(_ int, from int64, _ string, _ func(error)) Records { return &records{t, from} }

type records struct {
	t  *topic
	at int64
}

func (r *records) Close() error { return nil }

func (r *records) Next(ctx context.Context) (queue.Record, error) {
	for {
		r.t.mu.Lock()
		n, first, grown := int64(len(r.t.values)), r.t.first, r.t.grown
		r.t.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return queue.Record{}, ctx.Err()
		case r.at < first:
			return queue.Record{}, &queue.BelowStartError{Topic: "ingest", Offset: r.at, LogStart: first}
		case r.at > n:
			return queue.Record{}, &queue.AboveEndError{Topic: "ingest", Offset: r.at, High: n}
		case r.at < n:
			r.at++
			return queue.Record{Topic: "ingest", Offset: r.at - 1, Value: r.t.values[r.at-1]}, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}

func (t *topic) Join(_ context.Context, o queue.Owner) (Member, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owner = o
	return t, nil
}

// Close is the member's.
func (t *topic) Close(context.Context) error { t.part(queue.ErrMemberClosed); return nil }

// part ends the generation. It returns when the member has let go, as the group would wait.
func (t *topic) part(cause error) {
	t.mu.Lock()
	end := t.end
	t.end = nil
	t.mu.Unlock()
	if end != nil {
		end(cause)
	}
	t.owns.Wait()
}

// deal begins a generation with partition 0, or with none.
func (t *topic) deal(owned bool) {
	t.part(queue.ErrGenerationEnded)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen++
	var has, lost []int
	if owned {
		has = []int{0}
	} else {
		lost = []int{0}
	}
	t.owner.Assigned(t.gen, has, lost)
	if !owned {
		return
	}
	gen := t.gen
	ctx, end := context.WithCancelCause(context.Background())
	t.end = end
	t.owns.Go(func() {
		t.owner.Own(ctx, queue.Assignment{
			Topic: "ingest", Generation: gen, Renew: func() { t.renewed <- gen },
			Commit: func(offset int64) error {
				t.mu.Lock()
				defer t.mu.Unlock()
				t.advised = append(t.advised, offset)
				return nil
			},
		})
	})
}

// mills give one sample a job; do, if set, comes first.
type mills struct {
	mu  sync.Mutex
	ran map[string]int
	do  func(ctx context.Context, id string) error
}

func (m *mills) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	m.mu.Lock()
	if m.ran == nil {
		m.ran = map[string]int{}
	}
	m.ran[a.Job.ID]++
	do := m.do
	m.mu.Unlock()
	if do != nil {
		if err := do(ctx, a.Job.ID); err != nil {
			return pipeline.Verdict{}, err
		}
	}
	key := pipeline.SampleKey("d", a.Job.ID, 0, 0, codecs.NewRational(0, 1))
	if err := sink.Add(&pipeline.Sample{Key: key, Fields: []pipeline.Field{{Name: "json", Data: []byte("{}")}}}); err != nil {
		return pipeline.Verdict{}, err
	}
	return pipeline.Verdict{Samples: 1}, nil
}

// times is how often a job ran.
func (m *mills) times(id string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ran[id]
}

// most is how often any job ran.
func (m *mills) most() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.ran {
		n = max(n, k)
	}
	return n
}

// run is a worker at work: stop ends it as a signal does, kill at once, and end waits for it
// to end by itself. They give what Run gave.
type run struct {
	*Worker
	begin           func()
	stop, kill, end func() error
}

func parts(t testing.TB, topic Topic, s store.Store, m stream.Mills) Parts {
	recipe := &pipeline.Recipe{
		Dataset: "d", Digest: "r", Limits: codecs.DefaultLimits(),
		Outputs: []pipeline.Output{{Format: "webdataset", ShardBytes: 1 << 20, ShardSamples: 1000, ShardAge: time.Second}},
	}
	window := stream.DefaultConfig()
	window.Dir = t.TempDir()
	return Parts{
		Topic: topic, Message: message.Options{}, Window: window, Store: s, Mills: m, Count: 2,
		Recipes: func(string) *pipeline.Recipe { return recipe }, Observe: &stream.Tally{}, Log: slog.New(slog.DiscardHandler),
	}
}

func start(p Parts) run {
	r := prepare(p)
	r.begin()
	return r
}

func prepare(p Parts) run {
	w := New(p)
	ctx, cancel := context.WithCancel(context.Background())
	stop, ended := make(chan struct{}), make(chan error, 1)
	end := func(f func()) func() error {
		return sync.OnceValue(func() error { f(); err := <-ended; cancel(); ended <- err; return err })
	}
	return run{w, func() { go func() { ended <- w.Run(ctx, stop) }() }, end(func() { close(stop) }), end(cancel), end(func() {})}
}

// chain is what the ledger of partition 0 says: its records' kinds, and every offset's end.
func chain(t testing.TB, s store.Store) (kinds string, ends []ledger.Outcome, all []*ledger.Record) {
	t.Helper()
	for item, err := range ledger.Read(context.Background(), store.Plain{Store: s}, ledger.KafkaStream("cluster", "ingest", 0), 0) {
		if err != nil {
			t.Fatal(err)
		}
		r := item.Record
		all = append(all, r)
		kinds += string(r.Kind[0])
		ends = append(ends, r.Outcomes...)
	}
	return kinds, ends, all
}

// sound fails unless offsets 0 to n-1 have ended once each as samples, and verify is content.
func sound(t testing.TB, s store.Store, n int) {
	t.Helper()
	_, ends, _ := chain(t, s)
	if len(ends) != n {
		t.Errorf("%d offsets have ended, want %d", len(ends), n)
	}
	for i, o := range ends {
		if o.Offset != int64(i) || o.Status != ledger.OK {
			t.Errorf("outcome %d: %+v", i, o)
		}
	}
	r, err := ledger.Verify(context.Background(), store.Plain{Store: s}, ledger.VerifyOptions{Deep: true}, nil)
	if err != nil || !r.OK() {
		t.Errorf("verify: %v, %v", err, r)
	}
}

// seize fences the stream, as a member that does not know that it has lost it.
func seize(t testing.TB, s store.Store) {
	t.Helper()
	c, err := ledger.Open(context.Background(), store.Plain{Store: s}, ledger.KafkaStream("cluster", "ingest", 0), ledger.Options{Writer: "zombie"})
	if err == nil {
		err = c.Fence(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}
