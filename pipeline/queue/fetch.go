package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// fetchSlack is how much longer than FetchWait a fetch may take, for its bytes to
// arrive.
const fetchSlack = 60 * time.Second

// ErrClosed says that the partition was closed while it was read.
var ErrClosed = errors.New("the partition's reader is closed")

// fetched is the end of one fetch.
type fetched struct {
	res  *kafka.FetchResponse
	err  error
	took time.Duration
	// topic is whose records these are.
	topic topicRef
}

// refill waits for one fetch and takes it in. It returns nil also after a fault
// that is worth another try, once its pause is over.
func (p *Partition) refill(ctx context.Context) error {
	if p.inflight == nil {
		p.inflight = p.fetch()
	}
	var f fetched
	select {
	case <-ctx.Done():
		return ctx.Err() // the fetch goes on; the next call finds it
	case f = <-p.inflight:
		p.inflight = nil
	}
	if p.ctx.Err() != nil {
		return ErrClosed
	}
	err := p.accept(ctx, f)
	switch {
	case err == nil:
		if p.failures > 0 {
			p.failures = 0
			p.health(nil)
		}
		return p.idle(ctx, f)
	case ctx.Err() != nil:
		return ctx.Err()
	case final(err):
		return err
	}
	p.failures++
	p.health(fmt.Errorf("reading %s/%d at offset %d: %w; trying again", p.c.cfg.Topic, p.partition, p.at, err))
	return p.pause(ctx, backoff(p.failures))
}

func final(err error) bool {
	var below *BelowStartError
	var above *AboveEndError
	var anew *RecreatedError
	return errors.As(err, &below) || errors.As(err, &above) || errors.As(err, &anew)
}

// fetch asks for what follows p.at, in a goroutine of its own: a caller that gives
// up waiting, to come back later, does not lose what is on its way.
func (p *Partition) fetch() chan fetched {
	done := make(chan fetched, 1)
	req := &kafka.FetchRequest{
		Topic: p.c.cfg.Topic, Partition: p.partition, Offset: p.at,
		MinBytes: 1, MaxBytes: p.c.cfg.FetchBytes, MaxWait: p.c.cfg.FetchWait,
		IsolationLevel: kafka.ReadCommitted,
	}
	topic := p.topic
	go func() {
		ctx, cancel := context.WithTimeout(p.ctx, req.MaxWait+fetchSlack)
		defer cancel()
		begun := time.Now()
		var f fetched
		if f.topic = topic; !topic.known {
			f.topic, f.err = p.c.topicRef(ctx)
		}
		if f.err == nil {
			f.res, f.err = p.c.fetch.Fetch(withTopic(ctx, f.topic), req)
		}
		f.took = time.Since(begun)
		done <- f
	}()
	return done
}

// accept takes a fetch's records in, or says what is wrong with it.
func (p *Partition) accept(ctx context.Context, f fetched) error {
	if f.err != nil {
		return f.err
	}
	p.topic = f.topic
	if is := f.topic.String(); p.pinned != "" && is != "" && is != p.pinned {
		return &RecreatedError{p.c.cfg.Topic, p.partition, p.pinned, is}
	}
	switch {
	case errors.Is(f.res.Error, kafka.OffsetOutOfRange):
		return p.outOfRange(ctx)
	case errors.Is(f.res.Error, kafka.UnknownTopicID), errors.Is(f.res.Error, kafka.InconsistentTopicID):
		return p.recreated(ctx, f.res.Error)
	case f.res.Error != nil:
		return f.res.Error
	}
	set, ok := f.res.Records.(*recordSet)
	if !ok {
		return fmt.Errorf("the fetch gave a %T", f.res.Records)
	}
	p.high = f.res.HighWatermark
	if set.size == 0 {
		return nil
	}
	// The broker owes one whole batch. Without it reading would stand still.
	if _, _, err := parseBatch(set.raw, set.size); err != nil {
		return err
	}
	p.raw, p.rest, p.aborted = set.raw, set.size, newAborts(set.aborted)
	return nil
}

// recreated finds out whether a topic whose id the broker does not know was made
// anew. Otherwise it is deleted, or the broker is behind the times.
func (p *Partition) recreated(ctx context.Context, fault error) error {
	now, err := p.c.topicRef(ctx)
	switch {
	case err != nil:
		return err
	case now.id == p.topic.id:
		return fault
	}
	return &RecreatedError{p.c.cfg.Topic, p.partition, p.topic.String(), now.String()}
}

// outOfRange finds out which side p.at is out on.
func (p *Partition) outOfRange(ctx context.Context) error {
	o, err := p.c.Offsets(ctx, p.partition)
	switch {
	case err != nil:
		return err
	case p.at < o.First:
		return &BelowStartError{p.c.cfg.Topic, p.partition, p.at, o.First}
	case p.at > o.High:
		return &AboveEndError{p.c.cfg.Topic, p.partition, p.at, o.High}
	}
	// Between the two answers the log moved, or its leader did.
	return fmt.Errorf("the broker refused an offset within [%d, %d]: %w", o.First, o.High, kafka.OffsetOutOfRange)
}

// idle keeps a broker that answers at once with nothing from being asked in a spin.
func (p *Partition) idle(ctx context.Context, f fetched) error {
	if p.rest > 0 || f.took >= p.c.cfg.FetchWait/2 {
		return nil
	}
	return p.pause(ctx, p.c.cfg.FetchWait-f.took)
}

func (p *Partition) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ctx.Done():
		return ErrClosed
	case <-t.C:
		return nil
	}
}
