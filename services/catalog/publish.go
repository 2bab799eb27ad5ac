package catalog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Published is a snapshot with its indexes.
type Published struct {
	Snapshot *ledger.Snapshot `json:"snapshot"`
	Indexes  []Index          `json:"indexes"`
	// Mended are earlier snapshots whose indexes were not all there, since who published
	// them had died, and now are.
	Mended []int64 `json:"mended,omitempty"`
}

// mostMended is how many snapshots before the latest are looked at, at most.
const mostMended = 8

// Publish makes the next snapshot (or finds the latest, if nothing was committed since)
// and writes the loaders' indexes for it, where they are not there yet: what is published
// never changes. Snapshots just before whose publisher died half-way get theirs first.
//
// It reads each record once, and of shards the first bytes of those in MDS that are new.
// In memory it holds about 40 bytes a shard; the indexes grow in unlinked files in the
// folder for temporary ones.
func Publish(ctx context.Context, s store.Store) (*Published, error) {
	snap, err := ledger.Publish(ctx, store.Plain{Store: s})
	if err != nil {
		return nil, err
	}
	return Complete(ctx, s, snap)
}

// Complete writes what a snapshot and those just before it lack in indexes.
func Complete(ctx context.Context, s store.Store, snap *ledger.Snapshot) (*Published, error) {
	p := &Published{Snapshot: snap}
	var err error
	if p.Indexes, err = indexed(ctx, s, snap.N); err != nil {
		return nil, err
	}
	if p.Indexes != nil {
		return p, nil // and those before it had theirs first
	}
	from := snap.N
	for ; from > 0 && snap.N-from < mostMended; from-- {
		if before, err := indexed(ctx, s, from-1); err != nil {
			return nil, err
		} else if before != nil {
			break
		}
	}
	for n := from; n <= snap.N; n++ {
		this := snap
		if n < snap.N {
			if this, err = ledger.ReadSnapshot(ctx, store.Plain{Store: s}, n); err != nil {
				return nil, err
			}
		}
		p.Indexes, err = writeIndexes(ctx, s, this)
		switch {
		case n < snap.N && errors.Is(err, store.ErrNotFound):
			continue // some of its shards are forgotten already: nobody is to read it
		case err != nil:
			return nil, fmt.Errorf("publish snapshot %d: %w", n, err)
		case n < snap.N:
			p.Mended = append(p.Mended, n)
		}
	}
	return p, nil
}

// doneKey is the list of a snapshot's indexes, the last thing to be written of them.
func doneKey(n int64) string { return fmt.Sprintf("_index/%020d.json", n) }

// mostDone bounds that list: over 100,000 datasets.
const mostDone = 64 << 20

// indexed gives a snapshot's indexes, if all of them are there; else nil.
func indexed(ctx context.Context, s store.Store, n int64) ([]Index, error) {
	rc, info, err := s.Get(ctx, doneKey(n), 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if info.Size > mostDone {
		return nil, fmt.Errorf("%s has %d bytes; the limit is %d", doneKey(n), info.Size, mostDone)
	}
	var indexes []Index
	if err := json.NewDecoder(rc).Decode(&indexes); err != nil || indexes == nil {
		return nil, fmt.Errorf("%s is no list of indexes: %w", doneKey(n), cmp.Or(err, errors.New("it is null")))
	}
	return indexes, nil
}

func markDone(ctx context.Context, s store.Store, n int64, indexes []Index) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	if err := e.Encode(indexes); err != nil {
		return err
	}
	return create(ctx, s, doneKey(n), b.Bytes())
}
