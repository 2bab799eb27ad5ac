package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Snapshot is one immutable version of a dataset: a position in each stream. What the
// records up to these positions name belongs to it; nothing else does.
type Snapshot struct {
	Version  int      `json:"v"`
	N        int64    `json:"n"`        // from 0 on
	Previous string   `json:"previous"` // SHA-256 of snapshot N-1, hex; "" in the first
	Streams  []Pinned `json:"streams"`  // in the order of their paths
	// Recipes are the digests of all recipes that its shards were made by, sorted.
	Recipes []string `json:"recipes,omitempty"`
	// Edits are those of the snapshot before, and then its own. A snapshot with edits has
	// version 2: a reader that does not know of them refuses it.
	Edits []EditRef `json:"edits,omitempty"`
	Time  time.Time `json:"time"` // informational
}

// editedVersion is that of a snapshot with edits.
const editedVersion = 2

// Pinned is a stream at a position.
type Pinned struct {
	Stream string `json:"stream"` // as Stream.Path
	Position
}

// maxSnapshot bounds a snapshot's bytes: over 100,000 streams.
const maxSnapshot = 32 << 20

// Key is the snapshot's name.
func (s *Snapshot) Key() string { return SnapshotKey(s.N) }

// At gives a stream's position.
func (s *Snapshot) At(stream Stream) (Position, bool) {
	i, found := slices.BinarySearchFunc(s.Streams, stream.Path(), func(p Pinned, path string) int { return strings.Compare(p.Stream, path) })
	if !found {
		return Position{}, false
	}
	return s.Streams[i].Position, true
}

// ErrNoSnapshot: nothing was published yet.
var ErrNoSnapshot = errors.New("there is no snapshot yet")

// Latest gives the newest snapshot, or ErrNoSnapshot.
func Latest(ctx context.Context, s Store) (*Snapshot, error) {
	snap, _, err := latest(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("read the latest snapshot: %w", err)
	}
	return snap, nil
}

// ReadSnapshot gives one snapshot by its number.
func ReadSnapshot(ctx context.Context, s Store, n int64) (*Snapshot, error) {
	snap, _, err := loadSnapshot(ctx, s, n)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot %d: %w", n, err)
	}
	return snap, nil
}

func latest(ctx context.Context, s Store) (*Snapshot, []byte, error) {
	n, err := lastNumber(ctx, s, SnapshotKey, -1)
	if err != nil {
		return nil, nil, err
	}
	if n < 0 {
		return nil, nil, ErrNoSnapshot
	}
	return loadSnapshot(ctx, s, n)
}

func loadSnapshot(ctx context.Context, s Store, n int64) (*Snapshot, []byte, error) {
	data, err := load(ctx, s, SnapshotKey(n), maxSnapshot)
	if err != nil {
		return nil, nil, err
	}
	snap, err := parseSnapshot(data)
	if err == nil && snap.N != n {
		err = fmt.Errorf("it says that it is snapshot %d", snap.N)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", SnapshotKey(n), err)
	}
	return snap, data, nil
}

func parseSnapshot(data []byte) (*Snapshot, error) {
	var snap Snapshot
	if err := json.Unmarshal(data, &snap); err != nil {
		return nil, fmt.Errorf("it is no snapshot: %w", err)
	}
	switch {
	case snap.Version != Version && snap.Version != editedVersion:
		return nil, fmt.Errorf("it has format version %d; this program knows %d and %d: use a newer one", snap.Version, Version, editedVersion)
	case (len(snap.Edits) > 0) != (snap.Version == editedVersion):
		return nil, fmt.Errorf("it has %d edits and format version %d: those with edits, and only those, have %d", len(snap.Edits), snap.Version, editedVersion)
	case snap.N < 0 || (snap.N == 0) != (snap.Previous == ""):
		return nil, errors.New("its number or its link is out of range")
	case !slices.IsSortedFunc(snap.Streams, func(a, b Pinned) int { return strings.Compare(a.Stream, b.Stream) }):
		return nil, errors.New("its streams are out of order")
	}
	for i, p := range snap.Streams {
		if _, err := ParseStream(p.Stream); err != nil {
			return nil, err
		}
		if p.Seq < 0 || p.Next < 0 || !isHex(p.SHA256, 32) || i > 0 && p.Stream == snap.Streams[i-1].Stream {
			return nil, fmt.Errorf("the position of stream %s is malformed, or there twice", p.Stream)
		}
	}
	return &snap, checkRefs(snap.Edits)
}

