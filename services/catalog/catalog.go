// Package catalog is what readers see of a store: the shards that the ledgers name, by
// dataset, at a snapshot or as of now; and the loaders' own indexes for a snapshot.
package catalog

import (
	"context"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Shards are the shards of one dataset (of all, where dataset is empty), at a snapshot or
// as of now: see [ledger.Shards], which does not hold them all.
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
