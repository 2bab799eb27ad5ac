package stream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// Each output has all samples of each record, one by one or as members of sequences, and
// none of another record.
func TestOutputsHoldAll(t *testing.T) {
	alternating := func(o int64) string { // wide ones do not go with the others
		if o%5 == 3 {
			return fmt.Sprint("wide-", o)
		}
		return plain(o)
	}
	for name, outputs := range map[string][]pipeline.Output{
		"every format": {{Format: "webdataset"}, {Format: "mds"}, {Format: "parquet"}},
		"compressed":   {{Format: "mds", Compression: "zstd"}, {Format: "parquet", Compression: "zstd"}},
		"packed twice": {{Format: "webdataset"}, {Format: "mds", Pack: pack(64, 9)}, {Format: "parquet", Pack: pack(100, 16)}},
	} {
		b := packs(t, outputs...)
		if err := b.feed(60, alternating); err != nil {
			t.Fatal(name, err)
		}
		total := 0
		for _, r := range b.records() {
			want := expected(r.outcomes)
			for _, o := range outputs {
				if len(r.Shards) == 0 && len(want) == 0 {
					continue
				}
				var got []string
				for _, s := range r.samples[o.Format] {
					if o.Pack == nil {
						got = append(got, s.Key)
						continue
					}
					keys, _, seq := members(t, s)
					got = append(got, keys...)
					if seq.Length > o.Pack.Budget || seq.Budget != o.Pack.Budget {
						t.Errorf("%s: a sequence of %d tokens where %d fit", name, seq.Length, o.Pack.Budget)
					}
				}
				sort.Strings(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s: record %d has %d samples in %s, %d were promised", name, r.Seq, len(got), o.Format, len(want))
				}
			}
			total += len(want)
		}
		if total != 120 {
			t.Errorf("%s: %d samples in all", name, total)
		}
		if r := b.verify(); !r.OK() {
			t.Errorf("%s: verify finds %v", name, r.Faults)
		}
	}
}

// A format with columns has a shard for each shape of samples.
func TestShapesSplitShards(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "mds"}, pipeline.Output{Format: "webdataset"})
	for i := range b.recipe.Outputs {
		b.recipe.Outputs[i].ShardBytes = 1 << 20
	}
	if err := b.feed(8, func(o int64) string { return []string{"job-", "wide-"}[o%2] + fmt.Sprint(o) }); err != nil {
		t.Fatal(err)
	}
	shards := map[string]int{}
	for _, r := range b.records() {
		for _, sh := range r.Shards {
			shards[sh.Format]++
			numbers := map[int]bool{}
			for _, s := range b.samples(sh) {
				numbers[len(s.Fields)] = true
			}
			if want := map[string]int{"webdataset": 2, "mds": 1}[sh.Format]; len(numbers) != want {
				t.Errorf("samples in a shard of %s have these numbers of fields: %v", sh.Format, numbers)
			}
		}
	}
	if shards["webdataset"] != 1 || shards["mds"] != 2 {
		t.Errorf("shards are %v", shards)
	}
}

// tattle writes down what is done to a store, in order, and fails what it is told to.
type tattle struct {
	mu    sync.Mutex
	calls []string
	fail  func(op, key string) bool
}

func (l *tattle) rule(op, key string, _ int) store.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, op+" "+key)
	if l.fail != nil && l.fail(op, key) {
		return store.Fault{Before: errors.New("the store is down")}
	}
	return store.Fault{}
}

func (l *tattle) say(s string) {
	l.mu.Lock()
	l.calls = append(l.calls, s)
	l.mu.Unlock()
}

// first is the place of the first call that has all words.
func (l *tattle) first(words ...string) int {
	return slices.IndexFunc(l.calls, func(c string) bool {
		for _, w := range words {
			if !strings.Contains(c, w) {
				return false
			}
		}
		return true
	})
}

