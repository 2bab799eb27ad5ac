package claim

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline/queue"
)

// Names of the headers of a record. The message's key and value are the object's.
const (
	headerOp     = "op"
	headerToken  = "token"
	headerSHA256 = "sha256"
	headerCopy   = "copy"
)

// Kafka is a Log that is a topic. Use OpenKafka.
type Kafka struct {
	c     *queue.Client
	topic string
}

// What all readers of a claim log fetch with: whether a batch can be read must not
// depend on a setting.
const (
	fetchBytes = 4 << 20
	batchBytes = 16 << 20
)

// OpenKafka makes the log from the settings of a cluster and the name of the topic. It
// does not connect yet. Close it after use.
func OpenKafka(cfg queue.Config, topic string) (*Kafka, error) {
	cfg.Topic, cfg.FetchBytes, cfg.BatchBytes = topic, fetchBytes, batchBytes
	cfg.Start = queue.Start{Policy: queue.StartEarliest}
	c, err := queue.Open(cfg)
	if err != nil {
		return nil, fmt.Errorf("the claim log: %w", err)
	}
	return &Kafka{c: c, topic: topic}, nil
}

// Close cuts the connections.
func (k *Kafka) Close() error { return k.c.Close() }

// Identity implements Log.
func (k *Kafka) Identity(ctx context.Context) (Identity, error) {
	id := Identity{Topic: k.topic}
	var err error
	if id.Cluster, err = k.c.ClusterID(ctx); err != nil {
		return id, fmt.Errorf("the claim log: %w", err)
	}
	if id.Partitions, err = k.c.Partitions(ctx); err != nil {
		return id, fmt.Errorf("the claim log: %w", err)
	}
	if id.ID, err = k.c.TopicID(ctx); err != nil {
		return id, fmt.Errorf("the claim log: %w", err)
	}
	if id.ID == "" {
		return id, fmt.Errorf("the claim log: the brokers give topics no ids, so a topic made anew would go unnoticed: Kafka 2.8 or later is needed")
	}
	return id, nil
}

// Append implements Log.
func (k *Kafka) Append(ctx context.Context, partition int, r Record) (int64, error) {
	if err := r.Validate(); err != nil {
		return 0, &refusedError{fmt.Errorf("append to the claim log: %w", err), true}
	}
	offset, err := k.c.Append(ctx, partition, message(r))
	var refused *queue.RefusedError
	if errors.As(err, &refused) {
		return 0, &refusedError{err, !refused.Passing}
	}
	return offset, err
}

// refusedError is a failed append that wrote nothing.
type refusedError struct {
	err       error
	permanent bool
}

func (e *refusedError) Error() string   { return e.err.Error() }
func (e *refusedError) Unwrap() error   { return e.err }
func (e *refusedError) Permanent() bool { return e.permanent }
func (e *refusedError) Refused() bool   { return true }

// End implements Log.
func (k *Kafka) End(ctx context.Context, partition int) (int64, error) {
	return k.c.End(ctx, partition)
}

// Read implements Log.
func (k *Kafka) Read(partition int, from int64) Reader {
	return &kafkaReader{k.c.Read(partition, from, nil)}
}

type kafkaReader struct{ p *queue.Partition }

// Close implements Reader.
func (r *kafkaReader) Close() { _ = r.p.Close() }

// Next implements Reader.
func (r *kafkaReader) Next(ctx context.Context) (Entry, error) {
	q, err := r.p.Next(ctx)
	var below *queue.BelowStartError
	var above *queue.AboveEndError
	var anew *queue.RecreatedError
	switch {
	case errors.As(err, &below), errors.As(err, &above), errors.As(err, &anew):
		return Entry{}, lost("%w", err)
	case err != nil:
		return Entry{}, err
	}
	return entry(&q)
}

// entry reads what stands at an offset. What can not be read at all is an error: it
// may have been a record, so nobody may pass over it.
func entry(q *queue.Record) (Entry, error) {
	e := Entry{Offset: q.Offset, Next: q.End()}
	if s := q.Skipped; s != nil {
		if s.Reason != queue.SkipControl && s.Reason != queue.SkipAborted {
			return Entry{}, lost("%s/%d can not be read at %s", q.Topic, q.Partition, s)
		}
		e.Invalid = errors.New("it is no record: " + s.String())
		return e, nil
	}
	e.Record, e.Invalid = parse(q.Key, q.Value, q.Headers)
	return e, nil
}

// message is a record as it is sent.
func message(r Record) queue.Message {
	m := queue.Message{Key: []byte(r.Key), Value: r.Data, Headers: []queue.Header{
		{Key: headerOp, Value: []byte(r.Op)}, {Key: headerToken, Value: []byte(r.Token)}, {Key: headerSHA256, Value: []byte(r.SHA256)},
	}}
	if r.Copy != "" {
		m.Headers = append(m.Headers, queue.Header{Key: headerCopy, Value: []byte(r.Copy)})
	}
	if m.Value == nil {
		m.Value = []byte{}
	}
	return m
}

// parse reads a message, which anybody may have sent who can write to the topic.
func parse(key, value []byte, headers []queue.Header) (Record, error) {
	r := Record{Key: string(key), Data: value}
	for _, h := range headers {
		switch h.Key {
		case headerOp:
			r.Op = Op(h.Value)
		case headerToken:
			r.Token = string(h.Value)
		case headerSHA256:
			r.SHA256 = string(h.Value)
		case headerCopy:
			r.Copy = string(h.Value)
		}
	}
	return r, r.Validate()
}
