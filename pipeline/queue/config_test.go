package queue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/millrace/millrace/pipeline"
)

func TestValidate(t *testing.T) {
	good := testConfig("kafka-1:9092", "ingest")
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Brokers = nil }, "queue.brokers"},
		{func(c *Config) { c.Brokers = []string{"kafka-1"} }, `"kafka-1"`},
		{func(c *Config) { c.Topic = "" }, "queue.topic"},
		{func(c *Config) { c.Topic = "a/b" }, "queue.topic"},
		{func(c *Config) { c.Heartbeat = 0 }, "queue.heartbeat_interval"},
		{func(c *Config) { c.Session = 2 * c.Heartbeat }, "queue.session_timeout"},
		{func(c *Config) { c.Rebalance = time.Second }, "queue.rebalance_timeout"},
		{func(c *Config) { c.FetchWait = time.Hour }, "queue.fetch_wait"},
		{func(c *Config) { c.FetchBytes = 1 }, "queue.fetch_bytes"},
		{func(c *Config) { c.BatchBytes = c.FetchBytes - 1 }, "queue.batch_bytes"},
		{func(c *Config) { c.BatchBytes = 1 << 40 }, "queue.batch_bytes"},
		{func(c *Config) { c.Start.Policy = "newest" }, `"newest"`},
		{func(c *Config) { c.Start.Policy = StartTimestamp }, "queue.start.time"},
		{func(c *Config) { c.Start.Time = "24h" }, "queue.start.time"},
		{func(c *Config) { c.Start = Start{StartTimestamp, "-1h"} }, `"-1h"`},
		{func(c *Config) { c.Start = Start{StartTimestamp, "yesterday"} }, `"yesterday"`},
		{func(c *Config) { c.Group, c.Start.Policy = "", StartGroup }, "queue.group"},
		{func(c *Config) { c.OnRetentionLoss = "shrug" }, "queue.on_retention_loss"},
		{func(c *Config) { c.Watch = 0 }, "queue.partition_watch_interval"},
		{func(c *Config) { c.TLS.CA = "ca.pem" }, "queue.tls.enabled"},
		{func(c *Config) { c.TLS = TLS{Enabled: true, Cert: "c.pem"} }, "queue.tls.key_file"},
		{func(c *Config) { c.SASL.Username = "u" }, "queue.sasl.mechanism"},
		{func(c *Config) { c.SASL = SASL{Mechanism: "plain", Username: "u", Password: pipeline.NewSecret("p")} }, "queue.tls.enabled"},
		{func(c *Config) { c.SASL = SASL{Mechanism: "scram-sha-256"} }, "queue.sasl.password"},
		{func(c *Config) { c.SASL.Mechanism = "kerberos" }, `"kerberos"`},
	} {
		c := good
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
}

func TestOpenNeedsItsFiles(t *testing.T) {
	for _, tls := range []TLS{
		{Enabled: true, CA: "testdata/none.pem"},
		{Enabled: true, CA: "testdata/batches/none.bin"},
		{Enabled: true, Cert: "testdata/none.pem", Key: "testdata/none.pem"},
	} {
		c := testConfig("kafka-1:9092", "ingest")
		c.TLS = tls
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), "queue.tls.") {
			t.Errorf("%+v: %v", tls, err)
		}
	}
}

func TestConfigFromYAML(t *testing.T) {
	t.Setenv("QUEUE_TEST_PASSWORD", "grist-9413")
	c := Default()
	err := yaml.Unmarshal([]byte(`
brokers: [kafka-1:9092, kafka-2:9092]
topic: ingest
group: fleet
session_timeout: 20s
fetch_bytes: 1048576
start: {policy: timestamp, time: 2026-01-31T00:00:00Z}
sasl: {mechanism: scram-sha-512, username: mill, password: "env:QUEUE_TEST_PASSWORD"}
`), &c)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Session != 20*time.Second || c.Heartbeat != 3*time.Second || len(c.Brokers) != 2 || c.FetchBytes != 1<<20 ||
		c.SASL.Password.Reveal() != "grist-9413" || c.Start.String() != "timestamp 2026-01-31T00:00:00Z" {
		t.Fatalf("%+v", c)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	c := Default()
	c.SASL.Password = pipeline.NewSecret("grist-9413")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, c, c.SASL.Password)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("one", "password", c.SASL.Password, "config", c)
	slog.New(slog.NewTextHandler(&out, nil)).Info("two", "password", c.SASL.Password, "config", c)
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	hex := fmt.Sprintf("%x", "grist-9413")
	if s := out.String(); strings.Contains(s, "9413") || strings.Contains(s, hex) || !strings.Contains(s, "redacted") {
		t.Fatal(s)
	}
}
