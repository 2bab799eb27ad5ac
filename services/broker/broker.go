package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/pipeline/queue"
)

// Topic is a topic that must be there.
type Topic struct {
	Name       string            `yaml:"name" json:"name"`
	Partitions int               `yaml:"partitions" json:"partitions"`
	Settings   map[string]string `yaml:"settings,omitempty" json:"settings,omitempty"` // as in queue.Client.EnsureTopic
}

// Config says where the broker keeps its state and where it listens.
type Config struct {
	// Dir is created if needed. One process uses it at a time.
	Dir string `yaml:"dir" json:"dir"`
	// Listen is a loopback address and a port; port 0 takes any that is free.
	Listen string  `yaml:"listen" json:"listen"`
	Topics []Topic `yaml:"topics" json:"topics"`
	// Log is told of the broker's warnings. Nil drops them.
	Log *slog.Logger `yaml:"-" json:"-"`
}

// DefaultListen is Kafka's usual port.
const DefaultListen = "127.0.0.1:9092"

// Validate refuses a Config that can not work, naming the setting.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("broker.dir is empty: give the folder for the broker's state")
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("broker.listen is %q: give an address and a port, as in %s", c.Listen, DefaultListen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("broker.listen is %q: the embedded broker has no authentication and listens on loopback only, as in %s; for a fleet, run Apache Kafka", c.Listen, DefaultListen)
	}
	for i, t := range c.Topics {
		if t.Name == "" || t.Partitions < 1 {
			return fmt.Errorf("broker.topics[%d] needs a name and 1 or more partitions", i)
		}
	}
	return nil
}

// Broker is a running broker. Whoever started it closes it.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	lock    *os.File
}

// Start starts a broker with what its folder holds, and makes the topics that are
// missing. ctx bounds the start only.
func Start(ctx context.Context, c Config) (*Broker, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID(newClusterID()), // of a new folder; an old one has its own
		kfake.DataDir(c.Dir),
		kfake.SyncWrites(), // an acknowledged record is on disk
		kfake.WithLogger(logger{c.Log}),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, c.Listen) }),
	)
	if err != nil {
		_ = lock.Close()
		return nil, c.explain(err)
	}
	b := &Broker{cluster: cluster, addr: cluster.ListenAddrs()[0], lock: lock}
	for _, t := range c.Topics {
		if err := b.ensure(ctx, t); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	return b, nil
}

func (c Config) explain(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("starting the broker on %s: the port is taken, perhaps by another Millrace or a Kafka; end that, or set broker.listen to another port: %w", c.Listen, err)
	}
	return fmt.Errorf("starting the broker in %s on %s: %w", c.Dir, c.Listen, err)
}

func (b *Broker) ensure(ctx context.Context, t Topic) error {
	cfg := queue.Default()
	cfg.Brokers, cfg.Topic = []string{b.addr}, t.Name
	c, err := queue.Open(cfg)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.EnsureTopic(ctx, t.Partitions, t.Settings)
}

// Addr returns the host:port that clients connect to.
func (b *Broker) Addr() string { return b.addr }

// Close saves the state and ends all connections. It may be called twice.
func (b *Broker) Close() error {
	b.cluster.Close()
	if err := b.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("unlocking the broker's folder: %w", err)
	}
	return nil
}

// newClusterID makes an id as Kafka's own: a UUID in 22 characters.
func newClusterID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}
