package ledger_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"pgregory.net/rapid"
)

// world is several writers on one stream, over a store that fails in every way a
// store is allowed to: requests that do nothing, lost replies, requests that land long
// after they were given up, conflicts, downloads that break off. Writers die in the
// middle of a call, go to sleep and wake late, and never agree on who owns the stream.
type world struct {
	t       fataler
	memory  *store.Memory
	faulty  *store.Faulty
	s       ledger.Store
	rng     *rand.Rand
	cancel  context.CancelFunc // of the call under way
	killing float64            // the chance that a request's caller dies in it

	writers []*ledger.Chain
	born    int
	commits int
	acked   map[string]bool // the first id of each commit that returned nil
	refused map[string]bool // and of each that said that nothing landed
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func newWorld(t fataler, seed uint64, rates store.Rates, killing float64) *world {
	w := &world{
		t: t, memory: store.NewMemory(), rng: rand.New(rand.NewPCG(seed, 7)), killing: killing, //nolint:gosec // replayable
		writers: make([]*ledger.Chain, 4), acked: map[string]bool{}, refused: map[string]bool{},
	}
	draw := rates.Rule(seed)
	w.faulty = store.NewFaulty(w.memory, func(op, key string, n int) store.Fault {
		fault := draw(op, key, n)
		if w.cancel != nil && w.rng.Float64() < w.killing {
			w.cancel()
		}
		return fault
	})
	w.s = store.Plain{Store: store.NewRetry(w.faulty, store.Policy{Attempts: 50, Base: 1, Max: 1})}
	return w
}

// call runs f under a context that may end while f runs.
func (w *world) call(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	defer func() { w.cancel = nil; cancel() }()
	return f(ctx)
}

// take lets a new process open the stream and fence it; it may fail.
func (w *world) take(i int) {
	w.born++
	opts := quick(fmt.Sprintf("writer-%d", w.born))
	opts.Wait, opts.MaxWait = 1, 1 // nanoseconds
	w.writers[i] = nil
	_ = w.call(func(ctx context.Context) error {
		c, err := ledger.Open(ctx, w.s, stream, opts)
		if err != nil {
			return w.allowed(err)
		}
		if err := c.Begin(ctx, int64(w.rng.IntN(50))); err != nil {
			return w.allowed(err)
		}
		if err := c.Fence(ctx); err != nil {
			return w.allowed(err)
		}
		w.writers[i] = c
		return nil
	})
}

// allowed are the errors that a writer may meet here. A broken chain is none of them.
func (w *world) allowed(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, ledger.ErrFenced) || errors.Is(err, ledger.ErrUnsettled) {
		return err
	}
	w.t.Fatalf("a writer met: %v", err)
	return err
}

// commit lets a writer account for some offsets, in its own words.
func (w *world) commit(i int) {
	c := w.writers[i]
	if c == nil {
		return
	}
	w.commits++
	e := ledger.Entry{To: c.Next() + 1 + int64(w.rng.IntN(5))}
	first := fmt.Sprintf("commit-%d", w.commits)
	for o := c.Next(); o < e.To; o++ {
		e.Outcomes = append(e.Outcomes, ledger.Outcome{Offset: o, ID: first, Status: ledger.None})
	}
	err := w.call(func(ctx context.Context) error { return c.Commit(ctx, e) })
	switch {
	case err == nil:
		w.acked[first] = true
		return
	case errors.Is(err, ledger.ErrUnsettled):
	default:
		_ = w.allowed(err)
		w.refused[first] = true
	}
	if c.Err() != nil && w.rng.IntN(2) == 0 {
		w.writers[i] = nil
	}
}

// step lets something happen.
func (w *world) step() {
	i := w.rng.IntN(len(w.writers))
	switch n := w.rng.IntN(20); {
	case n < 4 || w.writers[i] == nil && n < 10:
		w.take(i)
	case n == 19:
		w.faulty.Settle()
	default:
		w.commit(i)
	}
}

// link is as much of a record as the checker knows; it shares no code with the ledger.
type link struct {
	Kind     string
	Seq      int64
	Previous string
	Epoch    int64
	Writer   string
	From, To int64
	Outcomes []struct {
		Offset int64
		ID     string
	}
}

