package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
	"github.com/millrace/millrace/services/keeper"
)

// rewrite is what a command works with that puts other shards in the place of some.
type rewrite struct {
	store    store.Store
	dir      string // for spool files
	recipes  keeper.Recipes
	progress func(keeper.Step) // nil where nobody wants to see it
}

// rewritten lets do rewrite shards of a dataset, shows how far it is, and writes the
// loaders' indexes if it published a snapshot; its number is below 0 if not.
func rewritten(a *app, at storeArg, dataset string, quiet bool, do func(rewrite) (snapshot int64, err error)) error {
	s, done, err := at.open(a)
	if err != nil {
		return err
	}
	defer done()
	w := rewrite{store: s, recipes: recipesIn(s)}
	if w.dir, err = scratch(a); err != nil {
		return err
	}
	if err := known(a, s, at, dataset); err != nil {
		return err
	}
	bar := newSteps(a.errOut, "shards")
	if !quiet {
		w.progress = func(st keeper.Step) { bar.at(int64(st.Done), int64(st.Of), bar.rate(st.Bytes)) }
	}
	snapshot, err := do(w)
	bar.end()
	if err == nil && snapshot >= 0 {
		_, err = catalog.Publish(a.ctx, s)
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
