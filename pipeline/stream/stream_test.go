package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sort"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// jobs is a feed of n jobs from an offset on; what id does is up to its name.
type jobs struct {
	next, end int64
	id        func(offset int64) string
	err       error
}

func (j *jobs) Next(ctx context.Context) (*pipeline.Delivery, error) {
	if j.next >= j.end {
		if j.err != nil {
			return nil, j.err
		}
		return nil, io.EOF
	}
	d := &pipeline.Delivery{Offset: j.next}
	j.next++
	switch id := j.id(d.Offset); id {
	case "nothing":
	case "skip":
		d.Skip = &pipeline.Skip{To: d.Offset + 1, Reason: "control"}
	case "broken":
		d.Fault = codecs.Errorf(pipeline.CodeMsgInvalid, codecs.StageTake, "no job")
	default:
		d.Parts = []pipeline.Part{{Job: pipeline.Job{ID: id, Dataset: "d", Text: fmt.Sprint("offset ", d.Offset), Media: []pipeline.Media{{URI: "test:"}}}}}
	}
	return d, nil
}

// mills give two samples a job after a while; a job named bad is refused, one named
// down brings the machinery down, one named twice gives a key again, one named foreign
// takes another job's. One named once waits for its repeat, which is refused.
type mills struct {
	mu    sync.Mutex
	ran   map[string]int
	again chan struct{}
}

func (m *mills) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	m.mu.Lock()
	m.ran[a.Job.ID]++
	m.mu.Unlock()
	if a.Job.Media[0].URI != "" {
		return pipeline.Verdict{}, errors.New("a mill was told a URI, which may hold secrets")
	}
	select {
	case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
	case <-ctx.Done():
		return pipeline.Verdict{}, ctx.Err()
	}
	switch a.Job.ID {
	case "bad":
		return pipeline.Verdict{Fault: &pipeline.Fault{Code: string(codecs.CodeInvalid), Stage: "decode", Detail: "bad"}}, nil
	case "down":
		return pipeline.Verdict{}, errors.New("the machinery is down")
	case "once":
		if a.Job.Text != "offset 0" {
			close(m.again)
			return pipeline.Verdict{Fault: &pipeline.Fault{Code: string(pipeline.CodeSourceGone), Stage: "fetch", Detail: "gone"}}, nil
		}
		<-m.again
	}
	for i := range int64(2) {
		id, at := a.Job.ID, i
		switch {
		case id == "twice":
			at = 0
		case id == "foreign" && i == 1:
			id = "job-1"
		}
		s := &pipeline.Sample{Key: pipeline.SampleKey("d", id, 0, 0, codecs.NewRational(at, 1)),
			Fields: []pipeline.Field{{Name: "json", Data: []byte("{}")}, {Name: "bin", Data: make([]byte, 30_000)}}}
		if err := sink.Add(s); err != nil {
			return pipeline.Verdict{}, err
		}
	}
	return pipeline.Verdict{Samples: 2}, nil
}

type quiet struct{}

func (quiet) Ended(*pipeline.Job, ledger.Status, pipeline.Verdict, int64) {}
func (quiet) Sampled()                                                    {}
func (quiet) Packed(packing.Fill)                                         {}
func (quiet) Committed(*ledger.Entry)                                     {}

type bench struct {
	t      *testing.T
	store  store.Store
	mills  *mills
	recipe *pipeline.Recipe
	idle   time.Duration

	// What most tests leave as it is.
	steady  bool
	workers int
	work    Mills
	observe Observer
	choose  func() *pipeline.Recipe
	keep    func(context.Context, *pipeline.Recipe) error
	cut     chan struct{}
}

func newBench(t *testing.T) *bench {
	m := &mills{ran: map[string]int{}, again: make(chan struct{})}
	return &bench{t: t, store: store.NewMemory(), mills: m, work: m, workers: 4, observe: quiet{}, recipe: &pipeline.Recipe{
		Dataset: "d", Digest: "r", Limits: codecs.DefaultLimits(),
		Outputs: []pipeline.Output{{Format: "webdataset", ShardBytes: 300_000, ShardSamples: 1000, ShardAge: time.Minute}},
	}}
}

// run takes the stream and works until the feed ends.
func (b *bench) run(ctx context.Context, feed func(next int64) Feed) error {
	chain, known, err := Take(ctx, b.store, ledger.NamedStream("s"), Options{})
	if err != nil {
		return err
	}
	s := New(Config{Dir: b.t.TempDir(), Window: 16, WindowBytes: 1 << 20, Idle: b.idle, Steady: b.steady}, Parts{
		Recipes: func(d string) *pipeline.Recipe {
			if d != "d" {
				return nil
			}
			if b.choose != nil {
				return b.choose()
			}
			return b.recipe
		},
		Fetch: func(_ context.Context, _ pipeline.Media, have *os.File) (mill.Bytes, pipeline.SourceID, error) {
			if have != nil {
				return have, pipeline.SourceID{}, nil
			}
			f, err := os.Open(os.DevNull)
			return f, pipeline.SourceID{URI: "test:"}, err
		},
		Mills: b.work, Chain: chain, Store: b.store, Known: known, Ahead: make(chan struct{}, b.workers), Observe: b.observe, Keep: b.keep, Cut: b.cut,
	})
	return s.Run(ctx, feed(chain.Next()))
}

