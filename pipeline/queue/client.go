package queue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// requestTimeout bounds one question to a broker that is not a fetch.
const requestTimeout = 10 * time.Second

// Client speaks to one cluster about one topic. It is safe for use from several
// goroutines. Whoever opened it closes it.
type Client struct {
	cfg       Config
	tls       *tls.Config
	mechanism sasl.Mechanism
	dialer    *dialer
	transport *kafka.Transport
	ask       *kafka.Client // everything but fetches
	fetch     *kafka.Client // fetches, with record sets left as bytes
	produce   *kafka.Client
}

// Open checks the configuration and makes a client. It does not connect yet.
func Open(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	m, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, fmt.Errorf("queue.sasl: %w", err)
	}
	c := &Client{cfg: cfg, tls: t, mechanism: m, dialer: newDialer()}
	c.transport = &kafka.Transport{
		Dial: c.dialer.DialContext, DialTimeout: dialTimeout,
		ClientID: cfg.ClientID, TLS: t, SASL: m,
		// The layout of other topics is of no use, and may be large.
		MetadataTopics: []string{cfg.Topic},
		MetadataTTL:    2 * time.Second,
	}
	addr := kafka.TCP(cfg.Brokers...)
	c.ask = &kafka.Client{Addr: addr, Transport: c.transport}
	c.produce = &kafka.Client{Addr: addr, Transport: c.transport, Timeout: produceTimeout}
	c.fetch = &kafka.Client{Addr: addr, Transport: &undecoded{
		transport: c.transport, clientID: cfg.ClientID, limit: cfg.BatchBytes,
	}}
	return c, nil
}

// Close cuts all connections. Calls under way end with an error.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	c.dialer.cut()
	return nil
}

// Topic is the name of the topic.
func (c *Client) Topic() string { return c.cfg.Topic }

// ClusterID names the cluster for ever. It is part of a stream's identity.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return "", err
	}
	if m.ClusterID == "" {
		return "", fmt.Errorf("the brokers at %v gave no cluster id: Kafka 0.10.1 or later is needed", c.cfg.Brokers)
	}
	return m.ClusterID, nil
}

// Partitions returns how many partitions the topic has. A topic that does not
// exist is an error that wraps kafka.UnknownTopicOrPartition.
func (c *Client) Partitions(ctx context.Context) (int, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return 0, err
	}
	t := m.Topics[0]
	if t.Error != nil {
		return 0, fmt.Errorf("topic %s: %w", c.cfg.Topic, t.Error)
	}
	return len(t.Partitions), nil
}

func (c *Client) metadata(ctx context.Context) (*kafka.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := c.ask.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{c.cfg.Topic}})
	if err != nil {
		return nil, fmt.Errorf("asking %v about topic %s: %w", c.cfg.Brokers, c.cfg.Topic, err)
	}
	if len(m.Topics) != 1 {
		return nil, fmt.Errorf("asking %v about topic %s: the answer has %d topics", c.cfg.Brokers, c.cfg.Topic, len(m.Topics))
	}
	return m, nil
}

// Offsets are the bounds of a partition.
type Offsets struct {
	First  int64 // the oldest record that the broker still has (log start)
	Stable int64 // end of what is settled: below it no transaction is open
	High   int64 // end of what is replicated (high watermark)
}

// Offsets asks for the bounds of a partition. It takes up to 10 s where a broker is
// away.
func (c *Client) Offsets(ctx context.Context, partition int) (Offsets, error) {
	var o Offsets
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, q := range []struct {
		at    int64
		level kafka.IsolationLevel
		to    *int64
	}{
		{kafka.FirstOffset, kafka.ReadUncommitted, &o.First},
		{kafka.LastOffset, kafka.ReadCommitted, &o.Stable},
		{kafka.LastOffset, kafka.ReadUncommitted, &o.High},
	} {
		n, err := c.listOffset(ctx, partition, q.at, q.level)
		if err != nil {
			return Offsets{}, err
		}
		*q.to = n
	}
	return o, nil
}

// StartOffset resolves the start policy for one partition to an absolute offset.
// Ask once, and keep the answer in the ledger: "latest" asked again after a
// reconnect would leave out what came in between (kafka-go#1319).
func (c *Client) StartOffset(ctx context.Context, partition int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	switch c.cfg.Start.Policy {
	case StartEarliest:
		return c.listOffset(ctx, partition, kafka.FirstOffset, kafka.ReadUncommitted)
	case StartGroup:
		n, err := c.committed(ctx, partition)
		if n >= 0 || err != nil {
			return n, err
		}
		return c.listOffset(ctx, partition, kafka.FirstOffset, kafka.ReadUncommitted)
	case StartTimestamp:
		at, err := c.cfg.Start.at(time.Now())
		if err != nil {
			return 0, err
		}
		n, err := c.listOffset(ctx, partition, at.UnixMilli(), kafka.ReadCommitted)
		if n >= 0 || err != nil {
			return n, err
		}
		// Nothing is that young yet: what comes next is.
	}
	return c.listOffset(ctx, partition, kafka.LastOffset, kafka.ReadCommitted)
}

// committed is the offset that the group has committed, or -1.
func (c *Client) committed(ctx context.Context, partition int) (n int64, err error) {
	n = -1
	err = retry(ctx, func() error {
		r, err := c.ask.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: c.cfg.Group, Topics: map[string][]int{c.cfg.Topic: {partition}}})
		if err == nil {
			err = r.Error
		}
		if err == nil && len(r.Topics[c.cfg.Topic]) == 1 {
			n, err = r.Topics[c.cfg.Topic][0].CommittedOffset, r.Topics[c.cfg.Topic][0].Error
		}
		if errors.Is(err, kafka.GroupIdNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking what group %s has committed of %s/%d: %w", c.cfg.Group, c.cfg.Topic, partition, err)
	}
	return n, nil
}

// listOffset returns -1 where no record is as young as the timestamp at. It waits
// for a leader where there is none at the moment, until ctx ends.
func (c *Client) listOffset(ctx context.Context, partition int, at int64, level kafka.IsolationLevel) (n int64, err error) {
	err = retry(ctx, func() error {
		n, err = c.listOffsetOnce(ctx, partition, at, level)
		return err
	})
	return n, err
}

func (c *Client) listOffsetOnce(ctx context.Context, partition int, at int64, level kafka.IsolationLevel) (int64, error) {
	name := fmt.Sprintf("asking for offsets of %s/%d", c.cfg.Topic, partition)
	r, err := c.ask.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics:         map[string][]kafka.OffsetRequest{c.cfg.Topic: {{Partition: partition, Timestamp: at}}},
		IsolationLevel: level,
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	ps := r.Topics[c.cfg.Topic]
	if len(ps) != 1 {
		return 0, fmt.Errorf("%s: the answer has %d partitions", name, len(ps))
	}
	p := ps[0]
	switch {
	case p.Error != nil:
		return 0, fmt.Errorf("%s: %w", name, p.Error)
	case at == kafka.FirstOffset:
		return p.FirstOffset, nil
	case at == kafka.LastOffset:
		return p.LastOffset, nil
	}
	for n := range p.Offsets { // one, as one was asked for
		return n, nil
	}
	return -1, nil
}
