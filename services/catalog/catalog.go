// Package catalog is what readers see of a store: the shards that the ledgers name, by
// dataset, at a snapshot or as of now; and the loaders' own indexes for a snapshot.
package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Shards are the shards of one dataset (of all, where dataset is empty), at a snapshot or
// as of now: see [ledger.Shards].
func Shards(ctx context.Context, s store.Store, snap *ledger.Snapshot, dataset string) ([]ledger.Shard, error) {
	var all []ledger.Shard
	for sh, err := range ledger.Shards(ctx, store.Plain{Store: s}, snap, dataset) {
		if err != nil {
			return nil, err
		}
		all = append(all, sh)
	}
	return all, nil
}

// Published is a snapshot with its indexes.
type Published struct {
	Snapshot *ledger.Snapshot `json:"snapshot"`
	Indexes  []Index          `json:"indexes"`
}

// Publish makes the next snapshot (or finds the latest, if nothing was committed since)
// and writes the loaders' indexes for it, where they are not there yet: what is published
// never changes. It reads no shard, but for the first bytes of those in MDS.
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
		i, err := writeIndexes(ctx, s, snap.N, shards[:n])
		if err != nil {
			return nil, fmt.Errorf("publish snapshot %d: dataset %q: %w", snap.N, shards[0].Dataset, err)
		}
		p.Indexes = append(p.Indexes, i)
		shards = shards[n:]
	}
	return p, nil
}