// check reads everything back: the chain, the shards it names, and their samples.
func (b *bench) check(want map[string]ledger.Status) {
	b.t.Helper()
	got, keys := map[string]ledger.Status{}, map[string]int{}
	next := int64(0)
	for item, err := range ledger.Read(b.t.Context(), store.Plain{Store: b.store}, ledger.NamedStream("s"), 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		r := item.Record
		if r.From != next {
			b.t.Fatalf("record %d begins at %d, want %d", r.Seq, r.From, next)
		}
		next = r.To
		for _, o := range r.Outcomes {
			got[fmt.Sprint(o.Offset, " ", o.ID)] = o.Status
		}
		for _, sh := range r.Shards {
			for _, k := range b.keys(sh) {
				keys[k]++
			}
		}
	}
	if fmt.Sprint(sorted(got)) != fmt.Sprint(sorted(want)) {
		b.t.Errorf("outcomes are\n%v, want\n%v", sorted(got), sorted(want))
	}
	samples := 0
	for id, s := range want {
		if s == ledger.OK {
			samples += 2
			var offset int64
			var name string
			fmt.Sscan(id, &offset, &name)
			for i := range int64(2) {
				k := pipeline.SampleKey("d", name, 0, 0, codecs.NewRational(i, 1))
				if keys[k] != 1 {
					b.t.Errorf("sample %s of %s is there %d times", k, name, keys[k])
				}
			}
		}
	}
	if len(keys) != samples {
		b.t.Errorf("%d samples, want %d", len(keys), samples)
	}
}

func (b *bench) keys(sh ledger.Shard) []string {
	rc, info, err := b.store.Get(b.t.Context(), sh.Key, 0, -1)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil || info.Size != sh.Bytes {
		b.t.Fatalf("shard %s: %d bytes, want %d; %v", sh.Key, info.Size, sh.Bytes, err)
	}
	r, err := shard.Open(sh.Format, bytes.NewReader(data), sh.Bytes, shard.DefaultLimits())
	if err != nil {
		b.t.Fatal(err)
	}
	var keys []string
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			b.t.Fatal(err)
		}
		keys = append(keys, e.Key)
	}
}

func sorted(m map[string]ledger.Status) []string {
	var out []string
	for k, v := range m {
		out = append(out, k+"="+string(v))
	}
	sort.Strings(out)
	return out
}

// names gives offsets their ids, and what must become of them.
func names(n int64) (func(int64) string, map[string]ledger.Status) {
	special := map[int64]string{3: "bad", 5: "nothing", 7: "skip", 9: "broken", 20: "job-1", 30: "bad", 41: "job-40"}
	id := func(o int64) string {
		if s := special[o]; s != "" {
			return s
		}
		return fmt.Sprintf("job-%d", o)
	}
	want := map[string]ledger.Status{}
	for o := range n {
		switch name := id(o); name {
		case "bad":
			want[fmt.Sprint(o, " bad")] = ledger.Quarantined
		case "broken":
			want[fmt.Sprint(o, " ")] = ledger.Quarantined
		case "nothing":
			want[fmt.Sprint(o, " ")] = ledger.None
		case "skip":
		default:
			want[fmt.Sprint(o, " ", name)] = ledger.OK
			if o == 20 || o == 41 {
				want[fmt.Sprint(o, " ", name)] = ledger.DupOf
			}
		}
	}
	return id, want
}

func TestEveryOffsetOnce(t *testing.T) {
	b := newBench(t)
	id, want := names(100)
	if err := b.run(t.Context(), func(next int64) Feed { return &jobs{next: next, end: 100, id: id} }); err != nil {
		t.Fatal(err)
	}
	b.check(want)
}

// A stream that is stopped at any moment, and begun again, ends as one that was not.
func TestInterrupted(t *testing.T) {
	b := newBench(t)
	id, want := names(100)
	feed := func(next int64) Feed { return &jobs{next: next, end: 100, id: id} }
	for i := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(2+i*4)*time.Millisecond)
		if err := b.run(ctx, feed); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
	}
	if err := b.run(t.Context(), feed); err != nil {
		t.Fatal(err)
	}
	b.check(want)
}