func (l *tattle) count(word string) (n int) {
	for _, c := range l.calls {
		if strings.Contains(c, word) {
			n++
		}
	}
	return n
}

// What a record names is there before it: shards, what lies beside them, and the recipe.
func TestBeforeTheRecord(t *testing.T) {
	write := func(op string) bool { return op == "put" || op == "create" }
	for name, c := range map[string]struct {
		fail    func(op, key string) bool
		recipe  error
		records bool
	}{
		"all goes well": {nil, nil, true},
		"beside":        {func(op, key string) bool { return write(op) && strings.HasSuffix(key, shard.TarIndexSuffix) }, nil, false},
		"shard":         {func(op, key string) bool { return write(op) && strings.HasSuffix(key, ".tar") }, nil, false},
		"recipe":        {nil, errors.New("no room for recipes"), false},
	} {
		b := packs(t, pipeline.Output{Format: "webdataset"})
		seen := &tattle{fail: c.fail}
		b.store = store.NewFaulty(b.store, seen.rule)
		b.keep = func(_ context.Context, r *pipeline.Recipe) error {
			seen.say("keep " + r.Digest)
			return c.recipe
		}
		if err := b.feed(60, plain); (err == nil) != c.records {
			t.Errorf("%s: the stream ends with %v", name, err)
		}
		seen.fail = nil
		records := 0
		for _, r := range b.records() {
			if len(r.Shards) > 0 {
				records++
			}
		}
		if !c.records {
			if records > 0 {
				t.Errorf("%s: %d records all the same", name, records)
			}
			continue
		}
		if records < 2 {
			t.Fatalf("%s: only %d records", name, records)
		}
		if seen.count("keep r") != 1 {
			t.Errorf("the recipe was kept %d times", seen.count("keep r"))
		}
		for i, r := range b.records() {
			for _, sh := range r.Shards {
				beside, itself, told := seen.first(" "+sh.Key+shard.TarIndexSuffix), seen.first(" "+sh.Key), seen.first("create", fmt.Sprintf("%010d", r.Seq))
				if beside < 0 || itself < 0 || told < 0 || told < beside || told < itself || told < seen.first("keep r") {
					t.Errorf("record %d: index %d, shard %d, record %d, recipe %d", i, beside, itself, told, seen.first("keep r"))
				}
			}
		}
	}
}

// What can not be packed costs its own job, by a code that stays.
func TestPackQuarantine(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "webdataset", Pack: pack(64, 8)})
	ids := []string{"job-0", "bare-1", "long-2", "job-3", "odd-4", "torn-5", "job-6"}
	if err := b.feed(int64(len(ids)), func(o int64) string { return ids[o] }); err != nil {
		t.Fatal(err)
	}
	want := []string{"", "msg.not-taken", "limit.tokens", "", "decode.invalid", "decode.invalid", ""}
	var got []string
	for _, r := range b.records() {
		for _, o := range r.outcomes {
			got = append(got, o.Code)
			if (o.Status == ledger.OK) != (o.Code == "") || o.Code != "" && o.Stage != "pack" {
				t.Errorf("job %s ends as %s at %q: %s", o.ID, o.Status, o.Stage, o.Detail)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("codes are %q, want %q", got, want)
	}
	if r := b.verify(); !r.OK() {
		t.Errorf("verify finds %v", r.Faults)
	}
}

// So does what only some format does not take.
func TestFormatQuarantine(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "webdataset"}, pipeline.Output{Format: "parquet"})
	ids := []string{"job-0", "torn-1", "job-2"}
	if err := b.feed(3, func(o int64) string { return ids[o] }); err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, r := range b.records() {
		for _, o := range r.outcomes {
			codes = append(codes, o.Code)
		}
	}
	if !slices.Equal(codes, []string{"", "decode.invalid", ""}) {
		t.Errorf("codes are %q", codes)
	}
}

// stopper ends a run after so many commits.
type stopper struct {
	quiet
	after int
	stop  func()
}