func checkRefs(refs []EditRef) error {
	seen := make(map[string]bool, len(refs))
	for _, r := range refs {
		if r.Key != editKey(r.SHA256) || !isHex(r.SHA256, 32) || r.Bytes < 2 || r.Bytes > MaxEdit || seen[r.Key] {
			return fmt.Errorf("the edit %s is malformed, or there twice", r.Key)
		}
		seen[r.Key] = true
	}
	return nil
}

// Publish makes the next snapshot, of all streams as they are. If nothing was
// committed since the latest one, it gives that.
func Publish(ctx context.Context, s Store) (*Snapshot, error) {
	snap, err := publish(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("publish a snapshot: %w", err)
	}
	return snap, nil
}

// publishWait and publishMaxWait are the first and the longest pause between attempts at
// a number that others want too.
const (
	publishWait    = 20 * time.Millisecond
	publishMaxWait = time.Second
)

// stagger waits before attempt n, counted from 0, for a time drawn at random, so that
// those who want one number do not meet again. It is drawn from the clock, so that a run
// in virtual time can be had again. It is false if the context ends first.
func stagger(ctx context.Context, n int) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	most := min(publishWait<<min(n-1, 10), publishMaxWait)
	chance := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(n))) //nolint:gosec // no secret
	t := time.NewTimer(most/2 + time.Duration(chance.Int64N(int64(most/2))))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

func publish(ctx context.Context, s Store) (*Snapshot, error) {
	for n := 0; ; n++ {
		if !stagger(ctx, n) {
			return nil, ctx.Err()
		}
		last, lastData, err := latest(ctx, s)
		if err != nil && !errors.Is(err, ErrNoSnapshot) {
			return nil, err
		}
		next := after(last, lastData)
		if err := pin(ctx, s, last, next); err != nil {
			return nil, err
		}
		if last != nil && slices.Equal(last.Streams, next.Streams) {
			return last, nil
		}
		won, err := createSnapshot(ctx, s, next)
		if err != nil || won {
			return next, err
		}
	}
}

// after begins the snapshot that follows last, which may be nil.
func after(last *Snapshot, data []byte) *Snapshot {
	next := &Snapshot{Version: Version, Streams: []Pinned{}, Time: time.Now().UTC().Truncate(time.Millisecond)}
	if last != nil {
		next.Version, next.N, next.Previous, next.Edits = last.Version, last.N+1, digest(data), slices.Clone(last.Edits)
	}
	return next
}

// pin fills in the streams' positions and the recipes, from the last snapshot on.
func pin(ctx context.Context, s Store, last, next *Snapshot) error {
	recipes := map[string]bool{}
	if last != nil {
		for _, r := range last.Recipes {
			recipes[r] = true
		}
	}
	for stream, err := range Streams(ctx, s) {
		if err != nil {
			return err
		}
		from := int64(0)
		pinned := Pinned{Stream: stream.Path()}
		if last != nil {
			if at, ok := last.At(stream); ok {
				from, pinned.Position = at.Seq+1, at
			}
		}
		for item, err := range Read(ctx, s, stream, from) {
			if err != nil {
				return err
			}
			pinned.Position = item.Position
			for _, shard := range item.Record.Shards {
				if shard.Recipe != "" {
					recipes[shard.Recipe] = true
				}
			}
		}
		next.Streams = append(next.Streams, pinned)
	}
	next.Recipes = slices.Sorted(maps.Keys(recipes))
	return nil
}

// createSnapshot stores a snapshot; false if its number went to another. Unlike a
// record it may be given up at any time: a snapshot that lands unseen does no harm.
func createSnapshot(ctx context.Context, s Store, snap *Snapshot) (bool, error) {
	data, err := canonical(snap)
	if err != nil {
		return false, err
	}
	if len(data) > maxSnapshot {
		return false, fmt.Errorf("a snapshot of %d streams has %d bytes; %d are allowed", len(snap.Streams), len(data), maxSnapshot)
	}
	err = s.Create(ctx, snap.Key(), data)
	switch judge(err) {
	case landed:
		return true, nil
	case refused:
		return false, err
	}
	found, readErr := load(ctx, s, snap.Key(), maxSnapshot)
	switch {
	case readErr == nil:
		return bytes.Equal(found, data), nil
	case !notFound(readErr):
		return false, errors.Join(err, readErr)
	}
	return false, ctx.Err() // nothing there: the next round tries the same number
}
