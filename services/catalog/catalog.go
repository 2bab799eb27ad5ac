// Package catalog is what readers see of a store: the shards that the ledgers name, by
// dataset, at a snapshot or as of now; and the loaders' own indexes for a snapshot.
package catalog

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// Records gives every record of every stream, up to a snapshot's positions, or to the
// ends of the chains where snap is nil.
func Records(ctx context.Context, s store.Store, snap *ledger.Snapshot) iter.Seq2[*ledger.Record, error] {
	return func(yield func(*ledger.Record, error) bool) {
		ls := store.Plain{Store: s}
		for id, err := range ledger.Streams(ctx, ls) {
			if err != nil {
				yield(nil, err)
				return
			}
			last := int64(-1)
			if snap != nil {
				at, ok := snap.At(id)
				if !ok {
					continue // begun after the snapshot
				}
				last = at.Seq
			}
			for item, err := range ledger.Read(ctx, ls, id, 0) {
				if err == nil && last >= 0 && item.Record.Seq > last {
					break
				}
				if !yield(item.Record, err) || err != nil {
					return
				}
			}
		}
	}
}

// Shards are the shards of one dataset (of all, where dataset is empty), in the order
// of their streams and records.
func Shards(ctx context.Context, s store.Store, snap *ledger.Snapshot, dataset string) ([]ledger.Shard, error) {
	var all []ledger.Shard
	for r, err := range Records(ctx, s, snap) {
		if err != nil {
			return nil, err
		}
		for _, sh := range r.Shards {
			if dataset == "" || sh.Dataset == dataset {
				all = append(all, sh)
			}
		}
	}
	return all, nil
}

// Index is what was written for one dataset and format.
type Index struct {
	Dataset string `json:"dataset"`
	Format  string `json:"format"`
	Shards  int    `json:"shards"`
	Samples int64  `json:"samples"`
	Bytes   int64  `json:"bytes"`
	// List and Wids are keys in the store: a URL a line, and the index of the wids
	// library. Their URLs are relative to their own folder.
	List string `json:"list"`
	Wids string `json:"wids,omitempty"`
}

// Published is a snapshot with its indexes.
type Published struct {
	Snapshot *ledger.Snapshot `json:"snapshot"`
	Indexes  []Index          `json:"indexes"`
}

// Publish makes the next snapshot (or finds the latest, if nothing was committed since)
// and writes the loaders' indexes for it. Doing it again writes the same.
func Publish(ctx context.Context, s store.Store) (*Published, error) {
	snap, err := ledger.Publish(ctx, store.Plain{Store: s})
	if err != nil {
		return nil, err
	}
	shards, err := Shards(ctx, s, snap, "")
	if err != nil {
		return nil, err
	}
	p := &Published{Snapshot: snap, Indexes: []Index{}}
	slices.SortStableFunc(shards, func(a, b ledger.Shard) int {
		return cmp.Or(cmp.Compare(a.Dataset, b.Dataset), cmp.Compare(a.Format, b.Format))
	})
	for len(shards) > 0 {
		n := 1
		for n < len(shards) && shards[n].Dataset == shards[0].Dataset && shards[n].Format == shards[0].Format {
			n++
		}
		i, err := writeIndex(ctx, s, snap.N, shards[:n])
		if err != nil {
			return nil, fmt.Errorf("publish snapshot %d: dataset %q: %w", snap.N, shards[0].Dataset, err)
		}
		p.Indexes = append(p.Indexes, i)
		shards = shards[n:]
	}
	return p, nil
}

func writeIndex(ctx context.Context, s store.Store, n int64, shards []ledger.Shard) (Index, error) {
	i := Index{Dataset: shards[0].Dataset, Format: shards[0].Format, Shards: len(shards)}
	folder := fmt.Sprintf("_index/%020d/%s", n, i.Dataset)
	up := strings.Repeat("../", strings.Count(folder, "/")+1)
	infos, urls := make([]shard.Info, len(shards)), make([]string, len(shards))
	for k, sh := range shards {
		urls[k] = up + sh.Key
		infos[k] = shard.Info{URL: urls[k], Samples: sh.Samples, Bytes: sh.Bytes}
		i.Samples += sh.Samples
		i.Bytes += sh.Bytes
	}
	var list, wids bytes.Buffer
	if err := shard.WriteShardList(&list, urls); err != nil {
		return i, err
	}
	i.List = folder + "/" + i.Format + ".txt"
	if err := s.Put(ctx, i.List, store.BytesBody(list.Bytes())); err != nil {
		return i, err
	}
	if i.Format != "webdataset" {
		return i, nil
	}
	if err := shard.WriteWids(&wids, i.Dataset, infos); err != nil {
		return i, err
	}
	i.Wids = folder + "/wids.json"
	return i, s.Put(ctx, i.Wids, store.BytesBody(wids.Bytes()))
}
