package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// RefusedError says that a broker did not take a message, and never will take it from
// that request: nothing was written.
type RefusedError struct {
	Topic     string
	Partition int
	Err       error
	// Passing says that another attempt may be taken.
	Passing bool
}

// Error says what was refused, and why.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s/%d refused a message: %v", e.Topic, e.Partition, e.Err)
}

// Unwrap returns the broker's answer.
func (e *RefusedError) Unwrap() error { return e.Err }

// Append writes one message to a partition, in one request that is never repeated
// here, and waits until all replicas that are in sync have it. It returns the message's
// offset. A [*RefusedError] means that nothing was written; after any other error the
// message may have been written, or may still be.
func (c *Client) Append(ctx context.Context, partition int, m Message) (int64, error) {
	r, err := c.produce.Produce(ctx, &kafka.ProduceRequest{
		Topic: c.cfg.Topic, Partition: partition,
		RequiredAcks: kafka.RequireAll,
		Records:      protocol.NewRecordReader(kafkaRecords([]Message{m}, []int{0})...),
	})
	if err == nil {
		err = r.Error
	}
	if err != nil {
		return 0, c.appendError(partition, err)
	}
	return r.BaseOffset, nil
}

// appendError tells answers that prove that nothing was written from all others. That
// a broker is no leader is no such proof: it says so too when it ceased to be one while
// it waited for the replicas of what it had written.
func (c *Client) appendError(partition int, err error) error {
	var k kafka.Error
	if !errors.As(err, &k) {
		return fmt.Errorf("appending to %s/%d: %w", c.cfg.Topic, partition, err)
	}
	switch k {
	case kafka.NotEnoughReplicas: // checked before it writes; "after append" has a code of its own
		return &RefusedError{Topic: c.cfg.Topic, Partition: partition, Err: err, Passing: true}
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge, kafka.InvalidTopic, kafka.TopicAuthorizationFailed,
		kafka.ClusterAuthorizationFailed, kafka.InvalidRequiredAcks, kafka.InvalidRecord:
		return &RefusedError{Topic: c.cfg.Topic, Partition: partition, Err: err}
	}
	return fmt.Errorf("appending to %s/%d: %w", c.cfg.Topic, partition, err)
}

// End returns the end of what a partition's replicas have (the high watermark): each
// message whose Append has returned lies below it.
func (c *Client) End(ctx context.Context, partition int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.listOffset(ctx, partition, kafka.LastOffset, kafka.ReadUncommitted)
}

// Layout is how safely a topic is kept.
type Layout struct {
	Partitions int
	Replicas   int               // of the partition that has the fewest
	Settings   map[string]string // those that were asked for, as the brokers resolve them
}

// Layout asks how a topic is kept, with the named settings. A topic that does not
// exist is an error that wraps kafka.UnknownTopicOrPartition.
func (c *Client) Layout(ctx context.Context, settings ...string) (Layout, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return Layout{}, err
	}
	t := m.Topics[0]
	if t.Error != nil {
		return Layout{}, fmt.Errorf("topic %s: %w", c.cfg.Topic, t.Error)
	}
	l := Layout{Partitions: len(t.Partitions), Settings: map[string]string{}}
	for i, p := range t.Partitions {
		if i == 0 || len(p.Replicas) < l.Replicas {
			l.Replicas = len(p.Replicas)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := c.ask.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: c.cfg.Topic, ConfigNames: settings,
	}}})
	if err != nil {
		return Layout{}, fmt.Errorf("reading the settings of topic %s: %w", c.cfg.Topic, err)
	}
	for _, res := range r.Resources {
		if res.Error != nil {
			return Layout{}, fmt.Errorf("reading the settings of topic %s: %w", c.cfg.Topic, res.Error)
		}
		for _, e := range res.ConfigEntries {
			l.Settings[e.ConfigName] = e.ConfigValue
		}
	}
	return l, nil
}

// CreateTopic creates the topic with the given replication (below 1: the cluster's
// default) and settings. One that exists is left as it is, without a word.
func (c *Client) CreateTopic(ctx context.Context, partitions, replicas int, settings map[string]string) error {
	tc := kafka.TopicConfig{Topic: c.cfg.Topic, NumPartitions: partitions, ReplicationFactor: replicas}
	if replicas < 1 {
		tc.ReplicationFactor = -1
	}
	for k, v := range settings {
		tc.ConfigEntries = append(tc.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := retry(ctx, func() error { // a cluster that has just started knows no broker yet
		r, err := c.ask.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{tc}})
		if err == nil {
			err = r.Errors[c.cfg.Topic]
		}
		return err
	})
	if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", c.cfg.Topic, err)
	}
	_, err = c.settled(ctx)
	return err
}

// IsUnknownTopic reports whether err says that the topic does not exist.
func IsUnknownTopic(err error) bool { return errors.Is(err, kafka.UnknownTopicOrPartition) }
