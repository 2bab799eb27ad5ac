package claim

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/segmentio/kafka-go"
)

// Config says which topic decides creates, and how safe it must be kept.
type Config struct {
	// Topic of the cluster that the queue section names. Empty: the store decides
	// creates itself, by conditional writes.
	Topic string `yaml:"topic" json:"topic"`
	// Replicas and MinInsync are the least that the topic must have: 3 and 2. Fewer are
	// for tests: a topic that loses what it has acknowledged halts its writers.
	Replicas  int `yaml:"replicas" json:"replicas"`
	MinInsync int `yaml:"min_insync" json:"min_insync"`
	// Create makes the topic where there is none, with as many partitions as the ingest
	// topic has.
	Create bool `yaml:"create" json:"create"`
}

// DefaultConfig demands three replicas and names no topic.
func DefaultConfig() Config { return Config{Replicas: 3, MinInsync: 2} }

// Validate refuses settings that can not work. Its errors begin with a setting's name.
func (c Config) Validate() error {
	switch {
	case c.Topic == "" && c.Create:
		return errors.New("create is set without a topic")
	case c.Replicas < 1 || c.MinInsync < 1:
		return fmt.Errorf("replicas (%d) and min_insync (%d) need to be 1 or more", c.Replicas, c.MinInsync)
	case c.MinInsync > c.Replicas:
		return fmt.Errorf("min_insync (%d) is above replicas (%d): no record would ever be taken", c.MinInsync, c.Replicas)
	}
	return nil
}

// minMessage is what the topic has to take: a record with MaxInline bytes, its key and
// its headers.
const minMessage = MaxInline + 8<<10

// Ensure makes the topic where there is none and the settings say so, and refuses one
// that could lose a record, or that has fewer partitions than wanted, with all the
// reasons.
func (k *Kafka) Ensure(ctx context.Context, c Config, partitions int) error {
	faults, err := k.Check(ctx, c, partitions)
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		if !c.Create {
			return fmt.Errorf("the claim log: topic %s does not exist: create it, or set store.claim_log.create; if it existed before, it was lost: %s", c.Topic, lostAdvice)
		}
		if err := k.create(ctx, c, partitions); err != nil {
			return err
		}
		faults, err = k.Check(ctx, c, partitions)
	}
	if err != nil {
		return fmt.Errorf("the claim log: %w", err)
	}
	if len(faults) > 0 {
		return fmt.Errorf("the claim log: topic %s can not be relied on: %w", c.Topic, errors.Join(faults...))
	}
	return nil
}

func (k *Kafka) create(ctx context.Context, c Config, partitions int) error {
	err := k.c.CreateTopic(ctx, max(partitions, 1), c.Replicas, map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "compression.type": "uncompressed",
		"min.insync.replicas": strconv.Itoa(c.MinInsync), "unclean.leader.election.enable": "false",
		"max.message.bytes": strconv.Itoa(2 * MaxInline),
	})
	if err != nil {
		return fmt.Errorf("the claim log: %w", err)
	}
	return nil
}

// Check says in what the topic falls short.
func (k *Kafka) Check(ctx context.Context, c Config, partitions int) (faults []error, err error) {
	l, err := k.c.Layout(ctx, "cleanup.policy", "retention.ms", "retention.bytes", "min.insync.replicas", "unclean.leader.election.enable", "max.message.bytes")
	if err != nil {
		return nil, err
	}
	for name, want := range map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "unclean.leader.election.enable": "false"} {
		if got := l.Settings[name]; got != want {
			faults = append(faults, fmt.Errorf("set its %s to %s (it is %q): what it has acknowledged must stay", name, want, got))
		}
	}
	least := func(name, got string, want int) {
		if n, err := strconv.Atoi(got); err != nil || n < want {
			faults = append(faults, fmt.Errorf("its %s is %q; %d is the least", name, got, want))
		}
	}
	least("min.insync.replicas", l.Settings["min.insync.replicas"], c.MinInsync)
	least("max.message.bytes", l.Settings["max.message.bytes"], minMessage)
	least("number of replicas", strconv.Itoa(l.Replicas), c.Replicas)
	least("number of partitions", strconv.Itoa(l.Partitions), partitions)
	return faults, nil
}
