package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

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

// indexing writes the indexes of one dataset in one format.
type indexing struct {
	ctx    context.Context
	store  store.Store
	n      int64 // of the snapshot
	up     string
	shards []ledger.Shard
	infos  []shard.Info // their URLs relative to the dataset's folder of indexes
	Index
}

func (x *indexing) folder(n int64) string { return fmt.Sprintf("_index/%020d/%s", n, x.Dataset) }

func writeIndexes(ctx context.Context, s store.Store, n int64, shards []ledger.Shard) (Index, error) {
	x := &indexing{ctx: ctx, store: s, n: n, shards: shards,
		Index: Index{Dataset: shards[0].Dataset, Format: shards[0].Format, Shards: len(shards)}}
	x.up = strings.Repeat("../", strings.Count(x.folder(n), "/")+1)
	for _, sh := range shards {
		x.infos = append(x.infos, shard.Info{URL: x.up + sh.Key, Samples: sh.Samples, Bytes: sh.Bytes, SHA256: sh.SHA256})
		x.Samples += sh.Samples
		x.Bytes += sh.Bytes
	}
	x.List = x.folder(n) + "/" + x.Format + ".txt"
	err := x.write(x.List, func(w io.Writer) error {
		urls := make([]string, len(x.infos))
		for i, s := range x.infos {
			urls[i] = s.URL
		}
		return shard.WriteShardList(w, urls)
	})
	if err != nil {
		return x.Index, err
	}
	switch x.Format {
	case shard.WebDataset:
		err = errors.Join(x.wids(), x.energon())
	case shard.MDS:
		err = x.mds()
	}
	return x.Index, err
}

func (x *indexing) wids() error {
	x.Wids = x.folder(x.n) + "/wids.json"
	return x.write(x.Wids, func(w io.Writer) error { return shard.WriteWids(w, x.Dataset, x.infos) })
}

// write makes an object, if there is none. Whoever was first has written the same.
func (x *indexing) write(key string, by func(io.Writer) error) error {
	var b bytes.Buffer
	if err := by(&b); err != nil {
		return err
	}
	return create(x.ctx, x.store, key, b.Bytes())
}

// attempts bounds how often a create without an outcome is sent, and pause is between
// them.
const (
	attempts = 6
	pause    = 200 * time.Millisecond
)

func create(ctx context.Context, s store.Store, key string, data []byte) error {
	var err error
	for range attempts {
		err = s.Create(ctx, key, data)
		if err == nil || errors.Is(err, store.ErrExists) {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrUnknown) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// read reads an index of the snapshot before, or gives nil where there is none.
func (x *indexing) read(key string) ([]byte, error) {
	rc, info, err := x.store.Get(x.ctx, key, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if most := max(mostIndex, int64(len(x.shards))*mostEntry); info.Size > most {
		return nil, fmt.Errorf("%s has %d bytes; the limit is %d", key, info.Size, most)
	}
	return io.ReadAll(rc)
}

// An index of an earlier snapshot has no more entries than this one has shards. So it is
// bounded by what entries may take, and never too large only because the dataset is.
const (
	mostIndex = 256 << 20
	mostEntry = 64 << 10
)
