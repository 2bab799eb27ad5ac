package ledger

import (
	"context"
	"errors"
	"iter"
)

// Records gives every record of every stream, up to a snapshot's positions, or to the
// ends of the chains where snap is nil. An error is the last pair.
func Records(ctx context.Context, s Store, snap *Snapshot) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for stream, err := range pinnedStreams(ctx, s, snap) {
			if err != nil {
				yield(Item{}, err)
				return
			}
			last := int64(-1)
			if snap != nil {
				at, _ := snap.At(stream)
				last = at.Seq
			}
			for item, err := range Read(ctx, s, stream, 0) {
				if !yield(item, err) || err != nil {
					return
				}
				if item.Position.Seq == last {
					break
				}
			}
		}
	}
}

// pinnedStreams are those of a snapshot, or all that there are.
func pinnedStreams(ctx context.Context, s Store, snap *Snapshot) iter.Seq2[Stream, error] {
	if snap == nil {
		return Streams(ctx, s)
	}
	return func(yield func(Stream, error) bool) {
		for _, p := range snap.Streams {
			stream, err := ParseStream(p.Stream)
			if !yield(stream, err) || err != nil {
				return
			}
		}
	}
}

// Shards gives the shards of one dataset (of all, where dataset is empty) at a snapshot:
// those that records name up to its positions, in the order of streams and records, less
// those that its edits remove; then those that its edits add. Without a snapshot it is
// the chains as they are now, with the edits of the latest snapshot. An error is the last
// pair.
//
// What it holds in memory is some records, and a digest of each shard removed.
func Shards(ctx context.Context, s Store, snap *Snapshot, dataset string) iter.Seq2[Shard, error] {
	return func(yield func(Shard, error) bool) {
		edited := snap
		if edited == nil {
			latest, err := Latest(ctx, s)
			if err != nil && !errors.Is(err, ErrNoSnapshot) {
				yield(Shard{}, err)
				return
			}
			edited = latest
		}
		removed, err := LoadRemoved(ctx, s, edited)
		if err != nil {
			yield(Shard{}, err)
			return
		}
		give := func(shards []Shard) bool {
			for _, sh := range shards {
				if (dataset == "" || sh.Dataset == dataset) && !removed.Has(sh.Key) && !yield(sh, nil) {
					return false
				}
			}
			return true
		}
		for item, err := range Records(ctx, s, snap) {
			if err != nil {
				yield(Shard{}, err)
				return
			}
			if !give(item.Record.Shards) {
				return
			}
		}
		if edited == nil {
			return
		}
		for e, err := range Edits(ctx, s, edited) {
			if err != nil {
				yield(Shard{}, err)
				return
			}
			if !give(e.Adds) {
				return
			}
		}
	}
}