// What is not a medium's fault stops the stream and commits nothing of what follows.
func TestStops(t *testing.T) {
	for name, feed := range map[string]*jobs{
		"machinery": {end: 30, id: func(o int64) string {
			if o == 17 {
				return "down"
			}
			return fmt.Sprintf("job-%d", o)
		}},
		"feed": {end: 10, id: func(o int64) string { return fmt.Sprintf("job-%d", o) }, err: errors.New("the broker is gone")},
	} {
		b := newBench(t)
		if err := b.run(t.Context(), func(int64) Feed { return feed }); err == nil {
			t.Errorf("%s: no error", name)
		}
		for item, err := range ledger.Read(t.Context(), store.Plain{Store: b.store}, ledger.NamedStream("s"), 0) {
			if r := item.Record; err != nil || r.To > 17 {
				t.Errorf("%s: record %d to %d, %v", name, r.From, r.To, err)
			}
		}
	}
}

// A sample that no shard can hold costs its own job, and neither the stream nor others.
func TestSampleRefused(t *testing.T) {
	b := newBench(t)
	ids := []string{"job-0", "twice", "job-2", "foreign", "job-1"}
	id := func(o int64) string { return ids[o] }
	if err := b.run(t.Context(), func(next int64) Feed { return &jobs{next: next, end: int64(len(ids)), id: id} }); err != nil {
		t.Fatal(err)
	}
	b.check(map[string]ledger.Status{"0 job-0": ledger.OK, "1 twice": ledger.Quarantined, "2 job-2": ledger.OK, "3 foreign": ledger.Quarantined, "4 job-1": ledger.OK})
}

// A repeat that failed while the first was under way is a repeat all the same: else the
// next one would be taken for new, and its samples be there twice.
func TestRepeatFails(t *testing.T) {
	b := newBench(t)
	for end := range int64(2) {
		if err := b.run(t.Context(), func(next int64) Feed {
			return &jobs{next: next, end: 2 + end, id: func(int64) string { return "once" }}
		}); err != nil {
			t.Fatal(err)
		}
	}
	b.check(map[string]ledger.Status{"0 once": ledger.OK, "1 once": ledger.DupOf, "2 once": ledger.DupOf})
}

// Ranges without messages fill a record as outcomes do.
func TestManySkips(t *testing.T) {
	b := newBench(t)
	id := func(int64) string { return "skip" }
	if err := b.run(t.Context(), func(next int64) Feed { return &jobs{next: next, end: 25_000, id: id} }); err != nil {
		t.Fatal(err)
	}
}

// withFiles gives each job two parts with a medium at hand.
type withFiles struct {
	jobs
	files []*os.File
}

func (w *withFiles) Next(ctx context.Context) (*pipeline.Delivery, error) {
	d, err := w.jobs.Next(ctx)
	if err != nil {
		return nil, err
	}
	d.Parts = append(d.Parts, d.Parts[0])
	d.Parts[1].Job.ID += "-second"
	for i := range d.Parts {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
		d.Parts[i].Files = []*os.File{f}
	}
	return d, nil
}

// A stream that stops closes what it took.
func TestStopClosesFiles(t *testing.T) {
	for range 20 { // what packing sees first is chance
		feed := &withFiles{jobs: jobs{end: 30, id: func(o int64) string {
			if o == 0 {
				return "down"
			}
			return fmt.Sprintf("job-%d", o)
		}}}
		if err := newBench(t).run(t.Context(), func(int64) Feed { return feed }); err == nil {
			t.Fatal("no error")
		}
		for i, f := range feed.files {
			if err := f.Close(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("file %d of %d is still open (%v)", i, len(feed.files), err)
			}
		}
	}
}

// With commit_when_idle, what there is is committed as soon as nothing more comes.
func TestIdle(t *testing.T) {
	b := newBench(t)
	b.idle = 50 * time.Millisecond
	b.untilThree()
}

// A batch that is small but old is committed while the stream waits for more.
func TestAge(t *testing.T) {
	b := newBench(t)
	b.recipe.Outputs[0].ShardAge = 50 * time.Millisecond
	b.untilThree()
}

// untilThree runs a stream that waits after its third job until these are committed.
func (b *bench) untilThree() {
	t := b.t
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for ctx.Err() == nil {
			for item, err := range ledger.Read(ctx, store.Plain{Store: b.store}, ledger.NamedStream("s"), 0) {
				if err == nil && item.Record.To == 3 {
					cancel()
					return
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	err := b.run(ctx, func(int64) Feed {
		return &blocking{jobs{end: 3, id: func(o int64) string { return fmt.Sprintf("job-%d", o) }}}
	})
	<-seen
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v before three jobs were committed", err)
	}
}

// blocking waits at its end instead of ending.
type blocking struct{ jobs }

func (b *blocking) Next(ctx context.Context) (*pipeline.Delivery, error) {
	d, err := b.jobs.Next(ctx)
	if errors.Is(err, io.EOF) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d, err
}
