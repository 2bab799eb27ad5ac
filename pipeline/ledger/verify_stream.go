package ledger

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// chainCheck walks one chain.
type chainCheck struct {
	v      *verifier
	stream Stream
	tail   *Record // nil where the record before is not known
	pos    Position
	begun  bool
	counts StreamReport
	named  table          // digests of objects, to the records that name them
	shards sync.WaitGroup // under way
	bad    atomic.Bool    // a fault was found
}

// The state is saved after so many records, or so long.
const (
	saveRecords = 10_000
	saveEvery   = 10 * time.Second
)

// stream checks one chain to the last record that is listed, past any that are missing.
func (v *verifier) stream(stream Stream) error {
	c := &chainCheck{v: v, stream: stream, counts: StreamReport{Stream: stream.Path()}}
	defer c.shards.Wait()
	first, err := c.resume()
	if err != nil {
		return err
	}
	last, err := c.listed(first)
	if err != nil {
		return err
	}
	v.tell(func(p *Progress) { p.Stream = stream.String(); p.Known += last + 1 - first })
	if err := c.walk(first, last); err != nil {
		return err
	}
	if first == 0 {
		if err := c.orphans(); err != nil {
			return err
		}
	}
	v.mu.Lock()
	v.report.Streams = append(v.report.Streams, c.counts)
	v.mu.Unlock()
	v.tell(func(p *Progress) { p.Streams++ })
	return nil
}

