package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// findTail finds the last record of a stream and checks that it follows the one
// before. A stream without records gives nil.
func findTail(ctx context.Context, s Store, stream Stream) (*Record, Position, error) {
	key := func(n int64) string { return RecordKey(stream, n) }
	seq, err := lastNumber(ctx, s, key, hintedSeq(ctx, s, stream))
	if err != nil || seq < 0 {
		return nil, Position{}, err
	}
	tail, pos, err := loadRecord(ctx, s, stream, seq)
	if err != nil || seq == 0 {
		return tail, pos, err
	}
	before, beforePos, err := loadRecord(ctx, s, stream, seq-1)
	if err != nil {
		return nil, Position{}, err
	}
	if err := follows(before, beforePos, stream, seq, tail); err != nil {
		return nil, Position{}, broken(stream, seq, "%w", err)
	}
	return tail, pos, nil
}

// hintedSeq gives the hint, or -1. A hint that is wrong costs time, no more.
func hintedSeq(ctx context.Context, s Store, stream Stream) int64 {
	data, err := load(ctx, s, hintKey(stream), 1<<10)
	if err != nil {
		return -1
	}
	var p Position
	if json.Unmarshal(data, &p) != nil || p.Seq < 0 || p.Seq > 1<<62 {
		return -1
	}
	return p.Seq
}

// gallop is how much longer each step is than the one before.
const gallop = 32

// lastNumber finds the highest n for which key(n) exists, or -1, given that those of
// 0 to n all exist. It gallops from the hint, or from 0, in steps that grow fast, and then
// bisects: one in a million is found in 26 requests, in 27 from a hint however stale, and
// in 2 from a good one.
func lastNumber(ctx context.Context, s Store, key func(int64) string, hint int64) (int64, error) {
	has := func(n int64) (bool, error) {
		_, _, _, err := s.Head(ctx, key(n))
		if notFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	low, step := int64(-1), int64(1)
	if hint >= 0 {
		ok, err := has(hint)
		if err != nil {
			return 0, err
		}
		if ok {
			low = hint
		}
	}
	high := low + step
	for {
		ok, err := has(high)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		low, step = high, step*gallop
		if high+step < high {
			return 0, errors.New("the store says that every object exists")
		}
		high += step
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		ok, err := has(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// loadRecord reads a record that is there.
func loadRecord(ctx context.Context, s Store, stream Stream, seq int64) (*Record, Position, error) {
	l, err := loadLink(ctx, s, stream, seq)
	if err != nil {
		return nil, Position{}, err
	}
	return l.Record, l.position(), nil
}

func loadLink(ctx context.Context, s Store, stream Stream, seq int64) (*link, error) {
	data, err := load(ctx, s, RecordKey(stream, seq), MaxRecord)
	if err != nil {
		return nil, fmt.Errorf("read record %d: %w", seq, err)
	}
	r, err := ParseRecord(data)
	if err != nil {
		return nil, broken(stream, seq, "%w", err)
	}
	return &link{Record: r, data: data}, nil
}

// link is a record with its bytes.
type link struct {
	*Record
	data []byte
}

func (l *link) position() Position {
	return Position{Seq: l.Seq, SHA256: digest(l.data), Next: l.To}
}
