package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// append puts a record at the position after the tail, and stays with these very
// bytes until it is known what stands there. It returns nil, nil if it is ours, which
// is then the tail; or the record that is there instead, which fits the chain; or an
// error.
//
// While an attempt's outcome is unknown its request may still land, however late, and
// a read that finds nothing proves nothing. So there are only three ways out of that
// state: our record is seen, another is seen, or we give up the chain, and whoever
// takes the stream next will meet the one or the other.
func (c *Chain) append(ctx context.Context, r *Record) (theirs *link, err error) {
	data, err := r.Encode()
	if err != nil {
		return nil, err
	}
	key := RecordKey(c.stream, r.Seq)
	var last error // why it is not over yet
	doubt := false // whether an attempt may have landed, or may yet
	for n := 0; ; n++ {
		if !c.pause(ctx, n) {
			return nil, c.leave(doubt, r, errors.Join(ctx.Err(), last))
		}
		last = c.store.Create(ctx, key, data)
		got := judge(last)
		switch got {
		case landed:
			c.advance(&link{Record: r, data: data})
			return nil, nil
		case refused:
			return nil, c.leave(doubt, r, last)
		case unknown:
			doubt = true
		}
		if got != conflict {
			found, err := load(ctx, c.store, key, MaxRecord)
			switch {
			case err == nil && bytes.Equal(found, data):
				c.advance(&link{Record: r, data: data})
				return nil, nil
			case err == nil:
				return c.foreign(r.Seq, found)
			case !notFound(err):
				last = errors.Join(last, err)
			}
		}
		c.opts.Report(fmt.Sprintf("append record %d to stream %s", r.Seq, c.stream), last)
	}
}

// leave ends an append without an answer. Without doubt nothing landed, and the chain
// is as it was.
func (c *Chain) leave(doubt bool, r *Record, err error) error {
	if !doubt {
		return err
	}
	c.pending = r
	return c.fail(fmt.Errorf("record %d: %w: %w", r.Seq, ErrUnsettled, err))
}

func (c *Chain) pause(ctx context.Context, n int) bool {
	return pauseBy(ctx, c.opts.Wait, c.opts.MaxWait, n, c.opts.Jitter)
}

func pause(ctx context.Context, wait, most time.Duration, n int) bool {
	return pauseBy(ctx, wait, most, n, byChance)
}

// pauseBy waits before attempt n, counted from 0: not at all before the first, then
// from half of wait to all of it, doubled each time up to most. It is false if the
// context ends first.
func pauseBy(ctx context.Context, wait, most time.Duration, n int, jitter func(time.Duration) time.Duration) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	d := most
	if n < 20 && wait<<(n-1) < most {
		d = wait << (n - 1)
	}
	t := time.NewTimer(d/2 + jitter(d/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}

func byChance(most time.Duration) time.Duration { return rand.N(most + 1) }

// advance makes l the tail.
func (c *Chain) advance(l *link) { c.tail, c.pos = l.Record, l.position() }

// foreign reads the record that stands where ours was to go.
func (c *Chain) foreign(seq int64, data []byte) (*link, error) {
	r, err := ParseRecord(data)
	if err == nil {
		err = follows(c.tail, c.pos, c.stream, seq, r)
	}
	if err != nil {
		return nil, c.fail(broken(c.stream, seq, "%w", err))
	}
	return &link{Record: r, data: data}, nil
}

// follows checks that r is the record that comes after tail: the link, the range and
// the epoch. A nil tail means that r is the first.
func follows(tail *Record, pos Position, stream Stream, seq int64, r *Record) error {
	switch {
	case r.Stream != stream.Path():
		return fmt.Errorf("it belongs to the stream %s", r.Stream)
	case r.Seq != seq:
		return fmt.Errorf("it says that it is record %d", r.Seq)
	case tail == nil:
		return nil // that it is genesis follows from its number
	case r.Previous != pos.SHA256:
		return fmt.Errorf("it follows a record of SHA-256 %s, but the one before has %s", r.Previous, pos.SHA256)
	case r.Origin != "" && tail.Origin != "" && r.Origin != tail.Origin:
		return fmt.Errorf("it is of the origin %s, but the one before is of %s", r.Origin, tail.Origin)
	case r.From != tail.To:
		return fmt.Errorf("it accounts for offsets from %d on, but the one before ends at %d", r.From, tail.To)
	case r.Kind == Fence && r.Epoch != tail.Epoch+1:
		return fmt.Errorf("it is a fence of epoch %d after epoch %d", r.Epoch, tail.Epoch)
	case r.Kind == Data && (r.Epoch != tail.Epoch || r.Writer != tail.Writer):
		return fmt.Errorf("it is data of epoch %d by writer %s, but the stream was with epoch %d, writer %s", r.Epoch, r.Writer, tail.Epoch, tail.Writer)
	}
	return nil
}
