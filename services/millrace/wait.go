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

// startWatch notes where every stream's chain ends, before the jobs are pushed: how the
// same ids ended earlier is not what is waited for.
func startWatch(a *app, cfg settings.Config, jobs []*pipeline.Job) (*watch, func(), error) {
	if cfg.Store.URL == "" {
		return nil, nil, usageError{errors.New("--wait needs to know the store: give --to, or --state of a running stack")}
	}
	s, done, err := cfg.OpenStore(a.ctx)
	if err != nil {
		return nil, nil, err
	}
	w := &watch{store: store.Plain{Store: s}, open: map[string]bool{}, next: map[string]int64{}, ended: map[ledger.Status]int{}}
	for _, j := range jobs {
		w.open[j.Dataset+"\x00"+j.ID] = true
	}
	for id, err := range ledger.Streams(a.ctx, w.store) {
		if err != nil {
			done()
			return nil, nil, err
		}
		c, err := ledger.Open(a.ctx, w.store, id, ledger.Options{})
		if err != nil {
			done()
			return nil, nil, err
		}
		w.next[id.Path()] = c.Position().Seq + 1
	}
	return w, done, nil
}

// wait watches the ledgers until every job has ended, and says how.
func (w *watch) wait(a *app, most time.Duration) error {
	ctx, cancel := context.WithTimeout(a.ctx, most)
	defer cancel()
	jobs := len(w.open)
	for len(w.open) > 0 {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if len(w.open) == 0 {
			break
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			if a.ctx.Err() != nil {
				return fmt.Errorf("interrupted; %d of %d jobs are not committed yet, and stay in the topic: %w", len(w.open), jobs, a.ctx.Err())
			}
			return fmt.Errorf("%d of %d jobs were not committed within %v; is a worker running? they stay in the topic", len(w.open), jobs, most)
		}
	}
	fmt.Fprintf(a.errOut, "committed: %d jobs as %d samples, %d dup-of, %d quarantined\n", w.ended[ledger.OK], w.samples, w.ended[ledger.DupOf], w.ended[ledger.Quarantined])
	return nil
}

// watch follows every stream's chain from where it was last seen.
type watch struct {
	store   store.Plain
	open    map[string]bool
	next    map[string]int64
	ended   map[ledger.Status]int
	samples int64
}

func (w *watch) look(ctx context.Context) error {
	ls := w.store
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
