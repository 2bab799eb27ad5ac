package keeper

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Change is an edit that has replaced a shard.
type Change struct {
	Kind ledger.EditKind `json:"kind"`
	// Snapshot is the first that goes by the edit.
	Snapshot int64     `json:"snapshot"`
	Time     time.Time `json:"time"` // when the edit was made
	Reason   string    `json:"reason,omitempty"`
	// Became are the shards that came in its place: for those of a takedown none, if all of
	// its samples were taken down.
	Became []string `json:"became,omitempty"`

	ref    ledger.EditRef
	shards []ledger.Shard
}

// lineage follows shards through the edits of the latest snapshot: what replaced each, and
// what replaced that.
func (e *explainer) lineage(keys map[string]bool) (map[string]*Change, error) {
	changes := map[string]*Change{}
	if err := e.loadLatest(); err != nil || e.latest == nil || len(keys) == 0 {
		return changes, err
	}
	i := -1
	for edit, err := range ledger.Edits(e.ctx, e.s, e.latest) {
		if err != nil {
			return nil, err
		}
		i++
		if !slices.ContainsFunc(edit.Removes, func(k string) bool { return keys[k] }) {
			continue
		}
		for _, key := range edit.Removes {
			if !keys[key] {
				continue
			}
			c := &Change{Kind: edit.Kind, Time: edit.Time, Reason: edit.Reason, ref: e.latest.Edits[i]}
			became, err := e.becomes(e.ctx, edit, map[string]bool{key: true})
			if err != nil {
				return nil, err
			}
			for _, sh := range edit.Adds {
				if slices.Contains(became, sh.Key) {
					c.Became, c.shards = append(c.Became, sh.Key), append(c.shards, sh)
				}
			}
			if c.Snapshot, err = e.firstWith(func(s *ledger.Snapshot) bool { return slices.Contains(s.Edits, c.ref) }); err != nil {
				return nil, err
			}
			changes[key] = c
			for _, k := range became {
				keys[k] = true
			}
		}
	}
	return changes, nil
}

// becomes gives what the shards of a set that an edit removes became.
func (e *explainer) becomes(ctx context.Context, edit *ledger.Edit, of map[string]bool) ([]string, error) {
	if p, ok := e.s.(store.Plain); ok {
		return becomes(ctx, p.Store, edit, of)
	}
	return keysOf(edit.Adds), nil
}

// follow adds to each fate what its shards became.
func (e *explainer) follow() error {
	keys := map[string]bool{}
	for i := range e.answer.Fates {
		for _, sh := range e.answer.Fates[i].Shards {
			keys[sh.Key] = true
		}
	}
	changes, err := e.lineage(keys)
	if err != nil || len(changes) == 0 {
		return err
	}
	for i := range e.answer.Fates {
		f := &e.answer.Fates[i]
		for j := 0; j < len(f.Shards); j++ { // it grows
			c := changes[f.Shards[j].Key]
			if f.Shards[j].Gone = c; c == nil {
				continue
			}
			for _, sh := range c.shards {
				if !slices.ContainsFunc(f.Shards, func(x Shard) bool { return x.Key == sh.Key }) {
					f.Shards = append(f.Shards, Shard{Shard: sh})
				}
			}
		}
	}
	return nil
}

// takenDown notes a fate whose samples are in no shard any more, since a takedown.
func (e *explainer) takenDown(f *Fate) error {
	var by *Change
	for i := range f.Shards {
		if c := f.Shards[i].Gone; c != nil && c.Kind == ledger.Takedown && (by == nil || c.Snapshot > by.Snapshot) {
			by = c
		}
	}
	if by == nil || f.Status != ledger.OK {
		return nil
	}
	prefix := jobPrefix(f.Dataset, f.ID)
	left := slices.Clone(f.Shards)
	if err := e.lookInto(left, func(key string) bool { return hashOf(key)+"-" == prefix }, true); err != nil {
		return err
	}
	for _, sh := range left {
		if sh.Gone == nil && (sh.Fault != "" || len(sh.Holds) > 0) {
			return nil // it is there, or that is not known
		}
	}
	f.TakenDown = by
	f.Means = "its samples were taken down, and are in no snapshot from " + number(by.Snapshot) + " on: " + by.Reason
	if f.Snapshots != nil {
		f.Snapshots.Last = by.Snapshot - 1
		if f.Snapshots.Last < f.Snapshots.First {
			f.Snapshots = nil
		}
	}
	return nil
}
