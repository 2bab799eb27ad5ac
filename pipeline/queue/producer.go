package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// produceTimeout bounds one produce request. The broker is given half of it to
	// replicate (kafka-go's rule); with no timeout it would be given 500 ms, after
	// which a slow success looks like a failure.
	produceTimeout = 30 * time.Second
	// chunkBytes keeps a request with several messages under the size that brokers
	// accept by default (1 MiB). A larger message goes alone, and the topic's
	// max.message.bytes decides.
	chunkBytes = 900 << 10
	// recordOverhead is more than what a record takes beside its bytes.
	recordOverhead = 64
)

// Message is what a Producer sends.
type Message struct {
	Key     []byte // chooses the partition, as Kafka's own clients do; nil: any
	Value   []byte
	Headers []Header
	Time    time.Time // zero: now
}

func (m *Message) size() int {
	n := recordOverhead + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += recordOverhead + len(h.Key) + len(h.Value)
	}
	return n
}

// Producer sends to the client's topic. It has no queue and no goroutines of its
// own: what Publish was given is either acknowledged or has an error when it returns.
type Producer struct {
	c     *Client
	slots chan struct{} // one for each request that may be under way
	turn  atomic.Uint32 // for messages without a key
}

// Producer returns a producer that has at most inflight requests under way, over
// all its callers. It needs no closing; it ends with the client.
func (c *Client) Producer(inflight int) *Producer {
	return &Producer{c: c, slots: make(chan struct{}, max(inflight, 1))}
}

// PublishError says which messages of one Publish were not acknowledged.
type PublishError struct {
	Errs []error // by the message's index; nil: acknowledged
}

// Error says how many failed, and the first reason.
func (e *PublishError) Error() string {
	n, first := 0, error(nil)
	for _, err := range e.Errs {
		if err != nil {
			n++
			if first == nil {
				first = err
			}
		}
	}
	return fmt.Sprintf("%d of %d messages were not published: %v", n, len(e.Errs), first)
}

// Unwrap returns the messages' errors.
func (e *PublishError) Unwrap() []error { return e.Errs }

// errEarlier keeps the order within a partition.
var errEarlier = errors.New("not sent, since an earlier message of its partition failed")

// Publish sends messages and waits until all replicas that are in sync have them.
// Faults that may pass are retried until ctx ends. Messages of one partition keep
// their order.
//
// The error is a [*PublishError] (or, where nothing was sent, what hindered it). A
// message with an error may have been written all the same, and a retried one may be
// there twice: consumers tell by the key.
func (p *Producer) Publish(ctx context.Context, msgs ...Message) error {
	_, err := p.Send(ctx, msgs...)
	return err
}

// Place is where a message was written.
type Place struct {
	Partition int
	Offset    int64
}

// Send is Publish that also says where each message is, by its index. The places of
// messages with an error mean nothing.
func (p *Producer) Send(ctx context.Context, msgs ...Message) ([]Place, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	n, err := p.partitions(ctx)
	if err != nil {
		return nil, err
	}
	places := make([]Place, len(msgs))
	byPartition := map[int][]int{}
	for i := range msgs {
		q := p.choose(&msgs[i], n)
		places[i].Partition = q
		byPartition[q] = append(byPartition[q], i)
	}
	errs := make([]error, len(msgs))
	var wg sync.WaitGroup
	for _, at := range byPartition {
		wg.Go(func() { p.publishTo(ctx, msgs, at, places, errs) })
	}
	wg.Wait()
	if errors.Join(errs...) != nil {
		return places, &PublishError{Errs: errs}
	}
	return places, nil
}

// partitions waits for a topic that is being created or elected.
func (p *Producer) partitions(ctx context.Context) (n int, err error) {
	err = retry(ctx, func() error {
		n, err = p.c.Partitions(ctx)
		return err
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("topic %s has no partitions", p.c.cfg.Topic)
	}
	return n, err
}

// choose gives the partition that Kafka's Java client gives (murmur2 of the key).
func (p *Producer) choose(m *Message, n int) int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	if m.Key == nil {
		return int(p.turn.Add(1) % uint32(n))
	}
	return kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: m.Key}, all...)
}

// publishTo sends the messages with the indices at, all of one partition, in order, in
// chunks.
func (p *Producer) publishTo(ctx context.Context, msgs []Message, at []int, places []Place, errs []error) {
	var failed error
	for len(at) > 0 {
		n, size := 0, 0
		for n < len(at) && (n == 0 || size+msgs[at[n]].size() <= chunkBytes) {
			size += msgs[at[n]].size()
			n++
		}
		chunk := at[:n]
		at = at[n:]
		err := failed
		if err == nil {
			err = p.send(ctx, msgs, chunk, places)
		}
		if err != nil {
			failed = errEarlier
		}
		for _, i := range chunk {
			errs[i] = err
		}
	}
}

// send sends one chunk until it is acknowledged, refused, or ctx ends. A chunk is one
// batch, so its offsets follow each other.
func (p *Producer) send(ctx context.Context, msgs []Message, chunk []int, places []Place) error {
	partition := places[chunk[0]].Partition
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return retry(ctx, func() error {
		r, err := p.c.produce.Produce(ctx, &kafka.ProduceRequest{
			Topic: p.c.cfg.Topic, Partition: partition,
			RequiredAcks: kafka.RequireAll, // the literal's default would be none
			Records:      protocol.NewRecordReader(kafkaRecords(msgs, chunk)...),
		})
		if err == nil {
			err = r.Error
		}
		if err != nil {
			return fmt.Errorf("publishing to %s/%d: %w", p.c.cfg.Topic, partition, err)
		}
		for i, j := range chunk {
			places[j].Offset = r.BaseOffset + int64(i)
		}
		return nil
	})
}

func kafkaRecords(msgs []Message, chunk []int) []protocol.Record {
	out := make([]protocol.Record, len(chunk))
	for i, j := range chunk {
		m := &msgs[j]
		out[i] = protocol.Record{Time: m.Time, Key: protocol.NewBytes(m.Key), Value: protocol.NewBytes(m.Value)}
		for _, h := range m.Headers {
			out[i].Headers = append(out[i].Headers, protocol.Header(h))
		}
	}
	return out
}
