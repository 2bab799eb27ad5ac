package ledger

import (
	"context"
	"fmt"
)

// met takes in what stood where r was to go: r itself, where theirs is nil, and then r is
// the tail already; or another's record, which either is one that we go on from or
// ends this chain.
func (c *Chain) met(r *Record, theirs *link) error {
	switch {
	case theirs == nil:
		if r.Kind == Fence {
			c.epoch = r.Epoch
		}
		return nil
	case r.Kind == Genesis && theirs.Kind != Genesis:
		return c.fail(broken(c.stream, 0, "it is %s, not genesis", theirs.Kind))
	case r.Kind == Genesis, r.Kind == Fence && theirs.Kind == Data:
		c.advance(theirs) // the same beginning as ours; or the previous owner's last word
		return nil
	}
	return c.fail(&FencedError{Stream: c.stream, Seq: theirs.Seq, By: theirs.Record})
}

// Resume makes a chain go on whose writer stopped for a reason of its own: the store was
// away, a disk was full. A record in doubt is settled with its very bytes, as no other may
// ever be built in its place by us; then it is seen that nobody has taken the stream
// meanwhile. So going on costs no new fence, and a store that was away for long does not
// fill the log. It returns nil, and the chain is as after Open, Begin, Fence or Commit,
// whichever came last to its end; or ErrFenced, ErrBroken or an error of the store.
func (c *Chain) Resume(ctx context.Context) error {
	if r := c.pending; r != nil {
		c.pending, c.err = nil, nil
		theirs, err := c.append(ctx, r)
		if err != nil {
			c.doubt(r, err)
			return fmt.Errorf("settle a record of the stream %s: %w", c.stream, err)
		}
		if err := c.met(r, theirs); err != nil {
			return err
		}
	}
	if c.err != nil || c.epoch == 0 {
		return c.err // before the fence, what comes next meets whatever has come
	}
	seq := c.pos.Seq + 1
	data, err := load(ctx, c.store, RecordKey(c.stream, seq), MaxRecord)
	switch {
	case notFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("look behind the end of the stream %s: %w", c.stream, err)
	}
	theirs, err := c.foreign(seq, data)
	if err != nil {
		return err
	}
	return c.fail(&FencedError{Stream: c.stream, Seq: seq, By: theirs.Record})
}

// doubt keeps r in doubt: that this attempt did not land says nothing of the one before.
func (c *Chain) doubt(r *Record, err error) {
	if c.err == nil {
		c.pending = r
		_ = c.fail(fmt.Errorf("record %d: %w: %w", r.Seq, ErrUnsettled, err))
	}
}

// Origin is what the chain says of its source (see Record), or "" where it says nothing.
func (c *Chain) Origin(ctx context.Context) (string, error) {
	switch {
	case c.tail == nil:
		return "", nil
	case c.tail.Origin != "":
		return c.tail.Origin, nil
	}
	genesis, _, err := loadRecord(ctx, c.store, c.stream, 0) // written before an older program's record
	if err != nil {
		return "", fmt.Errorf("open the stream %s: %w", c.stream, err)
	}
	return genesis.Origin, nil
}

// lookBack is how many records Deaths reads.
const lookBack = 8

// Deaths is how many other writers took the stream one after the other, lately, and left
// nothing behind: how often it may have been the death of its writer. It is to be asked
// before Fence.
func (c *Chain) Deaths(ctx context.Context) (int, error) {
	writers := map[string]bool{}
	for r := c.tail; r != nil && r.Kind == Fence && r.Writer != c.opts.Writer && r.Seq > c.pos.Seq-lookBack; {
		writers[r.Writer] = true
		var err error
		if r, _, err = loadRecord(ctx, c.store, c.stream, r.Seq-1); err != nil {
			return 0, fmt.Errorf("open the stream %s: %w", c.stream, err)
		}
	}
	return len(writers), nil
}
