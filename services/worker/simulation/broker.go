package simulation

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/worker"
)

// Names of the one cluster and topic.
const (
	clusterID = "sim"
	topicName = "in"
)

// partition is a log: what stands at each offset, and when it was written there. It is
// whole from the start, so it needs no lock; what is written later is not seen before.
type partition struct {
	first   int64
	entries []entry // contiguous from first on
}

// entry is a record, or a range without one.
type entry struct {
	at     time.Duration // of its writing, since the world began
	record queue.Record
}

// end is the offset after the last entry.
func (p *partition) end() int64 {
	if len(p.entries) == 0 {
		return p.first
	}
	return p.entries[len(p.entries)-1].record.End()
}

// from gives what stands at an offset and behind it, and was written by then: at most
// most entries. If there is nothing, next is when there will be; 0 for never.
func (p *partition) from(offset int64, now time.Duration, most int) (got []queue.Record, next time.Duration) {
	for _, e := range p.entries {
		r := e.record
		if r.End() <= offset {
			continue
		}
		if e.at > now {
			if len(got) == 0 {
				next = e.at
			}
			break
		}
		if r.Offset < offset { // into the midst of a skipped range
			r.Offset = offset
			r.Skipped = &queue.Skipped{From: offset, To: r.Skipped.To, Reason: r.Skipped.Reason}
		}
		if got = append(got, r); len(got) == most {
			break
		}
	}
	return got, next
}

// topic is Kafka as one process reaches it.
type topic struct {
	p *process
}

var _ worker.Topic = topic{}

// Name implements worker.Topic.
func (t topic) Name() string { return topicName }

// ClusterID implements worker.Topic.
func (t topic) ClusterID(ctx context.Context) (string, error) { return clusterID, ctx.Err() }

// ID implements worker.Topic.
func (t topic) ID(ctx context.Context) (string, error) { return "1", ctx.Err() }

// StartOffset implements worker.Topic. The policy is the group's: what it has committed,
// else the log's beginning. So whoever asks more than once is misled.
func (t topic) StartOffset(ctx context.Context, p int) (int64, error) {
	w := t.p.world
	if err := t.ask(ctx, "start", p); err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, ok := w.group.advised[p]; ok {
		return n, nil
	}
	return w.partitions[p].first, nil
}

// Offsets implements worker.Topic.
func (t topic) Offsets(ctx context.Context, p int) (queue.Offsets, error) {
	if err := t.ask(ctx, "offsets", p); err != nil {
		return queue.Offsets{}, err
	}
	part := t.p.world.partitions[p]
	high := part.first
	for _, e := range part.entries {
		if e.at <= time.Since(t.p.world.trace.began) {
			high = e.record.End()
		}
	}
	return queue.Offsets{First: part.first, Stable: high, High: high}, nil
}

// ask lets the time of a question pass.
func (t topic) ask(ctx context.Context, what string, p int) error {
	object := fmt.Sprintf("%s/%d", topicName, p)
	d := t.p.world.dice(t.p.name, what, object)
	if err := t.p.enter(ctx, d); err != nil {
		return err
	}
	return t.p.wait(ctx, d.lasting(time.Millisecond, 20*time.Millisecond), d)
}

// Read implements worker.Topic.
func (t topic) Read(p int, from int64, _ string, _ func(error)) worker.Records {
	return &records{t: t, partition: p, at: from, closed: make(chan struct{})}
}

// records reads one partition.
type records struct {
	t         topic
	partition int
	at        int64
	got       []queue.Record
	closed    chan struct{}
}

// Next implements worker.Records.
func (r *records) Next(ctx context.Context) (queue.Record, error) {
	for len(r.got) == 0 {
		if err := r.fetch(ctx); err != nil {
			return queue.Record{}, err
		}
	}
	// A moment for each record: what it sets off does not happen at once with the packing
	// of those before it.
	d := r.t.p.world.dice(r.t.p.name, "next", strconv.FormatInt(r.at, 10))
	if err := r.t.p.wait(ctx, d.lasting(1, time.Microsecond), d); err != nil {
		return queue.Record{}, err
	}
	rec := r.got[0]
	rec.Topic, rec.Partition = topicName, r.partition
	r.got, r.at = r.got[1:], rec.End()
	return rec, nil
}

// fetch asks the broker once, and waits for news where there are none.
func (r *records) fetch(ctx context.Context) error {
	p, w := r.t.p, r.t.p.world
	part := w.partitions[r.partition]
	object := fmt.Sprintf("%s/%d/%d", topicName, r.partition, r.at)
	d := w.dice(p.name, "fetch", object)
	if err := p.enter(ctx, d); err != nil {
		return err
	}
	delay := d.lasting(time.Millisecond, 10*time.Millisecond)
	if !w.isCalm() && d.hit(0.05) {
		w.count("fetch-slow")
		delay = d.lasting(time.Second, 15*time.Second)
	}
	if err := p.wait(ctx, delay, d); err != nil {
		return err
	}
	switch {
	case r.at < part.first:
		return &queue.BelowStartError{Topic: topicName, Partition: r.partition, Offset: r.at, LogStart: part.first}
	case r.at > part.end():
		return &queue.AboveEndError{Topic: topicName, Partition: r.partition, Offset: r.at, High: part.end()}
	}
	now := time.Since(w.trace.began)
	got, next := part.from(r.at, now, 1+d.below(8))
	w.mu.Lock()
	w.trace.add(p.name, "fetch=", object, strconv.Itoa(len(got)))
	w.mu.Unlock()
	if r.got = got; len(got) > 0 {
		return nil
	}
	if next > 0 {
		return p.wait(ctx, next-now+d.lasting(1, time.Millisecond), d)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.closed:
		return queue.ErrClosed
	case <-p.dead:
		return errDead
	}
}

// Close implements worker.Records.
func (r *records) Close() error {
	select {
	case <-r.closed:
	default:
		close(r.closed)
	}
	return nil
}

// Join implements worker.Topic.
func (t topic) Join(ctx context.Context, o queue.Owner) (worker.Member, error) {
	return join(ctx, t.p, o), nil
}
