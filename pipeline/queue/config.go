package queue

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// StartPolicy says where a stream without a ledger begins.
type StartPolicy string

// The start policies.
const (
	StartEarliest  StartPolicy = "earliest"  // the oldest record that the broker still has
	StartLatest    StartPolicy = "latest"    // what is produced from now on
	StartGroup     StartPolicy = "group"     // what the group has committed; else as earliest
	StartTimestamp StartPolicy = "timestamp" // the first record at or after Start.Time
)

// Start is a start policy with its parameter. It is resolved to an absolute offset
// once, when a stream's ledger is created ([Client.StartOffset]).
type Start struct {
	Policy StartPolicy `yaml:"policy" json:"policy"`
	// Time is for the policy "timestamp" only: RFC 3339, or how far back, as in 24h.
	Time string `yaml:"time,omitempty" json:"time,omitempty"`
}

// String is the policy with its parameter, as ledgers keep it.
func (s Start) String() string { return strings.TrimSpace(string(s.Policy) + " " + s.Time) }

// at is the time that Time means, now.
func (s Start) at(now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s.Time); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s.Time)
	if err != nil {
		return t, fmt.Errorf("queue.start.time %q is no time: say it as in 2026-01-31T00:00:00Z, or how far back, as in 24h", s.Time)
	}
	return t, nil
}

// Loss says what to do where retention has removed records before they were read.
type Loss string

// The policies for lost records.
const (
	LossHalt Loss = "halt" // the stream stops, and somebody decides
	LossGap  Loss = "gap"  // the loss is written down, and the stream goes on behind it
)

// Config says how to reach a topic and how to take part in a consumer group.
type Config struct {
	// Brokers are host:port addresses to begin with; one that answers is enough.
	Brokers []string `yaml:"brokers" json:"brokers"`
	Topic   string   `yaml:"topic" json:"topic"`
	// Group is the consumer group. Needed by Join only.
	Group    string `yaml:"group" json:"group"`
	ClientID string `yaml:"client_id" json:"client_id"`
	TLS      TLS    `yaml:"tls" json:"tls"`
	SASL     SASL   `yaml:"sasl" json:"sasl"`

	// Session is how long the broker waits for a sign of life before it gives this
	// member's partitions to others; Heartbeat is how often one is sent; Rebalance
	// is how long the broker waits for members to join again.
	Session   time.Duration `yaml:"session_timeout" json:"session_timeout"`
	Heartbeat time.Duration `yaml:"heartbeat_interval" json:"heartbeat_interval"`
	Rebalance time.Duration `yaml:"rebalance_timeout" json:"rebalance_timeout"`

	// FetchBytes bounds one fetch, as it comes over the wire. A partition holds one
	// fetch and one unpacked batch in memory, never more. A batch larger than
	// FetchBytes still comes, alone, up to BatchBytes.
	FetchBytes int64 `yaml:"fetch_bytes" json:"fetch_bytes"`
	// FetchWait is how long the broker holds a fetch that finds nothing.
	FetchWait time.Duration `yaml:"fetch_wait" json:"fetch_wait"`
	// BatchBytes bounds one record batch, packed and unpacked. A larger one is
	// skipped, with a reason.
	BatchBytes int64 `yaml:"batch_bytes" json:"batch_bytes"`

	Start Start `yaml:"start" json:"start"`
	// OnRetentionLoss is for streams that retention has overtaken.
	OnRetentionLoss Loss `yaml:"on_retention_loss" json:"on_retention_loss"`

	// Watch is how often members look for partitions that were added to the topic.
	Watch time.Duration `yaml:"partition_watch_interval" json:"partition_watch_interval"`
}

// Default returns a Config that needs brokers, a topic and (to join) a group.
func Default() Config {
	return Config{
		ClientID: "millrace",
		Session:  15 * time.Second, Heartbeat: 3 * time.Second, Rebalance: 30 * time.Second,
		FetchBytes: 8 << 20, FetchWait: 500 * time.Millisecond, BatchBytes: 64 << 20,
		Start: Start{Policy: StartEarliest}, OnRetentionLoss: LossHalt,
		Watch: 30 * time.Second,
	}
}

