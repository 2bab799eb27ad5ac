package ledger

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Orphan is an object under data/ that no record names. A small file that loaders expect
// beside a shard, under the shard's name and one more ending, belongs to the shard.
type Orphan struct {
	Key   string
	Epoch int64
	// Dead says that no record ever will: the stream has moved on to a later epoch.
	// Only then may it be deleted. (An object of the current epoch may be named by the
	// next record.)
	Dead bool
}

// Orphans gives a stream's unnamed objects. It rests on one rule, and on no clock: an
// object of epoch e is named by records of epoch e only, and none of these can appear
// once the chain holds a fence of a later one. Objects are listed first and the chain
// read afterwards, so that what is committed meanwhile is not mistaken.
func Orphans(ctx context.Context, s Store, stream Stream) iter.Seq2[Orphan, error] {
	return func(yield func(Orphan, error) bool) {
		orphans, err := orphans(ctx, s, stream)
		if err != nil {
			yield(Orphan{}, fmt.Errorf("find the orphans of stream %s: %w", stream, err))
			return
		}
		for _, o := range orphans {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func orphans(ctx context.Context, s Store, stream Stream) ([]Orphan, error) {
	found, err := dataObjects(ctx, s, stream)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	named := map[string]bool{}
	epoch := int64(0)
	for item, err := range Read(ctx, s, stream, 0) {
		if err != nil {
			return nil, err
		}
		r := item.Record
		epoch = r.Epoch
		for _, shard := range r.Shards {
			named[shard.Key] = true
		}
		if r.Table != nil {
			named[r.Table.Key] = true
		}
	}
	return unnamed(found, named, epoch), nil
}

// dataObjects lists what lies under a stream's epochs.
func dataObjects(ctx context.Context, s Store, stream Stream) ([]Orphan, error) {
	prefix := dataPrefix + stream.Path() + "/"
	var found []Orphan
	for key, err := range s.Keys(ctx, prefix, "") {
		if err != nil {
			return nil, err
		}
		text, _, _ := strings.Cut(key[len(prefix):], "/")
		epoch, ok := parseNumber(text)
		if !ok {
			continue // not ours
		}
		found = append(found, Orphan{Key: key, Epoch: epoch})
	}
	return found, nil
}

func unnamed(found []Orphan, named map[string]bool, epoch int64) []Orphan {
	var rest []Orphan
	for _, o := range found {
		// What stands beside a shard, under its name and one more ending, is the shard's.
		shard := o.Key[:max(strings.LastIndexByte(o.Key, '.'), 0)]
		if !named[o.Key] && !named[shard] {
			o.Dead = o.Epoch < epoch
			rest = append(rest, o)
		}
	}
	return rest
}
