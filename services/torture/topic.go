package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// topic is an ingest topic, reached without a proxy.
type topic struct {
	name    string
	cluster string
	client  *kafka.Client
}

func newTopic(ctx context.Context, addr, name string, partitions int) (*topic, error) {
	t := &topic{name: name, client: &kafka.Client{Addr: kafka.TCP(addr), Timeout: 10 * time.Second, Transport: &kafka.Transport{MetadataTTL: time.Second}}}
	r, err := t.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: name, NumPartitions: partitions, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "cleanup.policy", ConfigValue: "delete"}},
	}}})
	if err == nil {
		err = r.Errors[name]
	}
	if err != nil {
		return nil, fmt.Errorf("making topic %s: %w", name, err)
	}
	m, err := t.client.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	t.cluster = m.ClusterID
	return t, nil
}

// partitions is how many there are.
func (t *topic) partitions(ctx context.Context) (int, error) {
	m, err := t.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{t.name}})
	if err != nil {
		return 0, err
	}
	if len(m.Topics) != 1 || m.Topics[0].Error != nil {
		return 0, fmt.Errorf("the broker does not describe topic %s", t.name)
	}
	return len(m.Topics[0].Partitions), nil
}

// grow adds a partition.
func (t *topic) grow(ctx context.Context) error {
	n, err := t.partitions(ctx)
	if err != nil {
		return err
	}
	r, err := t.client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: t.name, Count: int32(n + 1)}}}) //nolint:gosec // a handful
	if err != nil {
		return err
	}
	return r.Errors[t.name]
}

// ends are the offsets after the last message, by partition.
func (t *topic) ends(ctx context.Context) (map[int]int64, error) {
	n, err := t.partitions(ctx)
	if err != nil {
		return nil, err
	}
	var ask []kafka.OffsetRequest
	for p := range n {
		ask = append(ask, kafka.LastOffsetOf(p))
	}
	r, err := t.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{t.name: ask}})
	if err != nil {
		return nil, err
	}
	ends := map[int]int64{}
	for _, p := range r.Topics[t.name] {
		if p.Error != nil {
			return nil, p.Error
		}
		ends[p.Partition] = p.LastOffset
	}
	return ends, nil
}

// send produces messages to a partition, until the broker has them. A try whose answer
// was lost may have come there all the same: then they are there twice.
func (t *topic) send(ctx context.Context, partition int, messages []*message) error {
	for {
		records := make([]kafka.Record, len(messages))
		for i, m := range messages {
			records[i] = kafka.Record{Key: protocol.NewBytes(m.key), Value: protocol.NewBytes(m.value), Headers: m.headers}
		}
		r, err := t.client.Produce(ctx, &kafka.ProduceRequest{Topic: t.name, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		if err == nil && r.Error == nil {
			return nil
		}
		if !sleep(ctx, 300*time.Millisecond) {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// numbers reads the whole topic back: which message stands at which offset.
func (t *topic) numbers(ctx context.Context) (map[int][]int, error) {
	ends, err := t.ends(ctx)
	if err != nil {
		return nil, err
	}
	all := map[int][]int{}
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		for int64(len(all[p])) < ends[p] {
			r, err := t.client.Fetch(ctx, &kafka.FetchRequest{Topic: t.name, Partition: p, Offset: int64(len(all[p])), MinBytes: 1, MaxBytes: 8 << 20, MaxWait: time.Second})
			if err == nil {
				err = r.Error
			}
			if err == nil {
				all[p], err = appendNumbers(all[p], r.Records)
			}
			if err != nil {
				return nil, fmt.Errorf("reading %s/%d back at offset %d: %w", t.name, p, len(all[p]), err)
			}
		}
	}
	return all, nil
}

func appendNumbers(all []int, records kafka.RecordReader) ([]int, error) {
	before := len(all)
	for {
		r, err := records.ReadRecord()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && len(all) > before {
			return all, nil // the last batch may be cut off
		}
		if err != nil {
			return all, err
		}
		if r.Offset < int64(len(all)) {
			continue // a batch is given whole
		}
		if r.Offset > int64(len(all)) {
			return all, fmt.Errorf("after offset %d comes %d", len(all)-1, r.Offset)
		}
		n := -1
		for _, h := range r.Headers {
			if h.Key == numberHeader {
				n, err = strconv.Atoi(string(h.Value))
			}
		}
		if err != nil || n < 0 {
			return all, fmt.Errorf("offset %d is not ours", r.Offset)
		}
		all = append(all, n)
	}
}
