package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
)

// shifter moves the group's committed offsets under the fleet: back, beyond the end, and
// away.
func (c *chaos) shifter(ctx context.Context, rng *rand.Rand) error {
	for i := 0; sleep(ctx, around(rng, min(40*time.Second, c.faults/6))); i++ {
		groups := []string{c.topic.name}
		if len(c.sinks.slots) > 0 {
			groups = append(groups, c.topic.name+"-naive")
		}
		for _, group := range groups {
			var err error
			name := []string{"rewound", "forwarded", "deleted"}[i%3]
			switch i % 3 {
			case 0:
				err = c.shift(ctx, group, func(end int64) int64 { return rng.Int64N(end/2 + 1) })
			case 1:
				err = c.shift(ctx, group, func(end int64) int64 { return end + rng.Int64N(1000) })
			default:
				err = c.forget(ctx, group)
			}
			if err == nil {
				c.counts.add(offsets, name)
			} else if ctx.Err() == nil {
				c.say("the offsets of %s could not be %s, which is not the fleet's fault: %v", group, name, err)
			}
		}
	}
	return nil
}

// shift commits other offsets for every partition. Kafka lets only members of a group do
// that, so it joins for a moment; of whose partition they are Kafka does not ask.
func (c *chaos) shift(ctx context.Context, group string, to func(end int64) int64) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ends, err := c.topic.ends(ctx)
	if err != nil {
		return err
	}
	wanted := map[int]int64{}
	for p, end := range ends {
		wanted[p] = to(end)
	}
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{c.broker.Addr()}, Topics: []string{c.topic.name},
		GroupBalancers:   []kafka.GroupBalancer{kafka.RangeGroupBalancer{}, kafka.RoundRobinGroupBalancer{}},
		RebalanceTimeout: 6 * time.Second, SessionTimeout: 6 * time.Second, HeartbeatInterval: 500 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer g.Close()
	for {
		gen, err := g.Next(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue
		}
		if err := gen.CommitOffsets(map[string]map[int]int64{c.topic.name: wanted}); err == nil {
			return nil
		}
	}
}

// forget deletes the offsets of a group, which Kafka allows only once it has no members:
// the whole fleet is killed for that.
func (c *chaos) forget(ctx context.Context, group string) (err error) {
	f := c.fleet
	if group != c.topic.name {
		f = c.sinks
	}
	f.outage(func() {
		for range 30 {
			var r *kafka.DeleteGroupsResponse
			r, err = c.topic.client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
			if err == nil {
				err = r.Errors[group]
			}
			if err == nil || errors.Is(err, kafka.GroupIdNotFound) || !sleep(ctx, 500*time.Millisecond) {
				return
			}
		}
		err = fmt.Errorf("the group keeps its members: %w", err)
	})
	return err
}
