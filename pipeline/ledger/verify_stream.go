package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

type verifier struct {
	ctx      context.Context
	s        Store
	o        VerifyOptions
	progress func(Progress)

	mu     sync.Mutex // guards what follows while shards are checked
	report *Report
	now    Progress
}

func (v *verifier) fault(object, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Faults = append(v.report.Faults, Fault{Object: object, Text: fmt.Sprintf(format, args...)})
	v.now.Faults = len(v.report.Faults)
}

// tell reports progress after changing it.
func (v *verifier) tell(change func(*Progress)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.now)
	v.progress(v.now)
}

// stream checks one chain from its first record to the last that is listed, past any
// that are missing.
func (v *verifier) stream(stream Stream) error {
	v.now = Progress{Stream: stream.String(), Faults: len(v.report.Faults)}
	last, err := v.listed(stream)
	if err != nil {
		return err
	}
	objects, err := dataObjects(v.ctx, v.s, stream)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(v.ctx)
	group.SetLimit(v.o.Parallel)
	c := &chainCheck{v: v, stream: stream, counts: StreamReport{Stream: stream.Path()}, named: map[string]int64{}, group: group, ctx: ctx}
	records := newAhead(v.ctx, readAhead, 0, func(ctx context.Context, seq int64) (*link, error) { return loadLink(ctx, v.s, stream, seq) })
	defer records.stop()
	for seq := int64(0); seq <= last; seq++ {
		l, err := records.next()
		if err != nil {
			err = v.unreadable(RecordKey(stream, seq), err)
			c.tail = nil // the link to the next can not be checked
		} else {
			err = c.record(seq, l)
		}
		if err != nil {
			_ = group.Wait()
			return err
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	v.report.Streams = append(v.report.Streams, c.counts)
	named := map[string]bool{}
	for key := range c.named {
		named[key] = true
	}
	for _, o := range unnamed(objects, named, c.counts.Epoch) {
		v.report.Orphans = append(v.report.Orphans, o.Key)
	}
	return nil
}

// listed gives the highest number in a stream's log. A name there that is no number
// is a fault.
func (v *verifier) listed(stream Stream) (int64, error) {
	prefix := logPrefix + stream.Path() + "/"
	last := int64(-1)
	for key, err := range v.s.Keys(v.ctx, prefix, "") {
		if err != nil {
			return 0, err
		}
		n, ok := parseNumber(strings.TrimPrefix(key, prefix))
		if !ok {
			v.fault(key, "it is no record's name, and does not belong there")
			continue
		}
		last = n
	}
	return last, nil
}

// chainCheck walks one chain.
type chainCheck struct {
	v      *verifier
	stream Stream
	tail   *Record
	pos    Position
	begun  bool
	counts StreamReport
	named  map[string]int64 // object to the record that names it
	group  *errgroup.Group
	ctx    context.Context
}

func (c *chainCheck) record(seq int64, l *link) error {
	key := RecordKey(c.stream, seq)
	if c.tail != nil || seq == 0 {
		if err := follows(c.tail, c.pos, c.stream, seq, l.Record); err != nil {
			c.v.fault(key, "%v", err)
		}
	} else if l.Stream != c.stream.Path() || l.Seq != seq {
		c.v.fault(key, "it says that it is record %d of stream %s", l.Seq, l.Stream)
	} else if c.begun && l.From < c.counts.To {
		c.v.fault(key, "it accounts for offsets from %d on, but a record before goes up to %d", l.From, c.counts.To)
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
		c.shard(key, l.Seq, s)
	}
	return c.ctx.Err()
}

// outcomes counts a record's outcomes and holds the shards against them.
func (c *chainCheck) outcomes(key string, r *Record) error {
	if r.Table != nil {
		c.named[r.Table.Key] = r.Seq
	}
	outcomes, err := Outcomes(c.ctx, c.v.s, r)
	if err != nil {
		return c.v.unreadable(tableOr(key, r), err)
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
			c.v.fault(key, "its %s shards of dataset %q hold %d samples; its outcomes promise %d", out.format, out.dataset, got, want)
		}
	}
	for dataset, want := range promised {
		if want > 0 && !written[dataset] {
			c.v.fault(key, "its outcomes promise %d samples of dataset %q, but it names no shard of it", want, dataset)
		}
	}
}

func tableOr(key string, r *Record) string {
	if r.Table != nil {
		return r.Table.Key
	}
	return key
}

// shard checks one shard, beside others.
func (c *chainCheck) shard(record string, seq int64, s Shard) {
	if other, ok := c.named[s.Key]; ok {
		c.v.fault(record, "it names the shard %s, which record %d names too", s.Key, other)
	}
	c.named[s.Key] = seq
	c.counts.Shards++
	c.counts.Bytes += s.Bytes
	c.group.Go(func() error {
		err := c.v.shardObject(c.ctx, s)
		c.v.tell(func(p *Progress) { p.Shards++; p.Bytes += s.Bytes })
		return err
	})
}

func (v *verifier) shardObject(ctx context.Context, s Shard) error {
	size, sum, crc, err := v.s.Head(ctx, s.Key)
	switch {
	case notFound(err):
		v.fault(s.Key, "it is missing, though a record names it")
		return nil
	case err != nil:
		return err
	case size != s.Bytes:
		v.fault(s.Key, "it has %d bytes; its record says %d", size, s.Bytes)
		return nil
	case sum != nil && hex.EncodeToString(sum) != s.SHA256:
		v.fault(s.Key, "the store says its SHA-256 is %x; its record says %s", sum, s.SHA256)
		return nil
	case crc != nil && hex.EncodeToString(crc) != s.CRC32C:
		v.fault(s.Key, "the store says its CRC-32C is %x; its record says %s", crc, s.CRC32C)
		return nil
	case !v.o.Deep:
		return nil
	}
	return v.shardBytes(ctx, s)
}

// shardBytes reads a shard.
func (v *verifier) shardBytes(ctx context.Context, s Shard) error {
	rc, err := v.s.Open(ctx, s.Key)
	if err != nil {
		return err
	}
	defer func() { _ = rc.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, rc)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != s.Bytes || got != s.SHA256 {
		v.fault(s.Key, "it holds %d bytes of SHA-256 %s; its record says %d of %s", n, got, s.Bytes, s.SHA256)
	}
	return nil
}
