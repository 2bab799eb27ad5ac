package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"
)

// EditKind is what an edit is for.
type EditKind string

// The kinds of edit.
const (
	Compact  EditKind = "compact"  // few large shards in place of many small ones; the same samples
	Takedown EditKind = "takedown" // shards without certain samples in place of shards with them
)

// Edit changes which shards a dataset consists of, from some snapshot on: those that it
// removes are left out, those that it adds come in their place. Records stay as they are,
// and so do the snapshots before. An edit is an object _edit/<sha256>.json, written once;
// its name holds its digest.
type Edit struct {
	Version int      `json:"v"`
	Kind    EditKind `json:"kind"`
	Dataset string   `json:"dataset,omitempty"`
	// Removes are keys of the dataset's shards, which records name or earlier edits have
	// added. A shard once removed never comes back.
	Removes []string `json:"removes"`
	// Adds are new shards of the dataset, whose keys EditedKey has made up. Their offsets
	// are zero: they may come from several streams.
	Adds   []Shard   `json:"adds,omitempty"`
	Reason string    `json:"reason,omitempty"` // for people
	Time   time.Time `json:"time"`             // informational
}

// EditRef names an edit in a snapshot.
type EditRef struct {
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// MaxEdit bounds an edit's bytes: over 100,000 shards. What is larger is several edits.
const MaxEdit = 16 << 20

// EditedPrefix is what the keys of shards that edits add begin with. Nothing under it
// belongs to a stream, so what is cleared by epochs leaves it alone.
const EditedPrefix = "edited/"

const editPrefix = "_edit/"

func editKey(sum string) string { return editPrefix + sum + ".json" }

// ref is the name of an edit of these bytes.
func ref(data []byte) EditRef {
	sum := digest(data)
	return EditRef{Key: editKey(sum), Bytes: int64(len(data)), SHA256: sum}
}

// Validate refuses an edit that changes nothing or that can not be.
func (e *Edit) Validate() error {
	switch {
	case e.Version != Version:
		return fmt.Errorf("it has format version %d; this program knows %d: use a newer one", e.Version, Version)
	case e.Kind != Compact && e.Kind != Takedown:
		return fmt.Errorf("its kind %q is not known", e.Kind)
	case len(e.Removes) == 0:
		return errors.New("it removes no shard")
	case len(e.Reason) > MaxText:
		return fmt.Errorf("its reason has %d bytes; %d are allowed", len(e.Reason), MaxText)
	}
	seen := make(map[string]bool, len(e.Removes)+len(e.Adds))
	for _, key := range e.Removes {
		if !strings.HasPrefix(key, dataPrefix) && !strings.HasPrefix(key, EditedPrefix) || seen[key] {
			return fmt.Errorf("it removes %q, which is no shard's key, or stands there twice", key)
		}
		seen[key] = true
	}
	for _, s := range e.Adds {
		if err := e.checkAdded(s); err != nil {
			return fmt.Errorf("the shard %s that it adds: %w", s.Key, err)
		}
		if seen[s.Key] {
			return fmt.Errorf("the shard %s that it adds stands there twice", s.Key)
		}
		seen[s.Key] = true
	}
	return nil
}

func (e *Edit) checkAdded(s Shard) error {
	switch {
	case !strings.HasPrefix(s.Key, EditedPrefix) || path.Clean(s.Key) != s.Key || len(s.Key) > 1<<10:
		return fmt.Errorf("its name is to begin with %s", EditedPrefix)
	case s.Dataset != e.Dataset:
		return fmt.Errorf("it is of dataset %q, and the edit of %q", s.Dataset, e.Dataset)
	case s.Format == "":
		return errors.New("its format is missing")
	case s.Bytes < 1 || s.Samples < 1 || s.Members < 0 || s.From != 0 || s.To != 0:
		return errors.New("its size or its count of samples is out of range, or it has offsets")
	case !isHex(s.SHA256, 32) || !isHex(s.CRC32C, 4):
		return errors.New("its digest is malformed")
	}
	return nil
}

// ParseEdit reads an edit's bytes, which may come from anywhere.
func ParseEdit(data []byte) (*Edit, error) {
	if len(data) > MaxEdit {
		return nil, fmt.Errorf("it has %d bytes; an edit has at most %d", len(data), MaxEdit)
	}
	var e Edit
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("it is no edit: %w", err)
	}
	return &e, e.Validate()
}

// Edits gives the edits of a snapshot, in order, each checked against its digest. An
// error is the last pair.
func Edits(ctx context.Context, s Store, snap *Snapshot) iter.Seq2[*Edit, error] {
	return func(yield func(*Edit, error) bool) {
		for _, r := range snap.Edits {
			e, err := loadEdit(ctx, s, r)
			if err != nil {
				yield(nil, fmt.Errorf("read the edits of snapshot %d: %w", snap.N, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func loadEdit(ctx context.Context, s Store, r EditRef) (*Edit, error) {
	data, err := load(ctx, s, r.Key, r.Bytes)
	if err != nil {
		return nil, err
	}
	if got := ref(data); got != r {
		return nil, fmt.Errorf("%s: it has %d bytes of SHA-256 %s; the snapshot says %d of %s", r.Key, got.Bytes, got.SHA256, r.Bytes, r.SHA256)
	}
	e, err := ParseEdit(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Key, err)
	}
	return e, nil
}

// Removed is the set of shards that a snapshot's edits have removed. It keeps a digest of
// 128 bits of each key: some 40 bytes a shard.
type Removed struct{ keys table }

// LoadRemoved reads the edits of a snapshot, one at a time. A nil snapshot has none.
func LoadRemoved(ctx context.Context, s Store, snap *Snapshot) (*Removed, error) {
	r := &Removed{}
	if snap == nil {
		return r, nil
	}
	for e, err := range Edits(ctx, s, snap) {
		if err != nil {
			return nil, err
		}
		for _, key := range e.Removes {
			r.add(key)
		}
	}
	return r, nil
}

// Has says whether a shard was removed.
func (r *Removed) Has(key string) bool {
	if r.keys.len() == 0 {
		return false
	}
	_, there := r.keys.get(hashID("", key))
	return there
}

func (r *Removed) add(key string) { r.keys.put(hashID("", key), 0) }

// Len is how many shards were removed.
func (r *Removed) Len() int { return r.keys.len() }