// maxBatchBytes keeps sizes within Kafka's own 32-bit fields, with room to add.
const maxBatchBytes = 1 << 30

// Validate refuses a Config that can not work, naming the setting.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return fmt.Errorf("queue.brokers is empty: give at least one host:port")
	}
	for _, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			return fmt.Errorf("queue.brokers has %q: give host:port, as in kafka-1:9092", b)
		}
	}
	if err := checkTopic(c.Topic); err != nil {
		return fmt.Errorf("queue.topic: %w", err)
	}
	if err := c.validateTimes(); err != nil {
		return err
	}
	switch {
	case c.FetchBytes < 1<<10:
		return fmt.Errorf("queue.fetch_bytes is %d: it needs 1024 or more", c.FetchBytes)
	case c.BatchBytes < c.FetchBytes:
		return fmt.Errorf("queue.batch_bytes (%d) is below queue.fetch_bytes (%d): a batch may be as large as a fetch", c.BatchBytes, c.FetchBytes)
	case c.BatchBytes > maxBatchBytes:
		return fmt.Errorf("queue.batch_bytes is %d: Kafka's own limit leaves %d at most", c.BatchBytes, int64(maxBatchBytes))
	}
	if err := c.Start.validate(c.Group); err != nil {
		return err
	}
	if c.OnRetentionLoss != LossHalt && c.OnRetentionLoss != LossGap {
		return fmt.Errorf("queue.on_retention_loss %q is not one of halt, gap", c.OnRetentionLoss)
	}
	if err := c.TLS.validate(); err != nil {
		return err
	}
	return c.SASL.validate(c.TLS.Enabled)
}

func (c Config) validateTimes() error {
	switch {
	case c.Heartbeat < 100*time.Millisecond:
		return fmt.Errorf("queue.heartbeat_interval is %s: it needs 100ms or more", c.Heartbeat)
	case c.Session < 3*c.Heartbeat:
		return fmt.Errorf("queue.session_timeout (%s) is below three times queue.heartbeat_interval (%s): one lost heartbeat would cost the partitions", c.Session, c.Heartbeat)
	case c.Rebalance < 3*LetGo:
		return fmt.Errorf("queue.rebalance_timeout is %s: it needs %s or more, as partitions take up to %s to let go", c.Rebalance, 3*LetGo, LetGo)
	case c.Watch < 100*time.Millisecond:
		return fmt.Errorf("queue.partition_watch_interval is %s: it needs 100ms or more", c.Watch)
	case c.FetchWait < time.Millisecond || c.FetchWait > 30*time.Second:
		return fmt.Errorf("queue.fetch_wait is %s: it needs 1ms to 30s", c.FetchWait)
	}
	return nil
}

func (s Start) validate(group string) error {
	switch s.Policy {
	case StartEarliest, StartLatest, StartGroup:
		if s.Time != "" {
			return fmt.Errorf("queue.start.time is set, but queue.start.policy is %q: set the policy to timestamp or drop the time", s.Policy)
		}
		if s.Policy == StartGroup && group == "" {
			return fmt.Errorf("queue.start.policy group needs queue.group: whose offset is meant?")
		}
	case StartTimestamp:
		if s.Time == "" {
			return fmt.Errorf("queue.start.policy timestamp needs queue.start.time, as in 2026-01-31T00:00:00Z or 24h")
		}
		_, err := s.at(time.Now())
		return err
	default:
		return fmt.Errorf("queue.start.policy %q is not one of earliest, latest, group, timestamp", s.Policy)
	}
	return nil
}

// checkTopic applies Kafka's own rule for topic names.
func checkTopic(t string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	}
	if t == "" || len(t) > 249 || t == "." || t == ".." || strings.ContainsFunc(t, bad) {
		return fmt.Errorf("%q is no topic name: up to 249 of a-z A-Z 0-9 . _ -", t)
	}
	return nil
}