// walk checks the records from first to last.
func (c *chainCheck) walk(first, last int64) error {
	// A check that has fallen behind a stream that grows fast is given up by its caller's
	// context, like any other.
	ctx, stop := context.WithCancel(c.v.ctx)
	defer stop()
	records := newAhead(ctx, readAhead, first, func(ctx context.Context, seq int64) (*link, error) {
		if seq > last {
			return nil, nil // read ahead, and nobody asks for it
		}
		return loadLink(ctx, c.v.s, c.stream, seq)
	})
	defer records.stop()
	saved := time.Now()
	for seq := first; seq <= last; seq++ {
		l, err := records.next()
		if err != nil {
			err = c.unreadable(RecordKey(c.stream, seq), err)
			c.tail = nil // the link to the next can not be checked
		} else {
			err = c.record(seq, l)
		}
		if err != nil {
			return err
		}
		if (seq-first)%saveRecords == saveRecords-1 || time.Since(saved) > saveEvery {
			if err := c.save(); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
	return c.save()
}

// resume finds where an earlier check has left off: the first record to check.
func (c *chainCheck) resume() (int64, error) {
	at, ok := c.v.from.Streams[c.stream.Path()]
	if !ok {
		return 0, nil
	}
	key := RecordKey(c.stream, at.Seq)
	l, err := loadLink(c.v.ctx, c.v.s, c.stream, at.Seq)
	if err == nil && digest(l.data) == at.SHA256 {
		c.tail, c.pos, c.begun, c.counts = l.Record, l.position(), true, at.Counts
		c.counts.Earlier = at.Counts.Records
		return at.Seq + 1, nil
	}
	c.v.forget(c.stream)
	if err != nil {
		return 0, c.unreadable(key, err)
	}
	c.fault(key, "it has SHA-256 %s; when it was verified before, it had %s: the log was changed", digest(l.data), at.SHA256)
	return 0, nil
}

// save waits for the shards named so far, and notes how far the stream is right.
func (c *chainCheck) save() error {
	c.shards.Wait()
	if err := context.Cause(c.v.ctx); err != nil {
		return err
	}
	if !c.bad.Load() && c.tail != nil {
		c.v.verified(c.stream, Verified{Position: c.pos, Counts: c.counts})
	}
	return c.v.save()
}

func (c *chainCheck) fault(object, format string, args ...any) {
	c.bad.Store(true)
	c.v.fault(object, format, args...)
}

func (c *chainCheck) unreadable(key string, err error) error {
	c.bad.Store(true)
	return c.v.unreadable(key, err)
}

// listed gives the highest number in a stream's log, of first and those that follow. A
// name there that is no number is a fault.
func (c *chainCheck) listed(first int64) (int64, error) {
	prefix := logPrefix + c.stream.Path() + "/"
	last, after := first-1, ""
	if first > 0 {
		after = RecordKey(c.stream, first-1)
	}
	for key, err := range c.v.s.Keys(c.v.ctx, prefix, after) {
		if err != nil {
			return 0, err
		}
		n, ok := parseNumber(strings.TrimPrefix(key, prefix))
		if !ok {
			c.v.fault(key, "it is no record's name, and does not belong there")
			continue
		}
		last = n
	}
	return last, nil
}

// record checks one record against the one before.
func (c *chainCheck) record(seq int64, l *link) error {
	key := RecordKey(c.stream, seq)
	if c.tail != nil || seq == 0 {
		if err := follows(c.tail, c.pos, c.stream, seq, l.Record); err != nil {
			c.fault(key, "%v", err)
		}
	} else if l.Stream != c.stream.Path() || l.Seq != seq {
		c.fault(key, "it says that it is record %d of stream %s", l.Seq, l.Stream)
	} else if c.begun && l.From < c.counts.To {
		c.fault(key, "it accounts for offsets from %d on, but a record before goes up to %d", l.From, c.counts.To)
	}
	c.tail, c.pos = l.Record, l.position()
	if !c.begun {
		c.counts.From, c.begun = l.From, true
	}
	c.counts.Records++
	c.counts.Epoch, c.counts.To = max(c.counts.Epoch, l.Epoch), max(c.counts.To, l.To)
	c.v.tell(func(p *Progress) { p.Records++ })
	if err := c.outcomes(key, l.Record); err != nil {
		return err
	}
	for _, s := range l.Shards {
		if err := c.shard(key, l.Seq, s); err != nil {
			return err
		}
	}
	return context.Cause(c.v.ctx)
}

// outcomes counts a record's outcomes and holds the shards against them.
func (c *chainCheck) outcomes(key string, r *Record) error {
	if r.Table != nil {
		c.named.put(hashID("", r.Table.Key), r.Seq)
	}
	outcomes, err := Outcomes(c.v.ctx, c.v.s, r)
	if err != nil {
		return c.unreadable(tableOr(key, r), err)
	}
	for _, o := range outcomes {
		switch o.Status {
		case OK:
			c.counts.OK++
		case DupOf:
			c.counts.DupOf++
		case Quarantined:
			c.counts.Quarantined++
		case Gap:
			c.counts.Gaps++
		case None:
			c.counts.None++
		}
	}
	for _, s := range r.Skipped {
		c.counts.Skipped += s.To - s.From
	}
	c.samples(key, r, outcomes)
	return nil
}

// samples holds the samples that a record's outcomes promise against those that its
// shards hold: each format that a dataset is written in has them all.
func (c *chainCheck) samples(key string, r *Record, outcomes []Outcome) {
	promised := map[string]int64{} // by dataset
	for _, o := range outcomes {
		promised[o.Dataset] += o.Samples
		c.counts.Samples += o.Samples
	}
	type output struct{ dataset, format string }
	held := map[output]int64{}
	written := map[string]bool{}
	for _, s := range r.Shards {
		held[output{s.Dataset, s.Format}] += cmp.Or(s.Members, s.Samples)
		written[s.Dataset] = true
	}
	for out, got := range held {
		if want := promised[out.dataset]; got != want {
			c.fault(key, "its %s shards of dataset %q hold %d samples; its outcomes promise %d", out.format, out.dataset, got, want)
		}
	}
	for dataset, want := range promised {
		if want > 0 && !written[dataset] {
			c.fault(key, "its outcomes promise %d samples of dataset %q, but it names no shard of it", want, dataset)
		}
	}
}

func tableOr(key string, r *Record) string {
	if r.Table != nil {
		return r.Table.Key
	}
	return key
}

// orphans looks for objects that no record names.
func (c *chainCheck) orphans() error {
	prefix := dataPrefix + c.stream.Path() + "/"
	for key, err := range c.v.s.Keys(c.v.ctx, prefix, "") {
		if err != nil {
			return err
		}
		if _, ours := epochOf(key, prefix); ours && !namedIn(&c.named, key) {
			c.v.orphan(key)
		}
	}
	return nil
}

func (v *verifier) orphan(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.report.Orphans) >= mostListed {
		v.report.MoreOrphans++
		return
	}
	v.report.Orphans = append(v.report.Orphans, key)
}
