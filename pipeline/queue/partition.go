package queue

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Partition reads one partition from an absolute offset on. It belongs to one
// goroutine at a time. Whoever opened it closes it.
type Partition struct {
	c         *Client
	partition int
	health    func(error)
	ctx       context.Context // of the fetches; ends with Close
	cancel    context.CancelFunc
	inflight  chan fetched // a fetch under way, or nil
	failures  int          // in a row
	topic     topicRef     // that the offsets belong to; not known before the first fetch
	pinned    string       // the id that topic must have; "" for any

	at   int64 // the next offset to account for
	high int64 // the log's end, as the last fetch told

	raw     []byte // what is left of the record set
	rest    int64  // likewise as sent, which may be more than was kept
	aborted aborts
	batch   *batch   // the one being read, or nil
	records *records // what is unpacked of it, or nil
	held    *Record  // the record after a gap, or nil
}

// Read opens a partition at an offset, which is not checked until the first Next.
// health, which may be nil, is told of each fault that Next goes on retrying, and
// of nil when reading works again; it is called from within Next.
func (c *Client) Read(partition int, offset int64, health func(error)) *Partition {
	if health == nil {
		health = func(error) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Partition{c: c, partition: partition, health: health, ctx: ctx, cancel: cancel, at: offset}
}

// Pin makes Next refuse records of another topic than the one of this id, with a
// [*RecreatedError]; "" means any. To be called before the first Next. Brokers that tell
// no ids are not refused.
func (p *Partition) Pin(topicID string) { p.pinned = topicID }

// Offset returns the offset that the next Record begins at.
func (p *Partition) Offset() int64 { return p.at }

// Lag returns how many offsets lie between the reader and the end of the log, as of
// the last fetch; 0 before the first.
func (p *Partition) Lag() int64 { return max(p.high-p.at, 0) }

// Close ends a fetch under way. It may be called twice.
func (p *Partition) Close() error {
	p.cancel()
	p.drop()
	return nil
}

// Next returns what stands at Offset, and moves on. It waits for as long as there
// is nothing. Faults of the network and of brokers are retried, with a pause, until
// ctx ends; then the error is ctx's, and Next may be called again: no offset is lost
// and a fetch under way goes on.
//
// A [*BelowStartError], [*AboveEndError] or [*RecreatedError] is final.
//
// Records of open transactions wait for the transaction's end; those of aborted
// ones come as skipped ranges.
func (p *Partition) Next(ctx context.Context) (Record, error) {
	for {
		if r, ok := p.take(); ok {
			r.Topic, r.Partition = p.c.cfg.Topic, p.partition
			p.at = r.End()
			return r, nil
		}
		if err := p.refill(ctx); err != nil {
			return Record{}, err
		}
	}
}

// take returns what p.at stands for, as far as the fetched bytes say.
func (p *Partition) take() (Record, bool) {
	for {
		if p.batch == nil && !p.nextBatch() {
			return Record{}, false
		}
		b := p.batch
		switch {
		case b.magic != 2:
			return p.skipBatch(SkipFormat, fmt.Sprintf("message format %d", b.magic)), true
		case b.first > p.at:
			return p.skip(b.first, SkipGap, ""), true
		case b.cut:
			return p.skipBatch(SkipLimit, fmt.Sprintf("a batch of %d bytes; queue.batch_bytes is %d", b.size, p.c.cfg.BatchBytes)), true
		case b.control():
			return p.skipBatch(SkipControl, ""), true
		case b.aborted:
			return p.skipBatch(SkipAborted, ""), true
		}
		if r, ok := p.fromBatch(); ok {
			return r, true
		}
	}
}

// nextBatch steps to the batch that p.at lies in or before. It returns false where
// another fetch is needed.
func (p *Partition) nextBatch() bool {
	for {
		b, raw, err := parseBatch(p.raw, p.rest)
		if err != nil {
			// What follows is fetched again. If it is really broken, the next record
			// set begins with it, and accept sees to it.
			p.drop()
			return false
		}
		p.raw, p.rest = raw, p.rest-b.size
		b.aborted = p.aborted.step(&b)
		if b.last >= p.at { // brokers send whole batches, also when asked for their middle
			p.batch = &b
			return true
		}
	}
}

// fromBatch returns the next record of the batch, or the gap before it, or the skipped
// rest of the batch; false where the batch is at its end.
func (p *Partition) fromBatch() (Record, bool) {
	if r := p.held; r != nil {
		p.held = nil
		return *r, true
	}
	if p.records == nil {
		var err error
		if p.records, err = p.batch.open(p.c.cfg.BatchBytes); err != nil {
			return p.skipBatch(reasonOf(err), err.Error()), true
		}
	}
	for {
		r, err := p.records.next()
		switch {
		case errors.Is(err, io.EOF) && p.at > p.batch.last:
			p.closeBatch()
			return Record{}, false
		case errors.Is(err, io.EOF):
			return p.skipBatch(SkipGap, ""), true
		case err != nil:
			return p.skipBatch(reasonOf(err), err.Error()), true
		case r.Offset > p.at:
			p.held = &r
			return p.skip(r.Offset, SkipGap, ""), true
		case r.Offset == p.at:
			return r, true
		}
	}
}

func (p *Partition) skip(to int64, why Reason, detail string) Record {
	return Record{Offset: p.at, Skipped: &Skipped{From: p.at, To: to, Reason: why, Detail: detail}}
}

// skipBatch skips what is left of the batch.
func (p *Partition) skipBatch(why Reason, detail string) Record {
	r := p.skip(p.batch.last+1, why, detail)
	p.closeBatch()
	return r
}

func (p *Partition) closeBatch() {
	if p.records != nil {
		p.records.close()
	}
	p.batch, p.records, p.held = nil, nil, nil
}

// drop forgets what was fetched.
func (p *Partition) drop() {
	p.closeBatch()
	p.raw, p.rest, p.aborted = nil, 0, aborts{}
}

// reasonOf tells a batch that is too large from one that is broken. Either way its
// checksum holds: it is what the producer sent.
func reasonOf(err error) Reason {
	if errors.Is(err, errTooLarge) || errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return SkipLimit
	}
	return SkipInvalid
}
