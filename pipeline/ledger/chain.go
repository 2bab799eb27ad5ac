package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
)

// Options of a Chain. The zero value is fine.
type Options struct {
	// Writer is this process's incarnation; empty makes one up.
	Writer string
	// Wait and MaxWait are the first and the longest pause between attempts to settle
	// an unknown outcome: 100 ms and 5 s.
	Wait, MaxWait time.Duration
	// Origin, Start and Partitions are for records; see there.
	Origin, Start string
	Partitions    int
	// Report, if set, hears of troubles that the chain deals with by itself.
	Report func(what string, err error)
	// Now is the clock of records' times; nil is the machine's.
	Now func() time.Time
	// ID makes up tokens and the names of shards: something never given before, that fits
	// into an object's key. nil makes ULIDs.
	ID func() string
	// Jitter gives some duration from 0 to most; nil takes it by chance.
	Jitter func(most time.Duration) time.Duration
}

func (o Options) withDefaults() Options {
	if o.ID == nil {
		o.ID = func() string { return ulid.Make().String() }
	}
	if o.Jitter == nil {
		o.Jitter = byChance
	}
	if o.Writer == "" {
		o.Writer = o.ID()
	}
	if o.Wait <= 0 {
		o.Wait = 100 * time.Millisecond
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 5 * time.Second
	}
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Chain is a writer's end of a stream's chain. Open it, Begin, Fence, read messages
// from Next on, and Commit. It belongs to one goroutine. There is nothing to close.
type Chain struct {
	store  Store
	stream Stream
	opts   Options

	tail  *Record  // nil for an empty chain
	pos   Position // of the tail
	epoch int64    // ours; 0 before Fence
	err   error    // sticky: why this chain takes no more records
	// pending is what may have landed, or may yet, after ErrUnsettled.
	pending *Record
}

// Open finds the end of a stream's chain and checks its last link. It writes nothing.
func Open(ctx context.Context, s Store, stream Stream, o Options) (*Chain, error) {
	if err := stream.Validate(); err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	c := &Chain{store: s, stream: stream, opts: o.withDefaults()}
	var err error
	c.tail, c.pos, err = findTail(ctx, s, stream)
	if err != nil {
		return nil, fmt.Errorf("open the stream %s: %w", stream, err)
	}
	return c, nil
}

// Stream names the stream.
func (c *Chain) Stream() Stream { return c.stream }

// Empty reports that the stream has no chain yet: Begin is to say where it starts.
func (c *Chain) Empty() bool { return c.tail == nil }

// Next is the offset to read from: the first that no record accounts for.
func (c *Chain) Next() int64 { return c.pos.Next }

// Position is that of the last record; zero for an empty chain.
func (c *Chain) Position() Position { return c.pos }

// Epoch is that of our fence; 0 before Fence.
func (c *Chain) Epoch() int64 { return c.epoch }

// Err is why the chain takes no more records, or nil.
func (c *Chain) Err() error { return c.err }

// ShardKey makes up a name for a shard, never given before, which a record of this
// epoch may hold. ext is like "tar", without a dot in front. It needs a fence.
func (c *Chain) ShardKey(ext string) string {
	return DataPrefix(c.stream, c.epoch) + c.opts.ID() + "." + ext
}

// Begin starts an empty chain at an offset: the start policy, resolved once. On a
// chain that exists, or that somebody else has begun meanwhile, it does nothing.
func (c *Chain) Begin(ctx context.Context, offset int64) error {
	if c.err != nil || c.tail != nil {
		return c.err
	}
	if offset < 0 {
		return fmt.Errorf("begin the stream %s: the offset is %d", c.stream, offset)
	}
	r := c.build(Genesis, 0, offset, offset)
	r.Start, r.Partitions = c.opts.Start, c.opts.Partitions
	theirs, err := c.append(ctx, r)
	if err != nil {
		return fmt.Errorf("begin the stream %s: %w", c.stream, err)
	}
	return c.met(r, theirs)
}

// Fence takes the stream: it appends a fence of the next epoch. Data records of the
// previous owner that arrive first are adopted. If another writer's fence arrives
// first, the stream is that writer's: ErrFenced.
func (c *Chain) Fence(ctx context.Context) error {
	switch {
	case c.err != nil:
		return c.err
	case c.tail == nil:
		return fmt.Errorf("fence the stream %s: it has not begun", c.stream)
	case c.epoch != 0:
		return fmt.Errorf("fence the stream %s: this chain has its fence already", c.stream)
	case c.opts.Origin != "" && c.tail.Origin != "" && c.opts.Origin != c.tail.Origin:
		return fmt.Errorf("fence the stream %s: its offsets are of the origin %s, not of %s", c.stream, c.tail.Origin, c.opts.Origin)
	}
	for c.epoch == 0 {
		r := c.build(Fence, c.tail.Epoch+1, c.pos.Next, c.pos.Next)
		theirs, err := c.append(ctx, r)
		if err != nil {
			return fmt.Errorf("fence the stream %s: %w", c.stream, err)
		}
		if err := c.met(r, theirs); err != nil {
			return err
		}
	}
	c.hint(ctx)
	return nil
}

// Entry is what a data record accounts for: the offsets from Chain.Next to To. See
// the fields of Record.
type Entry struct {
	To       int64
	Skipped  []Skip
	Shards   []Shard
	Outcomes []Outcome
	Tools    map[string]string
}

// Commit appends a data record. Each shard must be in the store and verified.
// It returns when the record is durable, or with:
//
//	ErrFenced     the stream is another writer's; what the entry names is void
//	ErrUnsettled  the context ended, or the store refused, before the outcome was known
//	ErrBroken     the log holds what no writer makes
//
// after each of which the chain takes no more records (but see Resume), or with an error
// that says that nothing landed: then the chain is as before.
func (c *Chain) Commit(ctx context.Context, e Entry) error {
	switch {
	case c.err != nil:
		return c.err
	case c.epoch == 0:
		return fmt.Errorf("commit to the stream %s: it is not fenced", c.stream)
	}
	r := c.build(Data, c.epoch, c.pos.Next, e.To)
	r.Skipped, r.Shards, r.Tools = slices.Clone(e.Skipped), slices.Clone(e.Shards), maps.Clone(e.Tools)
	for _, o := range e.Outcomes {
		r.Outcomes = append(r.Outcomes, o.clean())
	}
	if err := c.fit(ctx, r); err != nil {
		return fmt.Errorf("commit to the stream %s: %w", c.stream, err)
	}
	theirs, err := c.append(ctx, r)
	if err != nil {
		return fmt.Errorf("commit to the stream %s: %w", c.stream, err)
	}
	if err := c.met(r, theirs); err != nil {
		return err
	}
	c.hint(ctx)
	return nil
}

// fit moves the outcomes into a table if the record would be too large, and stores
// the table first.
func (c *Chain) fit(ctx context.Context, r *Record) error {
	if err := r.Validate(); err != nil {
		return err
	}
	data, err := canonical(r)
	if err != nil || len(data) <= MaxRecord {
		return err
	}
	table, err := r.spill(c.stream)
	if err != nil {
		return err
	}
	// The name holds the digest: storing it twice stores the same.
	if err := c.store.Replace(ctx, r.Table.Key, table); err != nil {
		return err
	}
	size, _, _, err := c.store.Head(ctx, r.Table.Key)
	if err == nil && size != r.Table.Bytes {
		err = fmt.Errorf("the outcome table %s has %d bytes in the store; %d were sent", r.Table.Key, size, r.Table.Bytes)
	}
	return err
}

// build makes the record that follows the tail.
func (c *Chain) build(kind Kind, epoch, from, to int64) *Record {
	r := &Record{
		Version: Version, Kind: kind, Stream: c.stream.Path(), Epoch: epoch,
		Writer: c.opts.Writer, Token: c.opts.ID(), From: from, To: to,
		Time: c.opts.Now().UTC().Truncate(time.Millisecond), Origin: c.opts.Origin,
	}
	if c.tail != nil {
		if r.Origin == "" {
			r.Origin = c.tail.Origin
		}
		r.Seq, r.Previous = c.pos.Seq+1, c.pos.SHA256
	}
	return r
}

// fail makes err the chain's last word.
func (c *Chain) fail(err error) error {
	c.err = err
	return err
}

// hint notes the position for the next Open. It may fail: it is only a speed-up.
func (c *Chain) hint(ctx context.Context) {
	data, err := canonical(c.pos)
	if err == nil {
		err = c.store.Replace(ctx, hintKey(c.stream), data)
	}
	if err != nil {
		c.opts.Report("write the hint of stream "+c.stream.String(), err)
	}
}
