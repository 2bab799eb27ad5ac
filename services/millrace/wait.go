package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/settings"
)

// waitFor watches the ledgers until every job has ended, and says how.
func waitFor(a *app, cfg settings.Config, jobs []*pipeline.Job, most time.Duration) error {
	if cfg.Store.URL == "" {
		return usageError{errors.New("--wait needs to know the store: give --to, or --state of a running stack")}
	}
	ctx, cancel := context.WithTimeout(a.ctx, most)
	defer cancel()
	s, done, err := cfg.OpenStore(ctx)
	if err != nil {
		return err
	}
	defer done()
	w := &watch{open: map[string]bool{}, next: map[string]int64{}, ended: map[ledger.Status]int{}}
	for _, j := range jobs {
		w.open[j.Dataset+"\x00"+j.ID] = true
	}
	for len(w.open) > 0 {
		if err := w.look(ctx, s); err != nil && ctx.Err() == nil {
			return err
		}
		if len(w.open) == 0 {
			break
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-a.stop:
			return errInterrupted
		case <-ctx.Done():
			return fmt.Errorf("%d of %d jobs were not committed within %v; is a worker running? they stay in the topic", len(w.open), len(jobs), most)
		}
	}
	fmt.Fprintf(a.errOut, "committed: %d jobs as %d samples, %d dup-of, %d quarantined\n", w.ended[ledger.OK], w.samples, w.ended[ledger.DupOf], w.ended[ledger.Quarantined])
	return nil
}

// watch follows every stream's chain from where it was last seen.
type watch struct {
	open    map[string]bool
	next    map[string]int64
	ended   map[ledger.Status]int
	samples int64
}

func (w *watch) look(ctx context.Context, s store.Store) error {
	ls := store.Plain{Store: s}
	for id, err := range ledger.Streams(ctx, ls) {
		if err != nil {
			return err
		}
		for item, err := range ledger.Read(ctx, ls, id, w.next[id.Path()]) {
			if err != nil {
				return err
			}
			w.next[id.Path()] = item.Record.Seq + 1
			outcomes, err := ledger.Outcomes(ctx, ls, item.Record)
			if err != nil {
				return err
			}
			for _, o := range outcomes {
				key := o.Dataset + "\x00" + o.ID
				if w.open[key] {
					delete(w.open, key)
					w.ended[o.Status]++
					w.samples += o.Samples
				}
			}
		}
	}
	return nil
}
