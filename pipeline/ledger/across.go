package ledger

import (
	"context"
	"errors"
	"fmt"
)

// Repeats are jobs of one dataset and id that ended as samples more than once: in two
// streams (a list that was backfilled twice under two names), or in one stream further
// apart than its window of ids. Their samples have the same keys. Offsets are each
// accounted for once all the same, so this is for people to judge.
type Repeats struct {
	IDs      int64    `json:"ids"`      // looked at
	Repeated int64    `json:"repeated"` // of these, so often was one there before
	Examples []Repeat `json:"examples"`
	// Partial says that there are more ids than were to be looked at.
	Partial bool `json:"partial,omitempty"`
}

// Repeat is one of them, by the places of its first end and of the later one.
type Repeat struct {
	Dataset string `json:"dataset"`
	ID      string `json:"id"`
	First   Place  `json:"first"`
	Again   Place  `json:"again"`
}

// Place is an offset of a stream.
type Place struct {
	Stream string `json:"stream"`
	Offset int64  `json:"offset"`
}

const (
	mostExamples = 10
	placeBits    = 43 // of an offset, in a mark beside the stream's number
	mostStreams  = 1 << 20
)

// Across looks for repeats in all records up to a snapshot, or in all where snap is nil.
// It holds most ids at a time, in 38 bytes each at the most, and reads the records again
// for as many passes as that takes; where once is set, it stops after most.
func Across(ctx context.Context, s Store, snap *Snapshot, most int, once bool) (*Repeats, error) {
	for passes := uint64(1); ; passes *= 2 {
		a := &across{s: s, most: most, passes: passes, found: &Repeats{Examples: []Repeat{}}}
		err := a.all(ctx, snap)
		switch {
		case errors.Is(err, errTooMany) && once:
			a.found.Partial = true
		case errors.Is(err, errTooMany):
			continue
		case err != nil:
			return nil, fmt.Errorf("look for repeats across streams: %w", err)
		}
		return a.found, nil
	}
}

var errTooMany = errors.New("more ids than may be held")

type across struct {
	s      Store
	most   int
	passes uint64
	pass   uint64
	seen   table
	names  []string // of streams, by number
	found  *Repeats
}

func (a *across) all(ctx context.Context, snap *Snapshot) error {
	for a.pass = range a.passes {
		a.seen, a.names = table{}, a.names[:0]
		for item, err := range Records(ctx, a.s, snap) {
			if err != nil {
				return err
			}
			outcomes, err := Outcomes(ctx, a.s, item.Record)
			if err != nil {
				return err
			}
			if err := a.record(item.Record.Stream, outcomes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *across) record(stream string, outcomes []Outcome) error {
	if n := len(a.names); n == 0 || a.names[n-1] != stream {
		if n == mostStreams {
			return fmt.Errorf("there are more than %d streams", mostStreams)
		}
		a.names = append(a.names, stream)
	}
	at := int64(len(a.names)-1) << placeBits
	for _, o := range outcomes {
		if o.ID == "" || o.Status != OK || o.Samples == 0 {
			continue
		}
		h := hashID(o.Dataset, o.ID)
		if h[1]%a.passes != a.pass {
			continue
		}
		if first, there := a.seen.get(h); there {
			a.again(first, stream, o)
			continue
		}
		if a.seen.len() >= a.most {
			return errTooMany
		}
		a.found.IDs++
		a.seen.put(h, at|o.Offset&(1<<placeBits-1))
	}
	return nil
}

func (a *across) again(first int64, stream string, o Outcome) {
	a.found.Repeated++
	if len(a.found.Examples) < mostExamples {
		a.found.Examples = append(a.found.Examples, Repeat{Dataset: o.Dataset, ID: o.ID,
			First: Place{a.names[first>>placeBits], first & (1<<placeBits - 1)}, Again: Place{stream, o.Offset}})
	}
}
