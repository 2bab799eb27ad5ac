package ledger

import (
	"context"
	"fmt"
	"time"
)

// LoadIDs reads the ids of a stream's jobs that ended as samples or in quarantine, from
// the record at pos (see Chain.Position) backwards, until there are limit of them (0 means
// all) or a record is older than since (zero means none is). So it costs what the window
// holds, however long the chain is; records are read some at a time.
func LoadIDs(ctx context.Context, s Store, stream Stream, pos Position, limit int, since time.Time) (*IDs, error) {
	ids := NewIDs(limit)
	if pos.SHA256 == "" {
		return ids, nil
	}
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
		if !since.IsZero() && l.Kind == Data && l.Time.Before(since) || limit > 0 && ids.Len() >= limit {
			break
		}
		if l.later {
			if l.outcomes, err = Outcomes(ctx, s, l.Record); err != nil {
				return nil, fmt.Errorf("load the ids of stream %s: %w", stream, err)
			}
		}
		ids.addOlder(l.outcomes)
	}
	return ids, nil
}

// loaded is a record with its outcomes, unless they are to be read later.
type loaded struct {
	*link
	outcomes []Outcome
	later    bool
}

// mostAhead bounds the outcome tables that are read ahead: with larger ones, as many as
// are under way at a time would take too much memory.
const mostAhead = 4 << 20

func loadOutcomes(ctx context.Context, s Store, stream Stream, seq int64) (*loaded, error) {
	if seq < 0 {
		return nil, nil // read ahead of the chain's beginning; nobody asks for it
	}
	l, err := loadLink(ctx, s, stream, seq)
	if err != nil {
		return nil, err
	}
	if l.Table != nil && l.Table.Bytes > mostAhead {
		return &loaded{link: l, later: true}, nil
	}
	outcomes, err := Outcomes(ctx, s, l.Record)
	return &loaded{link: l, outcomes: outcomes}, err
}
