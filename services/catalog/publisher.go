package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Publisher publishes every so often. Any number may run on one store: the number of a
// snapshot goes to one of them, and all write the same indexes.
type Publisher struct {
	Store store.Store
	// Every is how long a snapshot is to be the latest, about; above zero.
	Every time.Duration
	Log   *slog.Logger
}

// Run publishes until the context ends. Trouble is logged, and tried again in its turn: it
// never stops what the process does besides.
func (p *Publisher) Run(ctx context.Context) {
	for {
		// At random, so that publishers that were started together part.
		t := time.NewTimer(p.Every/2 + rand.N(p.Every))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		err := p.once(ctx)
		if err != nil && ctx.Err() == nil {
			p.Log.Warn("publishing failed; it is tried again", "err", err)
		}
	}
}

// once publishes, unless another has done so lately.
func (p *Publisher) once(ctx context.Context) error {
	last, err := ledger.Latest(ctx, store.Plain{Store: p.Store})
	if err != nil && !errors.Is(err, ledger.ErrNoSnapshot) {
		return err
	}
	if last != nil {
		// By the other's clock: if clocks disagree, there are more snapshots or fewer.
		if age := time.Since(last.Time); age >= 0 && age < p.Every/2 {
			return nil
		}
	}
	done, err := Publish(ctx, p.Store)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if last == nil || done.Snapshot.N > last.N {
		p.Log.Info("published", "snapshot", done.Snapshot.N, "streams", len(done.Snapshot.Streams), "indexes", len(done.Indexes))
	}
	return nil
}
