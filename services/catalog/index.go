package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// Index is what was written for one dataset and format, as keys in the store.
type Index struct {
	Dataset string `json:"dataset"`
	Format  string `json:"format"`
	Shards  int    `json:"shards"`
	Samples int64  `json:"samples"`
	Bytes   int64  `json:"bytes"`
	// List has a URL a line, relative to its own folder. Datasets of parquet files take
	// such a list as data_files.
	List string `json:"list"`
	// Wids is the index of the wids library. Its URLs are relative to its own folder.
	Wids string `json:"wids,omitempty"`
	// Energon is the folder that Megatron Energon loads as a dataset.
	Energon string `json:"energon,omitempty"`
	// MDS is an index.json that names shards from the store's root: with a copy of it as
	// local/index.json, StreamingDataset(remote=root, local=local) reads the snapshot.
	MDS string `json:"mds,omitempty"`
	// MDSLocal is the same for a store in a local folder, read in place: the argument
	// local is the folder that it is in, and there is no remote. There is none if a shard
	// is compressed.
	MDSLocal string `json:"mds_local,omitempty"`
}

// together is how many shards are looked at at a time.
const together = 8

// indexing writes the indexes of one snapshot, shard by shard.
type indexing struct {
	ctx     context.Context
	store   store.Store
	n       int64 // of the snapshot
	removed *ledger.Removed
	work    *errgroup.Group // looks at shards
	outputs map[string]*output
}

func writeIndexes(ctx context.Context, s store.Store, snap *ledger.Snapshot) ([]Index, error) {
	removed, err := ledger.LoadRemoved(ctx, store.Plain{Store: s}, snap)
	if err != nil {
		return nil, err
	}
	x := &indexing{store: s, n: snap.N, removed: removed, outputs: map[string]*output{}}
	x.work, x.ctx = errgroup.WithContext(ctx)
	x.work.SetLimit(together)
	defer x.close()
	err = x.all(snap)
	// Where looking at a shard has failed, x.ctx has ended, and what failed for that
	// reason alone is no news.
	if worked := x.work.Wait(); worked != nil {
		err = worked
	}
	if err != nil {
		return nil, err
	}
	x.ctx = ctx
	indexes, err := x.finish()
	if err != nil {
		return nil, err
	}
	return indexes, markDone(ctx, s, snap.N, indexes)
}

func (x *indexing) all(snap *ledger.Snapshot) error {
	for sh, err := range ledger.Shards(x.ctx, store.Plain{Store: x.store}, snap, "") {
		if err != nil {
			return err
		}
		o, err := x.output(sh)
		if err == nil {
			err = o.add(sh)
		}
		if err != nil {
			return fmt.Errorf("dataset %q: %w", sh.Dataset, err)
		}
	}
	for _, o := range x.inOrder() {
		if err := o.settle(0); err != nil {
			return fmt.Errorf("dataset %q: %w", o.Dataset, err)
		}
	}
	return nil
}

// finish stores the documents of each output, in their order.
func (x *indexing) finish() ([]Index, error) {
	indexes := []Index{}
	for _, o := range x.inOrder() {
		if err := o.finish(); err != nil {
			return nil, fmt.Errorf("dataset %q: %w", o.Dataset, err)
		}
		indexes = append(indexes, o.Index)
	}
	slices.SortFunc(indexes, func(a, b Index) int {
		return cmp.Or(strings.Compare(a.Dataset, b.Dataset), strings.Compare(a.Format, b.Format))
	})
	return indexes, nil
}

// inOrder gives the outputs, so that the same snapshot is indexed in the same order.
func (x *indexing) inOrder() []*output {
	var all []*output
	for _, key := range slices.Sorted(maps.Keys(x.outputs)) {
		all = append(all, x.outputs[key])
	}
	return all
}

func (x *indexing) close() {
	for _, o := range x.outputs {
		o.close()
	}
}

func folder(n int64, dataset string) string { return fmt.Sprintf("_index/%020d/%s", n, dataset) }

// output is one dataset in one format, while its indexes are written.
type output struct {
	*indexing
	Index
	up    string      // from the folder of its indexes to the store's root
	names *ledger.IDs // file names of shards: two must not share one
	docs  []*document
	mds   *mdsEntries
	known *lines // shards of the snapshot before whose tar indexes are there
}

func (x *indexing) output(sh ledger.Shard) (*output, error) {
	key := sh.Format + "/" + sh.Dataset
	if o := x.outputs[key]; o != nil {
		return o, nil
	}
	base := folder(x.n, sh.Dataset)
	o := &output{indexing: x, Index: Index{Dataset: sh.Dataset, Format: sh.Format, List: base + "/" + sh.Format + ".txt"},
		up: strings.Repeat("../", strings.Count(base, "/")+1), names: ledger.NewIDs(0)}
	o.docs = []*document{{key: o.List, kind: listKind}}
	x.outputs[key] = o
	switch sh.Format {
	case shard.WebDataset:
		return o, o.webdataset(base)
	case shard.MDS:
		return o, o.mosaic(base)
	}
	return o, nil
}

func (o *output) add(sh ledger.Shard) error {
	name := sh.Key[strings.LastIndexByte(sh.Key, '/')+1:]
	if _, _, twice := o.names.Find("", name); twice {
		return fmt.Errorf("shard file name %q comes twice; loaders would take one for the other", name)
	}
	o.names.Add("", name, 0, ledger.OK)
	o.Shards++
	o.Samples += sh.Samples
	o.Bytes += sh.Bytes
	info := shard.Info{URL: o.up + sh.Key, Samples: sh.Samples, Bytes: sh.Bytes, SHA256: sh.SHA256}
	for _, d := range o.docs {
		if err := d.add(o.Dataset, info); err != nil {
			return err
		}
	}
	switch o.Format {
	case shard.WebDataset:
		return o.tarIndexed(sh, info.URL)
	case shard.MDS:
		return o.mds.add(sh)
	}
	return nil
}

// settle waits until no more than some shards are being looked at.
func (o *output) settle(most int) error {
	if o.mds == nil {
		return nil
	}
	return o.mds.settle(most)
}

func (o *output) finish() error {
	for _, d := range o.docs {
		if err := d.put(o.ctx, o.store); err != nil {
			return err
		}
	}
	if o.mds != nil {
		return o.mds.put()
	}
	return nil
}

func (o *output) close() {
	for _, d := range o.docs {
		d.close()
	}
	if o.mds != nil {
		o.mds.close()
	}
	if o.known != nil {
		_ = o.known.Close()
	}
}

// open opens an object, or gives nil where there is none.
func (x *indexing) open(key string) (*object, error) {
	info, err := x.store.Stat(x.ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return &object{x.ctx, x.store, key, info.Size}, err
}
