package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// IDs remembers the ids of jobs that are committed, so that a repeat is known as one.
// It keeps 128 bits of an id's SHA-256 and the offset: about 60 bytes each. Not for
// several goroutines.
type IDs struct {
	limit    int // 0 for none
	old, new map[idHash]int64
}

type idHash [2]uint64

// NewIDs makes an empty set that remembers at least the last limit ids, and at most
// twice as many; 0 means all.
func NewIDs(limit int) *IDs {
	return &IDs{limit: limit, new: map[idHash]int64{}}
}

func hashID(dataset, id string) idHash {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(dataset), dataset, id))
	return idHash{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

// Add notes that the job of an id, in a dataset, ended at an offset, as samples or in quarantine.
func (s *IDs) Add(dataset, id string, offset int64, status Status) {
	if s.limit > 0 && len(s.new) >= s.limit {
		s.old, s.new = s.new, map[idHash]int64{}
	}
	s.new[hashID(dataset, id)] = mark(offset, status)
}

// Find gives the offset at which a job of that id ended, and how.
func (s *IDs) Find(dataset, id string) (offset int64, status Status, found bool) {
	h := hashID(dataset, id)
	m, found := s.new[h]
	if !found {
		m, found = s.old[h]
	}
	status = OK
	if m&1 != 0 {
		status = Quarantined
	}
	return m >> 1, status, found
}

// Len is how many ids are remembered.
func (s *IDs) Len() int { return len(s.new) + len(s.old) }

// mark is an offset and whether the job was quarantined.
func mark(offset int64, status Status) int64 {
	m := offset << 1
	if status == Quarantined {
		m |= 1
	}
	return m
}

// LoadIDs reads the ids of a stream's jobs that ended as samples or in quarantine,
// from the record at pos (see Chain.Position) backwards, until there are limit of them
// (0 means all) or a record is older than since (zero means none is).
func LoadIDs(ctx context.Context, s Store, stream Stream, pos Position, limit int, since time.Time) (*IDs, error) {
	ids := NewIDs(limit)
	if pos.SHA256 == "" {
		return ids, nil
	}
	ids.old = map[idHash]int64{}
	back := newAhead(ctx, readAhead, pos.Seq, func(ctx context.Context, seq int64) (*loaded, error) {
		return loadOutcomes(ctx, s, stream, seq)
	})
	back.step = -1
	defer back.stop()
	want := pos.SHA256
	for seq := pos.Seq; seq >= 0; seq-- {
		l, err := back.next()
		if err != nil {
			return nil, fmt.Errorf("load the ids of stream %s: %w", stream, err)
		}
		if got := digest(l.data); got != want {
			return nil, fmt.Errorf("load the ids of stream %s: %w", stream, broken(stream, seq, "it has SHA-256 %s; the record after it says %s", got, want))
		}
		want = l.Previous
		if !since.IsZero() && l.Kind == Data && l.Time.Before(since) || limit > 0 && len(ids.old) >= limit {
			break
		}
		ids.addOlder(l.outcomes)
	}
	return ids, nil
}

type loaded struct {
	*link
	outcomes []Outcome
}

func loadOutcomes(ctx context.Context, s Store, stream Stream, seq int64) (*loaded, error) {
	if seq < 0 {
		return nil, nil // read ahead of the chain's beginning; nobody asks for it
	}
	l, err := loadLink(ctx, s, stream, seq)
	if err != nil {
		return nil, err
	}
	outcomes, err := Outcomes(ctx, s, l.Record)
	return &loaded{l, outcomes}, err
}

// addOlder adds what ended before all that is known: an id that ended twice keeps its
// later end.
func (s *IDs) addOlder(outcomes []Outcome) {
	for i := len(outcomes) - 1; i >= 0; i-- {
		o := outcomes[i]
		if o.ID == "" || o.Status != OK && o.Status != Quarantined {
			continue
		}
		h := hashID(o.Dataset, o.ID)
		if _, known := s.old[h]; !known {
			s.old[h] = mark(o.Offset, o.Status)
		}
	}
}
