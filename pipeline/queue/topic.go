package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

// TopicInfo is how the topic is set up.
type TopicInfo struct {
	Partitions      int
	CleanupPolicy   string        // "delete", "compact" or "compact,delete"
	CompressionType string        // "producer" leaves batches as they were sent
	MaxMessageBytes int64         // of a batch, packed
	MaxUnpacked     int64         // of a batch, unpacked; 0 where the broker sets no bound
	Retention       time.Duration // below 0: for ever
}

// Compacted reports whether the broker may remove records in the middle of the log:
// an ingest topic must not lose a message because a later one has its key.
func (t TopicInfo) Compacted() bool { return strings.Contains(t.CleanupPolicy, "compact") }

// unpacksTo reports whether the broker sees to it that no batch becomes larger than most
// once it is unpacked: as it stores them unpacked, or by a bound of its own, which
// Kafka has from September 2026 on.
func (t TopicInfo) unpacksTo(most int64) bool {
	return t.CompressionType == "uncompressed" || t.MaxUnpacked > 0 && t.MaxUnpacked <= most
}

// TopicInfo asks how the topic is set up.
func (c *Client) TopicInfo(ctx context.Context) (TopicInfo, error) {
	n, err := c.Partitions(ctx)
	if err != nil {
		return TopicInfo{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := c.ask.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: c.cfg.Topic,
		ConfigNames: []string{"cleanup.policy", "compression.type", "max.message.bytes", "max.decompressed.message.bytes", "retention.ms"},
	}}})
	if err != nil {
		return TopicInfo{}, fmt.Errorf("reading the settings of topic %s: %w", c.cfg.Topic, err)
	}
	t := TopicInfo{Partitions: n}
	for _, res := range r.Resources {
		if res.Error != nil {
			return TopicInfo{}, fmt.Errorf("reading the settings of topic %s: %w", c.cfg.Topic, res.Error)
		}
		for _, e := range res.ConfigEntries {
			if err := t.set(e.ConfigName, e.ConfigValue); err != nil {
				return TopicInfo{}, fmt.Errorf("topic %s: setting %s: %w", c.cfg.Topic, e.ConfigName, err)
			}
		}
	}
	return t, nil
}

func (t *TopicInfo) set(name, value string) error {
	var err error
	switch name {
	case "cleanup.policy":
		t.CleanupPolicy = value
	case "compression.type":
		t.CompressionType = value
	case "max.message.bytes":
		t.MaxMessageBytes, err = strconv.ParseInt(value, 10, 64)
	case "max.decompressed.message.bytes":
		t.MaxUnpacked, err = strconv.ParseInt(value, 10, 64)
	case "retention.ms":
		var ms int64
		ms, err = strconv.ParseInt(value, 10, 64)
		t.Retention = time.Duration(min(ms, int64(1<<63-1)/int64(time.Millisecond))) * time.Millisecond
	}
	return err
}

// EnsureTopic creates the topic where it does not exist, with the cluster's default
// replication and the given settings; cleanup.policy is "delete" and
// compression.type "uncompressed" unless given. A topic that exists is left as it
// is, but refused if it is compacted or has fewer partitions than asked for.
func (c *Client) EnsureTopic(ctx context.Context, partitions int, settings map[string]string) error {
	err := c.create(ctx, partitions, settings)
	if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", c.cfg.Topic, err)
	}
	t, err := c.settled(ctx)
	switch {
	case err != nil:
		return err
	case t.Compacted():
		return fmt.Errorf("topic %s has cleanup.policy=%s: compaction would remove messages before they are read; set it to delete", c.cfg.Topic, t.CleanupPolicy)
	case t.Partitions < partitions:
		return fmt.Errorf("topic %s has %d partitions, %d are wanted: add some with kafka-topics --alter, or ask for fewer", c.cfg.Topic, t.Partitions, partitions)
	}
	return nil
}

func (c *Client) create(ctx context.Context, partitions int, settings map[string]string) error {
	all := map[string]string{"cleanup.policy": "delete", "compression.type": "uncompressed"}
	for k, v := range settings {
		all[k] = v
	}
	tc := kafka.TopicConfig{Topic: c.cfg.Topic, NumPartitions: partitions, ReplicationFactor: -1}
	for k, v := range all {
		tc.ConfigEntries = append(tc.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := c.ask.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{tc}})
	if err != nil {
		return err
	}
	return r.Errors[c.cfg.Topic]
}

// settled waits until the brokers agree that the topic is there.
func (c *Client) settled(ctx context.Context) (t TopicInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = retry(ctx, func() error {
		t, err = c.TopicInfo(ctx)
		return err
	})
	return t, err
}
