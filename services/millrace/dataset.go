package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
	"github.com/millrace/millrace/services/inspect"
)

// storeArg is a dataset that is only read.
type storeArg struct {
	URL      string `arg:"" help:"Dataset: s3://bucket/prefix, file:///path, or a path."`
	Endpoint string `help:"S3 endpoint other than AWS." placeholder:"URL"`
	Region   string `help:"S3 region." placeholder:"NAME"`
}

func (s storeArg) open(a *app) (store.Store, func(), error) {
	cfg, err := a.settings()
	if err != nil {
		return nil, nil, err
	}
	storeFlags{To: s.URL, Endpoint: s.Endpoint, Region: s.Region}.apply(&cfg)
	if err := cfg.Store.Config.Validate(); err != nil {
		return nil, nil, usageError{err}
	}
	path := s.URL
	if scheme, _ := source.Scheme(s.URL); scheme == "file" {
		if path, err = source.FilePath(s.URL); err != nil {
			return nil, nil, usageError{err}
		}
	} else if scheme != "" {
		return cfg.OpenStore(a.ctx)
	}
	if _, err := os.Stat(path); err != nil { // a writer would make it; what is read must be there
		return nil, nil, faultsError{fmt.Errorf("there is no dataset: %w", err)}
	}
	return cfg.OpenStore(a.ctx)
}

type publishCmd struct{ storeArg }

func (publishCmd) Help() string {
	return `Example:  millrace publish s3://bucket/set

A snapshot is one immutable version of everything in the store. For each dataset and format
it has a list of shards (for datasets: the data_files of parquet), and the loaders' own:
  wids.json         for wids.ShardListDataset
  energon           for megatron.energon.get_train_dataset
  mds/index.json    copy it to CACHE/index.json, then StreamingDataset(remote=STORE, local=CACHE)
  mds/local         for StreamingDataset(local=FOLDER) where the store is a local folder
If one who published before has died half-way, his snapshot gets its indexes too.`
}

// mostPublished is how many ids publish looks at for repeats: 150 MB of them.
const mostPublished = 4_000_000

func (c publishCmd) Run(a *app) error {
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	p, err := catalog.Publish(a.ctx, s)
	if err != nil {
		return err
	}
	repeats := &ledger.Repeats{Examples: []ledger.Repeat{}}
	if len(p.Snapshot.Streams) > 1 { // what one stream repeats its window has mostly found
		if repeats, err = ledger.Across(a.ctx, store.Plain{Store: s}, p.Snapshot, mostPublished, true); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(struct {
			*catalog.Published
			Repeats *ledger.Repeats `json:"repeats"`
		}{p, repeats})
	}
	for _, n := range p.Mended {
		fmt.Fprintf(a.out, "snapshot %d had no indexes, or not all: whoever published it had stopped half-way; they are complete now\n", n)
	}
	printRepeats(a.errOut, repeats)
	fmt.Fprintf(a.out, "snapshot %d: %d streams\n", p.Snapshot.N, len(p.Snapshot.Streams))
	for _, i := range p.Indexes {
		fmt.Fprintf(a.out, "  %s (%s): %d samples in %d shards, %s\n    %s\n", i.Dataset, i.Format, i.Samples, i.Shards, size(i.Bytes), i.List)
		for _, key := range []string{i.Wids, i.Energon, i.MDS, i.MDSLocal} {
			if key != "" {
				fmt.Fprintf(a.out, "    %s\n", key)
			}
		}
	}
	return nil
}

type inspectCmd struct {
	storeArg
	Dataset string `help:"Only this dataset." placeholder:"NAME"`
	Sample  string `help:"Show one sample by its key." placeholder:"KEY"`
	Sheet   string `help:"Write a contact sheet: pictures with their patch grids, keys and times." placeholder:"FILE.png"`
	Count   int    `help:"Pictures on the sheet." default:"24"`
}

func (inspectCmd) Help() string {
	return `Examples:  millrace inspect .millrace/store
           millrace inspect shard.tar
           millrace inspect s3://bucket/set --dataset cats --sheet cats.png`
}

func (c inspectCmd) Run(a *app) error {
	sources, done, err := c.sources(a)
	if err != nil {
		return err
	}
	defer done()
	if len(sources) == 0 {
		return faultsError{fmt.Errorf("%s holds no shards that a record names", c.URL)}
	}
	if c.Sheet != "" {
		if err := c.sheet(a, sources); err != nil {
			return err
		}
	}
	if c.Sample != "" {
		r, err := inspect.Sample(a.ctx, sources, c.Sample)
		if err != nil {
			return err
		}
		if a.json {
			return inspect.WriteJSON(a.out, r)
		}
		return r.WriteText(a.out)
	}
	r, err := inspect.Dataset(a.ctx, c.URL, sources)
	if len(sources) == 1 && err == nil {
		r, err = inspect.Shard(a.ctx, sources[0])
	}
	if err != nil {
		return err
	}
	if a.json {
		return inspect.WriteJSON(a.out, r)
	}
	return r.WriteText(a.out, inspect.TextOptions{})
}

func (c inspectCmd) sheet(a *app, sources []inspect.Source) error {
	f, err := os.Create(c.Sheet)
	if err != nil {
		return err
	}
	n, err := inspect.WriteSheet(a.ctx, f, c.URL, sources, inspect.SheetOptions{Samples: c.Count})
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(c.Sheet)
		return err
	}
	fmt.Fprintf(a.errOut, "contact sheet of %d samples: %s\n", n, c.Sheet)
	return nil
}

// sources are the shards to look into: a local file alone, or what the ledgers name.
func (c inspectCmd) sources(a *app) ([]inspect.Source, func(), error) {
	if src, err := inspect.File(c.URL); err == nil {
		return []inspect.Source{src}, func() {}, nil
	}
	s, done, err := c.open(a)
	if err != nil {
		return nil, nil, err
	}
	shards, err := catalog.Shards(a.ctx, s, nil, c.Dataset)
	if err != nil {
		done()
		return nil, nil, err
	}
	sources := make([]inspect.Source, len(shards))
	for i, sh := range shards {
		sources[i] = sourceOf(s, sh)
	}
	return sources, done, nil
}

// sourceOf reads a shard from the store that it is in.
func sourceOf(s store.Store, sh ledger.Shard) inspect.Source {
	return inspect.Source{Key: sh.Key, Format: sh.Format, Bytes: sh.Bytes, Samples: sh.Samples,
		Get: func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
			rc, _, err := s.Get(ctx, sh.Key, off, n)
			return rc, err
		}}
}
