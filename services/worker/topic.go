package worker

import (
	"context"

	"github.com/millrace/millrace/pipeline/queue"
)

// Topic is what a worker needs of Kafka: one topic, and a place in a consumer group.
// [Kafka] makes one of a queue.Client. All methods may be called from several goroutines.
type Topic interface {
	// Name is the topic's name.
	Name() string
	// ClusterID names the cluster for ever.
	ClusterID(ctx context.Context) (string, error)
	// ID tells the topic from a later one of the same name; "" where brokers can not.
	ID(ctx context.Context) (string, error)
	// StartOffset resolves the start policy for a partition without a ledger, once.
	StartOffset(ctx context.Context, partition int) (int64, error)
	// Offsets are the bounds of a partition's log.
	Offsets(ctx context.Context, partition int) (queue.Offsets, error)
	// Read opens a partition at an offset. Records of a topic with another id than the
	// given one are refused, unless that is "". health, which may be nil, hears of faults
	// that are retried.
	Read(partition int, from int64, id string, health func(error)) Records
	// Join takes part in the group until the member is closed.
	Join(ctx context.Context, o queue.Owner) (Member, error)
}

// Growing is a [Topic] that says how many partitions it has. Of such a one, a partition that
// was added since is read from its beginning, whatever the start policy: its messages are
// all younger than the fleet.
type Growing interface {
	Partitions(ctx context.Context) (int, error)
}

// Records are those of a partition, as [queue.Partition] gives them: contiguous, and
// final errors are a *queue.BelowStartError, *queue.AboveEndError or *queue.RecreatedError.
// They are for one goroutine at a time.
type Records interface {
	// Next waits for the next one. When ctx ends it may be called again; nothing is lost.
	Next(ctx context.Context) (queue.Record, error)
	// Close may be called twice.
	Close() error
}

// Member is a part in a consumer group.
type Member interface {
	// Close ends all work and leaves, so that others take over at once. It waits until ctx
	// ends at most.
	Close(ctx context.Context) error
}

// Kafka is the topic of a client, which its opener closes after the worker's end.
func Kafka(c *queue.Client) Topic { return client{c} }

type client struct{ *queue.Client }

var _ Growing = client{}

func (c client) Name() string { return c.Topic() }

func (c client) ID(ctx context.Context) (string, error) { return c.TopicID(ctx) }

func (c client) Read(partition int, from int64, id string, health func(error)) Records {
	p := c.Client.Read(partition, from, health)
	p.Pin(id)
	return p
}

func (c client) Join(ctx context.Context, o queue.Owner) (Member, error) {
	m, err := c.Client.Join(ctx, o)
	if err != nil {
		return nil, err // not a nil *queue.Member in a Member
	}
	return m, nil
}
