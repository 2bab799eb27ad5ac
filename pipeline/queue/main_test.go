package queue

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/pipeline/queue/kafkatest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	kafkatest.StopShared()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// onBoth runs a test against kfake and against Apache Kafka.
func onBoth(t *testing.T, f func(t *testing.T, addr string)) {
	t.Run("kfake", func(t *testing.T) { f(t, fake(t)) })
	t.Run("kafka", func(t *testing.T) { f(t, kafkatest.Shared(t).Addr()) })
}

func fake(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()[0]
}

// testContext ends with the test, or when something hangs.
func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func testConfig(addr, topic string) Config {
	cfg := Default()
	cfg.Brokers, cfg.Topic = []string{addr}, topic
	cfg.FetchWait = 100 * time.Millisecond
	return cfg
}

// openTopic makes a topic with a name of its own and opens a client for it.
func openTopic(t *testing.T, addr string, partitions int, change ...func(*Config)) *Client {
	t.Helper()
	cfg := testConfig(addr, kafkatest.Topic(t))
	for _, f := range change {
		f(&cfg)
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.EnsureTopic(testContext(t), partitions, map[string]string{"compression.type": "producer", "max.message.bytes": "20000000"}); err != nil {
		t.Fatal(err)
	}
	return c
}

// franz opens another client library's client: it can do what kafka-go can not.
func franz(t *testing.T, c *Client, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	k, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.cfg.Brokers...), kgo.DefaultProduceTopic(c.cfg.Topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(16 << 20),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

// deleteRecords moves the log's start, as retention would.
func deleteRecords(t *testing.T, k *kgo.Client, topic string, before int64) {
	t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 10_000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rp.Offset = before
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(testContext(t), k)
	if err != nil || res.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal("deleting records:", err, res)
	}
}

func deleteTopic(t *testing.T, k *kgo.Client, topic string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 10_000
	req.TopicNames = []string{topic}
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(testContext(t), k)
	if err != nil || res.Topics[0].ErrorCode != 0 {
		t.Fatal("deleting the topic:", err, res)
	}
}

// read returns the n next entries, and fails the test if they do not join up.
func read(t *testing.T, p *Partition, n int) []Record {
	t.Helper()
	ctx := testContext(t)
	var out []Record
	for range n {
		at := p.Offset()
		r, err := p.Next(ctx)
		if err != nil {
			t.Fatalf("at offset %d, after %d entries: %v", at, len(out), err)
		}
		if r.Offset != at || r.End() <= at || p.Offset() != r.End() {
			t.Fatalf("entry [%d, %d) at offset %d", r.Offset, r.End(), at)
		}
		out = append(out, r)
	}
	return out
}