func (s *stopper) Committed(*ledger.Entry) {
	if s.after--; s.after == 0 {
		s.stop()
	}
}

// lockstep gives a job only when the one before it is packed.
type lockstep struct {
	quiet
	jobs
	ended chan struct{}
}

func (l *lockstep) Ended(*pipeline.Job, ledger.Status, pipeline.Verdict, int64) {
	l.ended <- struct{}{}
}

func (l *lockstep) Next(ctx context.Context) (*pipeline.Delivery, error) {
	if l.next > 0 {
		select {
		case <-l.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return l.jobs.Next(ctx)
}

// A steady stream gives the same sequences whatever finishes first, however often it is
// stopped, and whatever the recipe says of age.
func TestSteady(t *testing.T) {
	id := func(o int64) string {
		switch {
		case o%3 == 2:
			return fmt.Sprint("job-", o-1) // a repeat, whose first may be under way
		case o%23 == 22:
			return fmt.Sprint("bad-", o)
		}
		return plain(o)
	}
	const n = 150
	run := func(workers int, stops bool) (seen []string) {
		b := packs(t, pipeline.Output{Format: "webdataset", Pack: pack(64, 32)}, pipeline.Output{Format: "mds", Pack: pack(100, 16)}, pipeline.Output{Format: "parquet"})
		for i := range b.recipe.Outputs {
			b.recipe.Outputs[i].ShardAge = time.Millisecond
		}
		b.steady, b.workers, b.idle = true, workers, time.Millisecond
		for runs := 1; stops; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			b.observe = &stopper{after: 1 + runs%2, stop: cancel}
			err := b.run(ctx, func(next int64) Feed { return &jobs{next: next, end: n, id: id} })
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		b.observe = quiet{}
		feed := func(next int64) Feed { return &jobs{next: next, end: n, id: id} }
		if workers == 1 { // then a repeat is known as one before it is worked on
			l := &lockstep{jobs: jobs{end: n, id: id}, ended: make(chan struct{}, 1)}
			b.observe, feed = l, func(int64) Feed { return l }
		}
		if err := b.run(t.Context(), feed); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.records() {
			for format, samples := range r.samples {
				var keys []string
				for _, s := range samples {
					keys = append(keys, s.Key)
				}
				sort.Strings(keys)
				seen = append(seen, fmt.Sprint(r.From, " ", r.To, " ", format, " ", keys))
			}
		}
		if r := b.verify(); !r.OK() {
			t.Errorf("verify finds %v", r.Faults)
		}
		sort.Strings(seen)
		return seen
	}
	want := run(1, false)
	if len(want) < 9 {
		t.Fatalf("only %d records and formats", len(want))
	}
	for _, c := range []struct {
		workers int
		stops   bool
	}{{4, false}, {16, false}, {4, true}} {
		if got := run(c.workers, c.stops); !slices.Equal(got, want) {
			t.Errorf("with %d workers, stopped: %t, the sequences are others", c.workers, c.stops)
		}
	}
}

// Samples of a recipe that is loaded anew are packed by themselves.
func TestPackRecipeAnew(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "webdataset", Pack: pack(64, 100)})
	again := *b.recipe
	again.Digest = "again"
	old := b.recipe
	var mu sync.Mutex
	n := 0
	b.workers = 1
	b.choose = func() *pipeline.Recipe {
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 5 {
			return &again
		}
		return old
	}
	if err := b.feed(10, plain); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, r := range b.records() {
		for _, s := range r.samples["webdataset"] {
			_, recipes, seq := members(t, s)
			for _, made := range recipes {
				counts[made]++
				if made != seq.Recipe {
					t.Errorf("a sequence of recipe %s has a sample of %s", seq.Recipe, made)
				}
			}
		}
	}
	if !reflect.DeepEqual(counts, map[string]int{"r": 10, "again": 10}) {
		t.Errorf("samples by recipe: %v", counts)
	}
}