// check reads the objects themselves and says what is wrong, or "".
func (w *world) check() string {
	w.faulty.Settle()
	var prev link
	var prevSum string
	seen := map[string]int64{} // first ids to records
	n := int64(0)
	for info, err := range w.memory.List(context.Background(), "_log/", "") {
		if err != nil {
			return err.Error()
		}
		rc, _, err := w.memory.Get(context.Background(), info.Key, 0, -1)
		if err != nil {
			return err.Error()
		}
		data, _ := io.ReadAll(rc)
		var l link
		if err := json.Unmarshal(data, &l); err != nil {
			return err.Error()
		}
		switch {
		case l.Seq != n || info.Key != fmt.Sprintf("_log/cluster-1~ingest~3/%020d", n):
			return fmt.Sprintf("%s is record %d, want %d", info.Key, l.Seq, n)
		case l.Previous != prevSum:
			return fmt.Sprintf("record %d does not follow record %d", n, n-1)
		case n > 0 && l.From != prev.To:
			return fmt.Sprintf("record %d starts at %d, but the one before ends at %d", n, l.From, prev.To)
		case l.Kind == "fence" && l.Epoch != prev.Epoch+1, l.Kind == "data" && (l.Epoch != prev.Epoch || l.Writer != prev.Writer):
			return fmt.Sprintf("record %d, %s of epoch %d by %s, follows epoch %d by %s", n, l.Kind, l.Epoch, l.Writer, prev.Epoch, prev.Writer)
		case l.Kind == "data" && int64(len(l.Outcomes)) != l.To-l.From:
			return fmt.Sprintf("record %d has %d outcomes for %d offsets", n, len(l.Outcomes), l.To-l.From)
		}
		for i, o := range l.Outcomes {
			if o.Offset != l.From+int64(i) {
				return fmt.Sprintf("record %d accounts for %d where %d was expected", n, o.Offset, l.From+int64(i))
			}
		}
		if l.Kind == "data" {
			if other, ok := seen[l.Outcomes[0].ID]; ok {
				return fmt.Sprintf("%s is in the records %d and %d", l.Outcomes[0].ID, other, n)
			}
			seen[l.Outcomes[0].ID] = n
		}
		prev, prevSum = l, fmt.Sprintf("%x", sha256.Sum256(data))
		n++
	}
	for id := range w.acked {
		if _, ok := seen[id]; !ok {
			return id + " was acknowledged, and is gone"
		}
	}
	for id := range w.refused {
		if _, ok := seen[id]; ok {
			return id + " was refused, and is there"
		}
	}
	return ""
}

// TestOneChain: whatever fails, there is one chain in which each offset stands once,
// what was acknowledged is there, and what was refused is not. In the end, with the
// store well again, the next writer goes on.
func TestOneChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := func(name string, most float64) float64 { return rapid.Float64Range(0, most).Draw(t, name) }
		rates := store.Rates{
			Before: rate("before", 0.2), After: rate("after", 0.2), Conflict: rate("conflict", 0.2), Short: rate("short", 0.2),
			Late: rate("late", 0.3), MaxLate: rapid.IntRange(1, 60).Draw(t, "maxLate"),
		}
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"), rates, rate("killing", 0.05))
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			w.step()
		}
		if fault := w.check(); fault != "" {
			t.Fatalf("%s", fault)
		}
		s := store.Plain{Store: w.memory}
		heir, err := ledger.Open(context.Background(), s, stream, quick("heir"))
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, err := range []error{heir.Begin(context.Background(), 0), heir.Fence(context.Background())} {
			if err != nil {
				t.Fatalf("the heir: %v", err)
			}
		}
		report, err := ledger.Verify(context.Background(), s, ledger.VerifyOptions{}, nil)
		if err != nil || !report.OK() {
			t.Fatalf("verify: %v, %v", err, report)
		}
	})
}

// TestOneChainSeeds runs a fixed row of worlds, harsh throughout.
func TestOneChainSeeds(t *testing.T) {
	rates := store.Rates{Before: 0.1, After: 0.1, Conflict: 0.1, Short: 0.1, Late: 0.2, MaxLate: 40}
	var records, unsettled int
	for seed := range uint64(*seeds) { //nolint:gosec // never negative
		w := newWorld(t, seed, rates, 0.01)
		for range 80 {
			w.step()
		}
		if fault := w.check(); fault != "" {
			t.Fatalf("seed %d: %s", seed, fault)
		}
		unsettled += w.commits - len(w.acked) - len(w.refused)
		for range w.memory.List(t.Context(), "_log/", "") {
			records++
		}
	}
	t.Logf("%d worlds, %d records, %d commits left unsettled", *seeds, records, unsettled)
	if records < 20**seeds || unsettled < *seeds/4 {
		t.Errorf("too little happened to prove anything: %d records, %d unsettled", records, unsettled)
	}
}

var seeds = flag.Int("seeds", 300, "worlds that TestOneChainSeeds runs")

// overwriting is a store that takes If-None-Match for a suggestion.
type overwriting struct{ store.Plain }

func (s overwriting) Create(ctx context.Context, key string, data []byte) error {
	return s.Replace(ctx, key, data)
}

// TestCheckerNotices proves that TestOneChain would fail on a store that breaks its
// promise, so that its passing means something.
func TestCheckerNotices(t *testing.T) {
	caught := 0
	const worlds = 50
	for seed := range uint64(worlds) {
		w := newWorld(noFatal{}, seed, store.Rates{}, 0.01)
		w.s = overwriting{store.Plain{Store: w.faulty}}
		for range 60 {
			w.step()
		}
		if w.check() != "" {
			caught++
		}
	}
	if caught < worlds*9/10 {
		t.Errorf("the checker noticed %d of %d broken stores", caught, worlds)
	}
}

// noFatal takes what a broken chain makes writers say.
type noFatal struct{}

func (noFatal) Fatalf(string, ...any) {}
