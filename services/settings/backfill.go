package settings

import (
	"context"
	"slices"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/backfill"
)

// BackfillLimits is the backfill section.
type BackfillLimits struct {
	Archive backfill.Archive `yaml:"archive"`
}

// Backfill is what a backfill works with in this process.
type Backfill struct {
	Store   store.Store
	Mills   Mills
	Fetch   stream.Fetch
	Window  stream.Config
	Ahead   chan struct{}
	Keep    func(context.Context, *pipeline.Recipe) error
	Scratch string
	closed  []func()
}

// Close ends what OpenBackfill opened, last first.
func (b *Backfill) Close() {
	for _, c := range slices.Backward(b.closed) {
		c()
	}
}

// OpenBackfill builds a backfill's parts, in order: scratch, store, mills, fetcher.
func (c Config) OpenBackfill(ctx context.Context) (b *Backfill, err error) {
	b = &Backfill{Window: c.Window, Ahead: make(chan struct{}, 2*c.Mill.Count+1)}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	if b.Scratch, err = c.ScratchDir(); err != nil {
		return b, err
	}
	b.Window.Dir = b.Scratch
	var closed func()
	if b.Store, closed, err = c.OpenStore(ctx); err != nil {
		return b, err
	}
	b.closed = append(b.closed, closed)
	if _, err = c.ProveStore(ctx, b.Store, false); err != nil {
		return b, err
	}
	b.Keep = keepIn(b.Store)
	if b.Mills, err = c.OpenMills(ctx); err != nil {
		return b, err
	}
	b.closed = append(b.closed, b.Mills.Close)
	if b.Fetch, closed, err = c.OpenFetch(); err != nil {
		return b, err
	}
	b.closed = append(b.closed, closed)
	return b, nil
}

// keepIn stores recipes beside the samples that they make.
func keepIn(s store.Store) func(context.Context, *pipeline.Recipe) error {
	return func(ctx context.Context, r *pipeline.Recipe) error {
		return recipe.Save(ctx, store.Plain{Store: s}, r)
	}
}
