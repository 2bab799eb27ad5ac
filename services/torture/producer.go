package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline/audit"
)

// producer sends a corpus to a topic at a steady rate, and keeps its own ledger.
type producer struct {
	topic  *topic
	corpus *corpus
	rng    *rand.Rand

	mu   sync.Mutex
	sent []*message // by number-1; what the broker has, or may have
	// unsure are those whose sending was broken off.
	unsure []*message
}

// run sends n messages within a time, in batches to random partitions.
func (p *producer) run(ctx context.Context, n int, within time.Duration) error {
	byPartition := map[int][]*message{}
	began := time.Now()
	for len(p.sent) < n {
		parts, err := p.topic.partitions(ctx)
		if err != nil {
			if !sleep(ctx, 500*time.Millisecond) {
				return ctx.Err()
			}
			continue // the broker may be away
		}
		q := p.rng.IntN(parts)
		var batch []*message
		for range min(1+p.rng.IntN(8), n-len(p.sent)) {
			m := p.corpus.next(byPartition[q])
			byPartition[q], batch = append(byPartition[q], m), append(batch, m)
			p.note(m)
		}
		if err := p.topic.send(ctx, q, batch); err != nil {
			p.unsure = batch
			return fmt.Errorf("producing: %w", err)
		}
		due := time.Duration(float64(within) * float64(len(p.sent)) / float64(n))
		if !sleep(ctx, max(0, due-time.Since(began))) {
			return ctx.Err()
		}
	}
	return nil
}

func (p *producer) note(m *message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, m)
}

// done is how many have been sent.
func (p *producer) done() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// ledger says, by what stands in the topic, what must have become of each offset. A
// message that is not there, or that nobody sent, is an error: then the broker is at
// fault, and nothing can be said of the rest.
func (p *producer) ledger(ctx context.Context) (*audit.Campaign, error) {
	numbers, err := p.topic.numbers(ctx)
	if err != nil {
		return nil, err
	}
	seen := make([]bool, len(p.sent))
	c := &audit.Campaign{Complete: true}
	for partition, ns := range numbers {
		s := audit.Stream{Cluster: p.topic.cluster, Topic: p.topic.name, Partition: int32(partition)} //nolint:gosec // a handful
		for offset, n := range ns {
			if n < 1 || n > len(p.sent) {
				return nil, fmt.Errorf("partition %d has the message %d at offset %d; %d were sent", partition, n, offset, len(p.sent))
			}
			m := p.sent[n-1]
			seen[n-1] = true
			s.Messages = append(s.Messages, audit.Message{Offset: int64(offset), ID: m.id, Dataset: m.dataset, Want: m.want, Samples: m.samples, Code: m.code})
		}
		c.Streams = append(c.Streams, s)
	}
	for _, m := range p.unsure {
		seen[m.n-1] = true
	}
	for i, yes := range seen {
		if !yes {
			return nil, fmt.Errorf("the broker has lost message %d, which it had acknowledged", i+1)
		}
	}
	return c, nil
}
