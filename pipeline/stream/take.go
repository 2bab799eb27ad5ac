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
	ls := store.Plain{Store: s}
	chain, err := ledger.Open(ctx, ls, id, o.Ledger)
	if err != nil {
		return nil, nil, err
	}
	if chain.Empty() {
		var start int64
		if o.Start != nil {
			if start, err = o.Start(ctx); err != nil {
				return nil, nil, fmt.Errorf("finding where the stream %s starts: %w", id, err)
			}
		}
		if err := chain.Begin(ctx, start); err != nil {
			return nil, nil, err
		}
	}
	if err := chain.Fence(ctx); err != nil {
		return nil, nil, err
	}
	if o.Remember == 0 {
		o.Remember = DefaultRemember
	}
	ids, err := ledger.LoadIDs(ctx, ls, id, chain.Position(), o.Remember, time.Time{})
	if err != nil {
		return nil, nil, err
	}
	return chain, &Known{ids: ids}, nil
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
