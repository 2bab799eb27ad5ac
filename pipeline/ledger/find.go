package ledger

import (
	"context"
	"fmt"
)

// Found is where an offset of a stream stands.
type Found struct {
	// Record accounts for the offset; nil if none does, which is so outside [First, Next).
	Record      *Record
	First, Next int64 // the offsets that the chain accounts for, as of now
	Empty       bool  // there is no chain; First and Next are 0
}

// Find looks an offset up, by bisection: a chain of a million records costs about 20
// reads after its end is found. Of the chain's links it checks only the last; to check
// them all is for Verify.
func Find(ctx context.Context, s Store, stream Stream, offset int64) (Found, error) {
	f, err := find(ctx, s, stream, offset)
	if err != nil {
		return Found{}, fmt.Errorf("find offset %d of the stream %s: %w", offset, stream, err)
	}
	return f, nil
}

func find(ctx context.Context, s Store, stream Stream, offset int64) (Found, error) {
	tail, pos, err := findTail(ctx, s, stream)
	if err != nil || tail == nil {
		return Found{Empty: tail == nil}, err
	}
	genesis, _, err := loadRecord(ctx, s, stream, 0)
	if err != nil {
		return Found{}, err
	}
	f := Found{First: genesis.From, Next: pos.Next}
	if offset < f.First || offset >= f.Next {
		return f, nil
	}
	// The first record that goes beyond the offset accounts for it: ranges touch.
	low, high := int64(0), pos.Seq
	f.Record = tail
	for high-low > 1 {
		middle := low + (high-low)/2
		r, _, err := loadRecord(ctx, s, stream, middle)
		if err != nil {
			return Found{}, err
		}
		if r.To > offset {
			high, f.Record = middle, r
		} else {
			low = middle
		}
	}
	if offset < f.Record.From || offset >= f.Record.To {
		return Found{}, broken(stream, f.Record.Seq, "it accounts for offsets %d to %d, and the one before it ends sooner", f.Record.From, f.Record.To)
	}
	return f, nil
}
