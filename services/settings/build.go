package settings

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
)

// OpenStore opens the dataset's store, with the retry policy that all writers and
// readers share. The caller calls close after use.
func (c Config) OpenStore(ctx context.Context) (s store.Store, closed func(), err error) {
	return c.openStore(ctx, func(s store.Store) store.Store { return s })
}

// openStore lets wrap see each attempt of each operation.
func (c Config) openStore(ctx context.Context, wrap func(store.Store) store.Store) (s store.Store, closed func(), err error) {
	raw, err := store.Open(ctx, c.Store.URL, c.Store.Config)
	if err != nil {
		return nil, nil, err
	}
	end := func() {} // not closed, which the last return gives another meaning
	if cl, ok := raw.(interface{ Close() error }); ok {
		end = func() { cl.Close() }
	}
	s, release, err := c.decided(store.NewRetry(wrap(raw), store.Policy{}))
	if err != nil {
		end()
		return nil, nil, err
	}
	return s, func() { release(); end() }, nil
}

// Mills runs jobs, and ends what it started.
type Mills interface {
	stream.Mills
	Close()
}

// OpenMills makes the pool that the mill section asks for. It starts one mill at once: a
// machine that can not confine it is found before any job is taken.
func (c Config) OpenMills(ctx context.Context) (Mills, error) {
	if c.Mill.Isolation == "none" {
		return mill.NewInProcess(c.Mill.Count, c.NewLine), nil
	}
	cfg := c.Mill.Config
	// This very program, also when another has been put in its place since: the two might
	// not speak the same protocol.
	cfg.Argv = []string{"/proc/self/exe", "mill"}
	// One arena for glibc and a lazy collector keep a mill small; it has one busy thread.
	cfg.Env = []string{"MALLOC_ARENA_MAX=2", "GOGC=50"}
	p, err := mill.NewPool(cfg)
	if err != nil {
		return nil, err
	}
	if _, err := p.Check(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// OpenFetch makes the fetcher that the source section asks for.
func (c Config) OpenFetch() (fetch stream.Fetch, closed func(), err error) {
	f, err := c.openFetcher()
	if err != nil {
		return nil, nil, err
	}
	return fetchWith(f), func() { f.Close() }, nil
}

func (c Config) openFetcher() (*source.Fetcher, error) {
	cfg := c.Source
	if cfg.Dir == "" {
		var err error
		if cfg.Dir, err = c.ScratchDir(); err != nil {
			return nil, err
		}
	}
	return source.New(cfg)
}

// fetchWith also takes media that are at hand, and gives some that are large in ranges
// where little of them is wanted.
func fetchWith(f *source.Fetcher) stream.Fetch {
	return func(ctx context.Context, m pipeline.Media, have *os.File) (mill.Bytes, pipeline.SourceID, error) {
		if have != nil { // read from an archive already, and hashed on the way
			st, err := have.Stat()
			if err != nil {
				return nil, pipeline.SourceID{}, err
			}
			return have, pipeline.SourceID{URI: source.Redact(m.URI), Version: m.Version, SHA256: m.SHA256, Bytes: st.Size()}, nil
		}
		sp, r, err := f.FetchOrOpen(ctx, m)
		switch {
		case err != nil:
			return nil, pipeline.SourceID{URI: source.Redact(m.URI), Version: m.Version}, err
		case r != nil:
			return r, r.ID(), nil
		}
		return sp.File, sp.ID, nil
	}
}

// LoadRecipes reads every recipe that the configuration names. The returned function
// finds a dataset's recipe, nil where there is none.
func (c Config) LoadRecipes() (func(dataset string) *pipeline.Recipe, error) {
	byDataset := map[string]*pipeline.Recipe{}
	files, err := c.recipeFiles()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		r, err := recipe.Load(f)
		if err != nil {
			return nil, err
		}
		if byDataset[r.Dataset] != nil {
			return nil, fmt.Errorf("%s: dataset %q has a recipe already; a dataset has one", f, r.Dataset)
		}
		byDataset[r.Dataset] = r
	}
	if len(byDataset) == 0 && !c.Ingest.AnyDataset {
		return nil, fmt.Errorf("no recipe is loaded: name files or folders under recipes, or set ingest.any_dataset to give every dataset the default recipe")
	}
	return finder(byDataset, c.Ingest.AnyDataset), nil
}

// maxDefaults bounds the datasets that get the default recipe: their names come from
// messages.
const maxDefaults = 1000

func finder(byDataset map[string]*pipeline.Recipe, anyDataset bool) func(string) *pipeline.Recipe {
	var mu sync.Mutex
	made := 0
	return func(dataset string) *pipeline.Recipe {
		mu.Lock()
		defer mu.Unlock()
		r := byDataset[dataset]
		if r != nil || !anyDataset || made >= maxDefaults {
			return r
		}
		r, err := recipe.Default(dataset)
		if err != nil {
			return nil // a name that no dataset can have
		}
		made++
		byDataset[dataset] = r
		return r
	}
}

func (c Config) recipeFiles() ([]string, error) {
	var files []string
	for _, p := range c.Recipes {
		st, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("recipes: %w", err)
		}
		if !st.IsDir() {
			files = append(files, p)
			continue
		}
		entries, err := os.ReadDir(p)
		if err != nil {
			return nil, fmt.Errorf("recipes: %w", err)
		}
		for _, e := range entries {
			if n := e.Name(); strings.HasSuffix(n, ".yaml") || strings.HasSuffix(n, ".yml") {
				files = append(files, filepath.Join(p, n))
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// CheckLimits refuses a recipe that this build can not run, before any job comes.
func (c Config) CheckLimits(r *pipeline.Recipe) error {
	if _, err := c.NewLine(r); err != nil {
		return fmt.Errorf("recipe of dataset %q: %w", r.Dataset, err)
	}
	return nil
}
