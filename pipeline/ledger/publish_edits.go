package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// ErrEditConflict: an edit removes what another has removed meanwhile. What it adds would
// double samples, or bring back what was taken down: make it again from the latest snapshot.
var ErrEditConflict = errors.New("another edit has removed it already")

// EditedKey makes up a name for a shard that an edit adds, never given before. ext is
// like "tar", without a dot in front.
func EditedKey(ext string) string { return EditedPrefix + ulid.Make().String() + "." + ext }

// PublishEdits makes the next snapshot: the latest one, at the same positions, and with
// these edits besides. There must be a snapshot already, and the shards that the edits add
// must be in the store and verified. It fails with ErrEditConflict if the latest snapshot
// has had a shard removed that they remove.
//
// Whoever found by reading snapshot n what to remove compares the positions of what it
// gets with those of n: what records beyond have brought in was not looked at.
func PublishEdits(ctx context.Context, s Store, edits ...Edit) (*Snapshot, error) {
	snap, err := publishEdits(ctx, s, edits)
	if err != nil {
		return nil, fmt.Errorf("publish edits: %w", err)
	}
	return snap, nil
}

func publishEdits(ctx context.Context, s Store, edits []Edit) (*Snapshot, error) {
	if len(edits) == 0 {
		return nil, errors.New("there are none")
	}
	var refs []EditRef
	for i := range edits {
		r, err := storeEdit(ctx, s, edits[i])
		if err != nil {
			return nil, err
		}
		refs = append(refs, r)
	}
	for n := 0; ; n++ {
		if !stagger(ctx, n) {
			return nil, ctx.Err()
		}
		last, data, err := latest(ctx, s)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(refs, func(r EditRef) bool { return !slices.Contains(last.Edits, r) }) {
			return last, nil // an attempt whose answer was lost has landed after all
		}
		next := after(last, data)
		next.Streams, next.Version = last.Streams, editedVersion
		next.Edits = append(next.Edits, refs...)
		next.Recipes = recipesWith(last.Recipes, edits)
		if err := checkRefs(next.Edits); err != nil {
			return nil, err
		}
		if err := conflicts(ctx, s, last, edits); err != nil {
			return nil, err
		}
		won, err := createSnapshot(ctx, s, next)
		if err != nil || won {
			return next, err
		}
	}
}

// storeEdit puts an edit under the name that its digest gives it: twice is the same.
func storeEdit(ctx context.Context, s Store, e Edit) (EditRef, error) {
	e.Version = Version
	if e.Time.IsZero() {
		e.Time = time.Now().UTC().Truncate(time.Millisecond)
	}
	if err := e.Validate(); err != nil {
		return EditRef{}, err
	}
	data, err := canonical(e)
	if err != nil {
		return EditRef{}, err
	}
	if len(data) > MaxEdit {
		return EditRef{}, fmt.Errorf("an edit of %d shards has %d bytes; %d are allowed: make several", len(e.Removes)+len(e.Adds), len(data), MaxEdit)
	}
	r := ref(data)
	return r, s.Replace(ctx, r.Key, data)
}

// conflicts refuses edits that remove what the snapshot, or one another, has removed.
func conflicts(ctx context.Context, s Store, last *Snapshot, edits []Edit) error {
	removed, err := LoadRemoved(ctx, s, last)
	if err != nil {
		return err
	}
	for _, e := range edits {
		for _, key := range e.Removes {
			if removed.Has(key) {
				return fmt.Errorf("the shard %s: %w", key, ErrEditConflict)
			}
			removed.add(key)
		}
	}
	return nil
}

func recipesWith(have []string, edits []Edit) []string {
	all := slices.Clone(have)
	for _, e := range edits {
		for _, s := range e.Adds {
			if s.Recipe != "" {
				all = append(all, s.Recipe)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