// A window of large samples lies on disk, without what packing has no use for, and is
// packed before it grows beyond what shards of one batch have.
func TestWindowBytes(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "webdataset", Pack: pack(64, 1000)})
	b.recipe.Outputs[0].ShardBytes = 1000
	ba := &batch{name: func() string { return "window" }, open: map[output]*openShard{}, windows: map[output]*sequencer{}}
	defer ba.abort()
	key := output{dataset: "d"}
	most, n := int64(0), 0
	for ; len(ba.shards) == 0 && n < 100; n++ {
		s := cutters{budget: 64}.sample(fmt.Sprint("job-", n), 0, "r")
		if err := ba.collect(t.TempDir(), key, b.recipe, s); err != nil {
			t.Fatal(err)
		}
		w := ba.windows[key]
		most = max(most, w.size)
		if s.Bytes() < 3000 || w.size > int64(1000*(n+1)) {
			t.Fatalf("%d samples of %d bytes each take %d in the window", n+1, s.Bytes(), w.size)
		}
	}
	if st, err := ba.windows[key].file.Stat(); err != nil || st.Size() != 0 || ba.windows[key].size != 0 {
		t.Errorf("after packing the window's file has %d bytes, %v", st.Size(), err)
	}
	if n < 5 || n > 30 || most >= maxShards*1000 {
		t.Errorf("%d samples filled a window of %d bytes", n, most)
	}
}

// A batch whose samples all wait to be packed grows old as any other.
func TestPackAge(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "webdataset", Pack: pack(64, 1000)})
	b.recipe.Outputs[0].ShardAge = 50 * time.Millisecond
	b.untilThree()
}

// filler adds up what was packed.
type filler struct {
	quiet
	mu   sync.Mutex
	fill packing.Fill
}

func (f *filler) Packed(p packing.Fill) {
	f.mu.Lock()
	f.fill = f.fill.Plus(p)
	f.mu.Unlock()
}

// The observer hears of all sequences, and verify holds records against their members.
func TestMembers(t *testing.T) {
	b := packs(t, pipeline.Output{Format: "webdataset", Pack: pack(64, 8)})
	f := &filler{}
	b.observe = f
	if err := b.feed(40, plain); err != nil {
		t.Fatal(err)
	}
	var sequences, packed, tokens int64
	for _, r := range b.records() {
		for _, sh := range r.Shards {
			sequences, packed = sequences+sh.Samples, packed+sh.Members
		}
		for _, s := range r.samples["webdataset"] {
			_, _, seq := members(t, s)
			tokens += int64(seq.Length)
		}
	}
	if want := (packing.Fill{Packs: sequences, Samples: 80, Tokens: tokens, Slots: 64 * sequences}); f.fill != want || packed != 80 {
		t.Errorf("told was %+v, want %+v; %d members", f.fill, want, packed)
	}
}

func TestVerifyMembers(t *testing.T) {
	for members, ok := range map[int64]bool{7: true, 6: false, 8: false, 0: false} {
		s := store.NewMemory()
		chain, _, err := Take(t.Context(), s, ledger.NamedStream("s"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		key, body := chain.ShardKey("tar"), store.BytesBody([]byte("sequences"))
		if err := store.Upload(t.Context(), s, key, body); err != nil {
			t.Fatal(err)
		}
		e := ledger.Entry{To: 1, Outcomes: []ledger.Outcome{{ID: "a", Dataset: "d", Status: ledger.OK, Samples: 7}},
			Shards: []ledger.Shard{{Key: key, Dataset: "d", Format: "webdataset", Bytes: body.Size, SHA256: fmt.Sprintf("%x", body.SHA256), CRC32C: fmt.Sprintf("%08x", body.CRC32C),
				Samples: 2, Members: members, To: 1}}}
		if err := chain.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, store: s}
		if r := b.verify(); r.OK() != ok {
			t.Errorf("2 sequences of %d samples, 7 promised: verify finds %v", members, r.Faults)
		}
	}
}
