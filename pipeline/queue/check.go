package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"
)

// Level says how bad a Finding is.
type Level string

// The levels.
const (
	LevelOK   Level = "ok"
	LevelWarn Level = "warn" // works, but not as it should
	LevelFail Level = "fail" // does not work
)

// Finding is one thing that Check looked at.
type Finding struct {
	Level  Level  `json:"level"`
	What   string `json:"what"`             // e.g. "brokers"
	Detail string `json:"detail"`           // what was found
	Advice string `json:"advice,omitempty"` // what to do about it
}

// Report is what Check found, in the order in which things depend on each other.
type Report struct {
	ClusterID  string    `json:"cluster_id,omitempty"`
	Partitions int       `json:"partitions,omitempty"`
	Findings   []Finding `json:"findings"`
}

// OK reports whether nothing failed.
func (r *Report) OK() bool {
	for _, f := range r.Findings {
		if f.Level == LevelFail {
			return false
		}
	}
	return true
}

func (r *Report) add(l Level, what, advice, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{l, what, fmt.Sprintf(format, args...), advice})
}

// Check tries what a worker needs of Kafka, and changes nothing. It joins no group.
// What is wrong stands in the report; ctx bounds the time.
func Check(ctx context.Context, cfg Config) Report {
	var r Report
	c, err := Open(cfg)
	if err != nil {
		r.add(LevelFail, "settings", "correct the setting", "%v", err)
		return r
	}
	defer c.Close()
	if r.ClusterID, err = c.ClusterID(ctx); err != nil {
		r.add(LevelFail, "brokers", "see that the addresses are right and reachable, and that TLS and SASL are set as the brokers want them", "%v", err)
		return r
	}
	r.add(LevelOK, "brokers", "", "cluster %s answers", r.ClusterID)
	if !c.checkTopic(ctx, &r) {
		return r
	}
	c.checkOffsets(ctx, &r)
	if cfg.Group != "" {
		c.checkGroup(ctx, &r)
	}
	return r
}

func (c *Client) checkTopic(ctx context.Context, r *Report) bool {
	t, err := c.TopicInfo(ctx)
	switch {
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		r.add(LevelFail, "topic", "create it, or correct queue.topic", "topic %s does not exist", c.cfg.Topic)
		return false
	case err != nil:
		r.add(LevelFail, "topic", "see that this client may describe the topic and its settings", "%v", err)
		return false
	}
	r.Partitions = t.Partitions
	r.add(LevelOK, "topic", "", "%s has %d partitions", c.cfg.Topic, t.Partitions)
	if t.Compacted() {
		r.add(LevelFail, "topic", "set cleanup.policy=delete", "%s has cleanup.policy=%s: messages would be removed before they are read", c.cfg.Topic, t.CleanupPolicy)
	}
	if !t.unpacksTo(c.cfg.BatchBytes) {
		r.add(LevelWarn, "topic", "set compression.type=uncompressed where strangers may publish, or max.decompressed.message.bytes where the brokers know it", "%s has compression.type=%s: the broker does not check how large a batch becomes once unpacked (here, %d bytes at most)", c.cfg.Topic, t.CompressionType, c.cfg.BatchBytes)
	}
	if t.MaxMessageBytes > c.cfg.BatchBytes {
		r.add(LevelWarn, "topic", "raise queue.batch_bytes, or lower the topic's max.message.bytes", "%s takes batches of %d bytes; those over queue.batch_bytes (%d) are skipped", c.cfg.Topic, t.MaxMessageBytes, c.cfg.BatchBytes)
	}
	return true
}

func (c *Client) checkOffsets(ctx context.Context, r *Report) {
	var records int64
	for p := range r.Partitions {
		o, err := c.Offsets(ctx, p)
		if err != nil {
			r.add(LevelFail, "reading", "see that each partition has a leader, and that this client may read the topic", "%v", err)
			return
		}
		records += o.High - o.First
		if o.Stable < o.High {
			r.add(LevelWarn, "reading", "look for a producer that left a transaction open", "%s/%d: %d offsets wait for a transaction to end", c.cfg.Topic, p, o.High-o.Stable)
		}
	}
	r.add(LevelOK, "reading", "", "%d offsets in the log", records)
}

// checkGroup asks for the group's coordinator. Apache Kafka 4.1 says "not available"
// for some seconds when it is asked for its first group ever.
func (c *Client) checkGroup(ctx context.Context, r *Report) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var a *kafka.FindCoordinatorResponse
	err := retry(ctx, func() (err error) {
		a, err = c.ask.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: c.cfg.Group, KeyType: kafka.CoordinatorKeyTypeConsumer})
		if err == nil {
			err = a.Error
		}
		return err
	})
	if err != nil {
		r.add(LevelFail, "group", "see that this client may read the group", "group %s: %v", c.cfg.Group, err)
		return
	}
	r.add(LevelOK, "group", "", "%s is coordinated by %s:%d", c.cfg.Group, a.Coordinator.Host, a.Coordinator.Port)
}
