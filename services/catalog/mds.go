package catalog

import (
	"bytes"
	"context"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// mds writes the indexes. What the snapshot before knows is not read again.
func (x *indexing) mds() error {
	name := func(n int64) string { return x.folder(n) + "/mds/index.json" }
	var known map[string]*shard.MDSEntry
	if x.n > 0 {
		var err error
		if known, err = x.mdsShards(name(x.n - 1)); err != nil {
			return err
		}
	}
	entries := make([]*shard.MDSEntry, len(x.shards))
	g, ctx := errgroup.WithContext(x.ctx)
	g.SetLimit(together)
	for i, sh := range x.shards {
		if entries[i] = known[sh.Key]; entries[i] != nil {
			continue
		}
		g.Go(func() (err error) {
			s := x.infos[i]
			s.URL = sh.Key
			entries[i], err = shard.ReadMDSEntry(&object{ctx, x.store, sh.Key, sh.Bytes}, s)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	x.MDS = name(x.n)
	err := x.write(x.MDS, func(w io.Writer) error { return shard.WriteMDSIndex(w, "", entries) })
	if err != nil || slices.ContainsFunc(entries, func(e *shard.MDSEntry) bool { return e.ZipData != nil }) {
		return err // read in place, the library would unpack into the store
	}
	x.MDSLocal = x.folder(x.n) + "/mds/local/index.json"
	return x.write(x.MDSLocal, func(w io.Writer) error { return shard.WriteMDSIndex(w, x.up+"../../", entries) })
}

// mdsShards are the entries of an earlier index, by the shard's key.
func (x *indexing) mdsShards(key string) (map[string]*shard.MDSEntry, error) {
	data, err := x.read(key)
	if data == nil || err != nil {
		return nil, err
	}
	entries, err := shard.ReadMDSIndex(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	known := make(map[string]*shard.MDSEntry, len(entries))
	for _, e := range entries {
		file := e.RawData
		if e.ZipData != nil {
			file = e.ZipData
		}
		known[file.Basename] = e
	}
	return known, nil
}

// object reads a stored object by ranges.
type object struct {
	ctx   context.Context
	store store.Store
	key   string
	size  int64
}

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if off >= o.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), o.size-off)
	rc, _, err := o.store.Get(o.ctx, o.key, off, n)
	if err != nil {
		return 0, err
	}
	defer rc.Close()
	got, err := io.ReadFull(rc, p[:n])
	if err == nil && got < len(p) {
		err = io.EOF
	}
	return got, err
}
