package kafkatest

import (
	"context"
	"os"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestMain(m *testing.M) {
	code := m.Run()
	StopShared()
	os.Exit(code)
}

func TestBrokerKeepsTopicsOverKill(t *testing.T) {
	b := Start(t)
	client := &kafka.Client{Addr: kafka.TCP(b.Addr()), Transport: &kafka.Transport{}}
	defer client.Transport.(*kafka.Transport).CloseIdleConnections()
	name := Topic(t)
	r, err := client.CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: name, NumPartitions: 3, ReplicationFactor: 1}},
	})
	if err != nil || r.Errors[name] != nil {
		t.Fatal(err, r.Errors[name])
	}
	addr := b.Addr()
	b.Kill(t)
	if err := ping(context.Background(), addr); err == nil {
		t.Fatal("a killed broker answers")
	}
	b.Restart(t)
	if b.Addr() != addr {
		t.Fatalf("restarted at %s, not %s", b.Addr(), addr)
	}
	c, err := kafka.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ps, err := c.ReadPartitions(name)
	if err != nil || len(ps) != 3 {
		t.Fatalf("%d partitions after the restart, want 3 (%v)", len(ps), err)
	}
	b.Stop(t)
}

func TestTopicNamesDiffer(t *testing.T) {
	t.Run("a/b c", func(t *testing.T) {
		if a, b := Topic(t), Topic(t); a == b {
			t.Fatalf("%s twice", a)
		}
	})
}
