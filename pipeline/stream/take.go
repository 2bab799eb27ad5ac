package stream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// DefaultRemember is how many ids of a stream are remembered, so that repeats are known.
const DefaultRemember = 10_000_000

// Options of Take. The zero value begins at offset 0.
type Options struct {
	// Start resolves the start policy of a stream that has no ledger yet, once.
	Start func(ctx context.Context) (int64, error)
	// Remember is how many ids are remembered; 0 means DefaultRemember.
	Remember int
	Ledger   ledger.Options
}

// Take makes this process the stream's writer: it finds the ledger's end, or begins a
// ledger, fences off whoever wrote before, and loads the ids that are committed.
func Take(ctx context.Context, s store.Store, id ledger.Stream, o Options) (*ledger.Chain, *Known, error) {
	chain, err := ledger.Open(ctx, store.Plain{Store: s}, id, o.Ledger)
	if err != nil {
		return nil, nil, err
	}
	known, err := Own(ctx, store.Plain{Store: s}, chain, o)
	if err != nil {
		return nil, nil, err
	}
	return chain, known, nil
}

// Own does what is left of taking a stream whose chain is open: it begins the chain if it
// is empty, fences if that is not done yet, and loads the ids. A chain that has its fence
// keeps it (see ledger.Chain.Resume). The ledger options of o are not used.
func Own(ctx context.Context, s ledger.Store, chain *ledger.Chain, o Options) (*Known, error) {
	if chain.Empty() {
		var start int64
		var err error
		if o.Start != nil {
			if start, err = o.Start(ctx); err != nil {
				return nil, fmt.Errorf("finding where the stream %s starts: %w", chain.Stream(), err)
			}
		}
		if err := chain.Begin(ctx, start); err != nil {
			return nil, err
		}
	}
	if chain.Epoch() == 0 {
		if err := chain.Fence(ctx); err != nil {
			return nil, err
		}
	}
	if o.Remember == 0 {
		o.Remember = DefaultRemember
	}
	ids, err := ledger.LoadIDs(ctx, s, chain.Stream(), chain.Position(), o.Remember, time.Time{})
	if err != nil {
		return nil, err
	}
	return &Known{ids: ids}, nil
}

// Known holds the jobs of a stream that have ended. Safe for concurrent use.
type Known struct {
	mu  sync.Mutex
	ids *ledger.IDs
}

// Find says where a job ended, and how.
func (k *Known) Find(j *pipeline.Job) (offset int64, status ledger.Status, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ids.Find(j.Dataset, j.ID)
}

// add notes a job's end.
func (k *Known) add(j *pipeline.Job, offset int64, status ledger.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids.Add(j.Dataset, j.ID, offset, status)
}
