package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
	"github.com/millrace/millrace/services/keeper"
)

type compactCmd struct {
	storeArg
	Dataset string   `help:"Dataset to compact." required:"" placeholder:"NAME"`
	Below   byteSize `help:"Merge shards of fewer bytes than this." default:"64MiB"`
	Target  byteSize `help:"Into shards of at most about so many." default:"256MiB"`
	DryRun  bool     `help:"Change nothing; say what would be merged."`
	Quiet   bool     `short:"q" help:"Show no progress."`
}

func (compactCmd) Help() string {
	return `Examples:  millrace compact s3://bucket/set --dataset cats --dry-run
           millrace compact s3://bucket/set --dataset cats

Copies the samples of small shards, in their order, into larger ones of the same format and
recipe; no medium is decoded. The result is a new snapshot with its indexes. Records, earlier
snapshots and what they name stay as they are: millrace gc --snapshots-older-than clears the
small shards once nobody reads them. It may run beside workers; killed at any time it has
changed nothing but what is whole, and gc clears the rest.`
}

func (c compactCmd) Run(a *app) error {
	o := keeper.CompactOptions{Dataset: c.Dataset, Below: int64(c.Below), Target: int64(c.Target), DryRun: c.DryRun}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	if o.Dir, err = scratch(a); err != nil {
		return err
	}
	o.Recipes = recipesIn(s)
	if err := known(a, s, c.storeArg, c.Dataset); err != nil {
		return err
	}
	bar := newSteps(a.errOut, "shards")
	if !c.Quiet {
		o.Progress = func(st keeper.Step) { bar.at(int64(st.Done), int64(st.Of), bar.rate(st.Bytes)) }
	}
	r, err := keeper.Compact(a.ctx, s, o)
	bar.end()
	if err == nil && r.Snapshot >= 0 {
		_, err = catalog.Publish(a.ctx, s)
	}
	if a.json { // also of one that broke off: what is merged is merged
		return errors.Join(a.printJSON(r), err)
	}
	switch {
	case r.DryRun:
		fmt.Fprintf(a.out, "would merge %d shards of %s (%s, %d samples) into about %d\n", r.Merged, c.Dataset, size(r.Bytes), r.Samples, r.Into)
	case r.Merged == 0 && err == nil:
		fmt.Fprintf(a.out, "nothing to merge: dataset %s has no two shards alike below %s\n", c.Dataset, size(int64(c.Below)))
	case r.Merged > 0:
		fmt.Fprintf(a.out, "merged %d shards of %s (%s, %d samples) into %d; snapshot %d\n", r.Merged, c.Dataset, size(r.Bytes), r.Samples, r.Into, r.Snapshot)
	}
	if r.Unlike > 0 {
		fmt.Fprintf(a.out, "%d small shards stay: their samples can not be in one file\n", r.Unlike)
	}
	return err
}

// recipesIn finds recipes where writers keep them.
func recipesIn(s store.Store) keeper.Recipes {
	return func(ctx context.Context, digest string) (*pipeline.Recipe, error) {
		return recipe.Find(ctx, store.Plain{Store: s}, digest)
	}
}

// scratch is the folder for spool files.
func scratch(a *app) (string, error) {
	cfg, err := a.settings()
	if err != nil {
		return "", err
	}
	return cfg.ScratchDir()
}

// known refuses a dataset that the store does not hold: a name mistyped would else look
// like nothing to do.
func known(a *app, s store.Store, at storeArg, dataset string) error {
	shards, err := catalog.Shards(a.ctx, s, nil, dataset)
	if err == nil && len(shards) == 0 {
		err = faultsError{fmt.Errorf("%s holds no shards of a dataset %q; inspect lists what it holds", at.URL, dataset)}
	}
	return err
}
