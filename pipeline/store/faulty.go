package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"time"
)

// Faulty is a Store that fails on purpose, by a rule. What it does follows from its
// rule and the order of the calls alone, so a seed replays a run.
type Faulty struct {
	store Store
	rule  Rule

	mu      sync.Mutex
	calls   int
	pending []lateWrite
}

// Rule decides the fate of the n-th call (from 1 on) to a Faulty. Calls to it do not
// overlap.
type Rule func(op, key string, n int) Fault

// Fault is what befalls one call. The zero Fault does nothing.
type Fault struct {
	Delay time.Duration // before anything else; ends early with the context
	// Before is returned in place of doing anything.
	Before error
	// After is returned although it was done: a lost reply. A nil After with Late
	// above 0 stands for a plain network error.
	After error
	// Late, above 0, lets what changes the store land only just before the Late-th
	// following call, although After was returned long since.
	Late int
	// Short, above 0, breaks a download off after Short-1 bytes.
	Short int64
}

// ErrFault is the cause of the faults that Rates makes.
var ErrFault = errors.New("fault on purpose")

type lateWrite struct {
	due   int
	apply func()
}

// NewFaulty wraps a store.
func NewFaulty(s Store, rule Rule) *Faulty { return &Faulty{store: s, rule: rule} }

// Rates is a rule that draws faults from a seed: each of the given probabilities is
// that of one kind of fault.
type Rates struct {
	Before  float64 // nothing happens
	After   float64 // lost replies
	Late    float64 // lost replies of writes that land up to MaxLate calls later
	MaxLate int
	// Conflict is the rate of 409 answers to a create.
	Conflict float64
	Short    float64 // downloads that break off
}

// Rule makes the rule.
func (r Rates) Rule(seed uint64) Rule {
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)) //nolint:gosec // replayable is the point
	return func(op, key string, _ int) Fault {
		lost := &Error{Op: op, Key: key, Err: ErrFault}
		if op == "create" {
			lost.Kind = ErrUnknown
		}
		writes := op != "get" && op != "stat" && op != "list"
		draw := func(p float64) bool { return rng.Float64() < p }
		switch {
		case draw(r.Before):
			return Fault{Before: lost}
		case draw(r.After):
			return Fault{After: lost}
		case writes && r.MaxLate > 0 && draw(r.Late):
			return Fault{After: lost, Late: 1 + rng.IntN(r.MaxLate)}
		case op == "create" && draw(r.Conflict):
			return Fault{Before: &Error{Op: op, Key: key, Kind: ErrConflict, Err: ErrFault}}
		case op == "get" && draw(r.Short):
			return Fault{Short: 1 + rng.Int64N(64)}
		}
		return Fault{}
	}
}

// next counts a call, lets late writes that are due land, and asks the rule.
func (f *Faulty) next(ctx context.Context, op, key string) Fault {
	f.mu.Lock()
	f.calls++
	fault := f.rule(op, key, f.calls)
	f.land(f.calls)
	f.mu.Unlock()
	if fault.Delay > 0 {
		t := time.NewTimer(fault.Delay)
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
	return fault
}

// land applies what is due at a call.
func (f *Faulty) land(call int) {
	rest := f.pending[:0]
	for _, w := range f.pending {
		if w.due > call {
			rest = append(rest, w)
			continue
		}
		w.apply()
	}
	f.pending = rest
}

// Settle lets every late write land now.
func (f *Faulty) Settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.pending {
		w.apply()
	}
	f.pending = nil
}

// write does a call that changes the store, as its fault says.
func (f *Faulty) write(ctx context.Context, op, key string, do func(context.Context) error) error {
	fault := f.next(ctx, op, key)
	switch {
	case fault.Before != nil:
		return fault.Before
	case fault.Late > 0:
		f.mu.Lock()
		f.pending = append(f.pending, lateWrite{due: f.calls + fault.Late, apply: func() { _ = do(context.WithoutCancel(ctx)) }})
		f.mu.Unlock()
		if fault.After == nil {
			return &Error{Op: op, Key: key, Kind: ErrUnknown, Err: ErrFault}
		}
		return fault.After
	}
	err := do(ctx)
	if fault.After != nil {
		return fault.After
	}
	return err
}

// Put implements Store. The body of a late put must stay readable until it lands.
func (f *Faulty) Put(ctx context.Context, key string, body Body) error {
	return f.write(ctx, "put", key, func(ctx context.Context) error { return f.store.Put(ctx, key, body) })
}

// Create implements Store.
func (f *Faulty) Create(ctx context.Context, key string, data []byte) error {
	return f.write(ctx, "create", key, func(ctx context.Context) error { return f.store.Create(ctx, key, data) })
}

// Delete implements Store.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.write(ctx, "delete", key, func(ctx context.Context) error { return f.store.Delete(ctx, key) })
}

// Get implements Store.
func (f *Faulty) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	fault := f.next(ctx, "get", key)
	if err := fault.either(); err != nil {
		return nil, Info{}, err
	}
	rc, info, err := f.store.Get(ctx, key, offset, length)
	if err == nil && fault.Short > 0 {
		rc = &brokenReader{ReadCloser: rc, key: key, left: fault.Short - 1}
	}
	return rc, info, err
}

// Stat implements Store.
func (f *Faulty) Stat(ctx context.Context, key string) (Info, error) {
	if err := f.next(ctx, "stat", key).either(); err != nil {
		return Info{}, err
	}
	return f.store.Stat(ctx, key)
}

// List implements Store.
func (f *Faulty) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := f.next(ctx, "list", prefix).either(); err != nil {
			yield(Info{}, err)
			return
		}
		f.store.List(ctx, prefix, startAfter)(yield)
	}
}

// either is what a call that changes nothing returns: it matters not when it failed.
func (f Fault) either() error {
	if f.Before != nil {
		return f.Before
	}
	return f.After
}

// brokenReader breaks off a download.
type brokenReader struct {
	io.ReadCloser
	key  string
	left int64
}

func (r *brokenReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, &Error{Op: "get", Key: r.key, Err: errors.Join(ErrFault, io.ErrUnexpectedEOF)}
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.ReadCloser.Read(p)
	r.left -= int64(n)
	return n, err
}
