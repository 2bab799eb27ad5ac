package claim_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

var seeds = flag.Int("seeds", 100, "worlds that TestOneChain goes through")

// world is several processes that write one stream, over a store that takes every
// create for a put, and a claim log that loses requests and replies, writes twice and
// late. Processes die in the middle of a call and leave what they had begun.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	memory *store.Memory
	faulty *store.Faulty
	log    *claim.Memory
	cancel context.CancelFunc // of the call under way

	writers        []*ledger.Chain
	stores         []*claim.Store
	born, commits  int
	acked, refused map[string]bool
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 3)), memory: store.NewMemory(),
		writers: make([]*ledger.Chain, 4), stores: make([]*claim.Store, 4), acked: map[string]bool{}, refused: map[string]bool{},
	}
	draw := store.Rates{Before: 0.05, After: 0.05, Late: 0.05, MaxLate: 60, Short: 0.1}.Rule(seed)
	w.faulty = store.NewFaulty(overwriting{w.memory}, func(op, key string, n int) store.Fault {
		w.die()
		return draw(op, key, n)
	})
	w.log = claim.NewMemory(4, func(int) claim.Fate {
		w.die()
		switch p := w.rng.Float64(); {
		case p < 0.1:
			return claim.Fate{Lost: true}
		case p < 0.2:
			return claim.Fate{Reply: true}
		case p < 0.3:
			return claim.Fate{Twice: true}
		case p < 0.5:
			return claim.Fate{Late: 1 + w.rng.IntN(40)}
		}
		return claim.Fate{}
	})
	return w
}

// die ends the call under way, now and then.
func (w *world) die() {
	if w.cancel != nil && w.rng.Float64() < 0.01 {
		w.cancel()
	}
}

func (w *world) call(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	defer func() { w.cancel = nil; cancel() }()
	return f(ctx)
}

// take lets a new process open the stream and fence it; it may fail.
func (w *world) take(i int) {
	if w.stores[i] != nil {
		_ = w.stores[i].Close()
	}
	w.born++
	w.writers[i] = nil
	w.stores[i] = claim.New(store.NewRetry(w.faulty, store.Policy{Attempts: 50, Base: 1, Max: 1}), w.log, claim.Options{Location: "test:"})
	opts := quick(fmt.Sprintf("writer-%d", w.born))
	opts.Wait, opts.MaxWait = 1, 1
	_ = w.call(func(ctx context.Context) error {
		if err := w.stores[i].Open(ctx); err != nil {
			return err // also a fault on purpose
		}
		c, err := ledger.Open(ctx, store.Plain{Store: w.stores[i]}, stream, opts)
		if err == nil {
			err = c.Begin(ctx, int64(w.rng.IntN(50)))
		}
		if err == nil {
			err = c.Fence(ctx)
		}
		if err == nil {
			w.writers[i] = c
		}
		return w.allowed(err)
	})
}

// allowed are the errors that a writer may meet here. That an object was replaced while
// it was read is one: a late put of the same bytes, when the download broke off too.
func (w *world) allowed(err error) error {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, ledger.ErrFenced) && !errors.Is(err, ledger.ErrUnsettled) {
		w.t.Fatalf("a writer met: %v", err)
	}
	return err
}

func (w *world) commit(i int) {
	c := w.writers[i]
	if c == nil {
		return
	}
	w.commits++
	e := ledger.Entry{To: c.Next() + 1 + int64(w.rng.IntN(5))}
	id := fmt.Sprintf("commit-%d", w.commits)
	for o := c.Next(); o < e.To; o++ {
		e.Outcomes = append(e.Outcomes, ledger.Outcome{Offset: o, ID: id, Status: ledger.None})
	}
	err := w.call(func(ctx context.Context) error { return c.Commit(ctx, e) })
	switch {
	case err == nil:
		w.acked[id] = true
	case errors.Is(err, ledger.ErrUnsettled):
	default:
		_ = w.allowed(err)
		w.refused[id] = true
	}
}

func (w *world) step() {
	i := w.rng.IntN(len(w.writers))
	switch n := w.rng.IntN(20); {
	case n < 3 || w.writers[i] == nil && n < 12:
		w.take(i)
	case n == 19:
		w.faulty.Settle()
	default:
		w.commit(i)
	}
}

// check reads the chain from the store alone, and compares it with what writers were
// told.
func (w *world) check() (records int) {
	w.faulty.Settle()
	s := store.Plain{Store: w.memory}
	report, err := ledger.Verify(context.Background(), s, ledger.VerifyOptions{}, nil)
	if err != nil || !report.OK() {
		w.t.Fatalf("verify: %v, %v", err, report)
	}
	seen := map[string]int{}
	for item, err := range ledger.Read(context.Background(), s, stream, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		records++
		if len(item.Record.Outcomes) > 0 {
			seen[item.Record.Outcomes[0].ID]++
		}
	}
	for id := range w.acked {
		if seen[id] != 1 {
			w.t.Fatalf("%s was acknowledged, and is there %d times", id, seen[id])
		}
	}
	for id := range w.refused {
		if seen[id] != 0 {
			w.t.Fatalf("%s was refused, and is there", id)
		}
	}
	return records
}

// TestOneChain: whatever fails, there is one chain, with what was acknowledged and
// without what was refused, and the next writer goes on.
func TestOneChain(t *testing.T) {
	var records, acked, unsettled int
	for seed := range *seeds {
		w := newWorld(t, uint64(seed))
		for range 80 {
			w.step()
		}
		records += w.check()
		acked += len(w.acked)
		unsettled += w.commits - len(w.acked) - len(w.refused)
		heir := process(t, w.memory, w.log)
		if err := heir.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := ledger.Open(t.Context(), store.Plain{Store: heir}, stream, quick("heir"))
		if err = errors.Join(err, c.Begin(t.Context(), 0), c.Fence(t.Context())); err != nil {
			t.Fatalf("seed %d: the heir: %v", seed, err)
		}
		w.check()
		for _, s := range w.stores {
			if s != nil {
				_ = s.Close()
			}
		}
	}
	t.Logf("%d worlds, %d records, %d commits acknowledged, %d left unsettled", *seeds, records, acked, unsettled)
	if acked < 10**seeds || unsettled < *seeds/4 {
		t.Errorf("the worlds are too quiet to show anything")
	}
}

// TestWithoutClaims shows that the same worlds break a chain where creates are the
// store's own: the test above would notice.
func TestWithoutClaims(t *testing.T) {
	s := store.Plain{Store: overwriting{store.NewMemory()}}
	var chains []*ledger.Chain
	for n := range 2 {
		c, err := ledger.Open(t.Context(), s, stream, quick(fmt.Sprint("writer ", n)))
		if err != nil {
			t.Fatal(err)
		}
		chains = append(chains, c)
	}
	for _, c := range chains { // both see an empty stream, and both are told that it is theirs
		if err := errors.Join(c.Begin(t.Context(), 0), c.Fence(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	for n, c := range chains {
		if err := c.Commit(t.Context(), ledger.Entry{To: 1, Outcomes: []ledger.Outcome{{ID: fmt.Sprint(n), Status: ledger.None}}}); err != nil {
			t.Fatalf("writer %d was told %v: this store is better than it should be", n, err)
		}
	}
}
