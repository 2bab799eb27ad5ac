package queue

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
)

// levels returns "what:level" of each finding.
func levels(r Report) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.What+":"+string(f.Level))
	}
	return strings.Join(out, " ")
}

func TestCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c := openTopic(t, addr, 2)
		cfg := groupConfig(c)
		r := Check(testContext(t), cfg)
		if got := levels(r); got != "brokers:ok topic:ok topic:warn reading:ok group:ok" || !r.OK() {
			t.Fatalf("%s: %+v", got, r)
		}
		if r.Partitions != 2 || r.ClusterID == "" {
			t.Fatalf("%+v", r)
		}
		cfg.Topic = kafkatest.Topic(t)
		r = Check(testContext(t), cfg)
		if got := levels(r); got != "brokers:ok topic:fail" || r.OK() || !strings.Contains(r.Findings[1].Detail, "does not exist") {
			t.Fatalf("%s: %+v", got, r)
		}
	})
}

func TestCheckNobodyThere(t *testing.T) {
	r := Check(testContext(t), testConfig("127.0.0.1:1", "topic"))
	if levels(r) != "brokers:fail" || r.Findings[0].Advice == "" {
		t.Fatalf("%+v", r)
	}
	r = Check(testContext(t), Config{})
	if levels(r) != "settings:fail" {
		t.Fatalf("%+v", r)
	}
}

func TestCompactedTopicIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c, err := Open(testConfig(addr, kafkatest.Topic(t)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		err = c.EnsureTopic(testContext(t), 1, map[string]string{"cleanup.policy": "compact"})
		if err == nil || !strings.Contains(err.Error(), "cleanup.policy=compact") {
			t.Fatal(err)
		}
		if r := Check(testContext(t), c.cfg); r.OK() {
			t.Fatalf("%+v", r)
		}
	})
}

func TestEnsureTopic(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		c, err := Open(testConfig(addr, kafkatest.Topic(t)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := testContext(t)
		for range 2 { // the second time it is there
			if err := c.EnsureTopic(ctx, 3, map[string]string{"max.message.bytes": "9000000", "retention.ms": "-1"}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := c.TopicInfo(ctx)
		want := TopicInfo{Partitions: 3, CleanupPolicy: "delete", CompressionType: "uncompressed", MaxMessageBytes: 9000000, Retention: -time.Millisecond}
		if err != nil || got != want {
			t.Fatalf("%+v, %v", got, err)
		}
		if err := c.EnsureTopic(ctx, 4, nil); err == nil || !strings.Contains(err.Error(), "has 3 partitions, 4 are wanted") {
			t.Fatal(err)
		}
	})
}

// TestSCRAM proves who it is, and who it is not, without its password in any text.
func TestSCRAM(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "mill", "grist-9413"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	withPassword := func(p string) Config {
		cfg := testConfig(k.ListenAddrs()[0], "topic")
		cfg.SASL = SASL{Mechanism: "scram-sha-512", Username: "mill", Password: pipeline.NewSecret(p)}
		return cfg
	}
	c, err := Open(withPassword("grist-9413"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.EnsureTopic(testContext(t), 1, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 5*time.Second)
	defer cancel()
	r := Check(ctx, withPassword("chaff-2718"))
	text, err := json.Marshal(r)
	if err != nil || r.OK() || strings.Contains(string(text), "chaff-2718") {
		t.Fatalf("%s, %v", text, err)
	}
}

// A broker that bounds what batches unpack to is as good as one that stores them unpacked.
func TestUnpacksTo(t *testing.T) {
	for _, c := range []struct {
		compression, unpacked string
		want                  bool
	}{
		{"uncompressed", "", true},
		{"producer", "", false},
		{"zstd", "", false},
		{"producer", "1048576", true},
		{"producer", "67108864", true},
		{"producer", "67108865", false},
		{"producer", "-1", false},
	} {
		var info TopicInfo
		if err := info.set("compression.type", c.compression); err != nil {
			t.Fatal(err)
		}
		if c.unpacked != "" {
			if err := info.set("max.decompressed.message.bytes", c.unpacked); err != nil {
				t.Fatal(err)
			}
		}
		if got := info.unpacksTo(64 << 20); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
