package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// together is how many shards are looked at at a time.
const together = 8

// energon writes the folder .nv-meta. Its info is last: without it there is no dataset.
func (x *indexing) energon() error {
	x.Energon = x.folder(x.n) + "/energon"
	meta := func(n int64, name string) string { return x.folder(n) + "/energon/.nv-meta/" + name }
	var known map[string]bool
	if x.n > 0 {
		var err error
		if known, err = x.energonShards(meta(x.n-1, ".info.json")); err != nil {
			return err
		}
	}
	infos := make([]shard.Info, len(x.infos))
	g, _ := errgroup.WithContext(x.ctx)
	g.SetLimit(together)
	for i, s := range x.infos {
		infos[i] = s
		infos[i].URL = "../" + s.URL
		if !known[infos[i].URL] {
			g.Go(func() error { return x.tarIndex(x.shards[i]) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return errors.Join(
		x.write(meta(x.n, "dataset.yaml"), func(w io.Writer) error { _, err := io.WriteString(w, shard.EnergonDataset); return err }),
		x.write(meta(x.n, "split.yaml"), func(w io.Writer) error { return shard.EnergonSplit(w, infos) }),
		x.write(meta(x.n, ".info.json"), func(w io.Writer) error { return shard.EnergonInfo(w, infos) }),
	)
}

// energonShards are those that an earlier snapshot had: their indexes are there.
func (x *indexing) energonShards(key string) (map[string]bool, error) {
	data, err := x.read(key)
	if data == nil || err != nil {
		return nil, err
	}
	var info struct {
		Counts map[string]int64 `json:"shard_counts"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	known := make(map[string]bool, len(info.Counts))
	for url := range info.Counts {
		known[url] = true
	}
	return known, nil
}

// tarIndex sees that a shard's index is beside it. Writers put it there; for a shard that
// has none it is made from the headers in the shard.
func (x *indexing) tarIndex(sh ledger.Shard) error {
	key := sh.Key + shard.TarIndexSuffix
	_, err := x.store.Stat(x.ctx, key)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r, err := shard.Open(sh.Format, &object{x.ctx, x.store, sh.Key, sh.Bytes}, sh.Bytes, shard.DefaultLimits())
	if err != nil {
		return err
	}
	var entries []shard.Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("shard %s: %w", sh.Key, err)
		}
		entries = append(entries, shard.Entry{Offset: e.Offset, Length: e.Length})
	}
	return create(x.ctx, x.store, key, shard.TarIndex(entries))
}
