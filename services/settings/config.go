// Package settings turns configuration into built parts. It is the only package that
// knows every other: what a command needs is made here, by plain constructors.
package settings

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/backfill"
	"github.com/millrace/millrace/services/gateway"
	"github.com/millrace/millrace/services/worker"
)

// Config is everything that can be set. One section for each package, each with its
// own defaults and Validate.
type Config struct {
	Store  Store         `yaml:"store"`
	Queue  queue.Config  `yaml:"queue"`
	Ingest Ingest        `yaml:"ingest"`
	Source source.Config `yaml:"source"`
	Mill   Mill          `yaml:"mill"`
	Window stream.Config `yaml:"window"`
	Worker worker.Config `yaml:"worker"`
	// Publish makes workers publish snapshots, every so often.
	Publish Publish `yaml:"publish"`
	// Recipes are files, or folders whose *.yaml files are recipes. Relative paths in a
	// configuration file are taken from its folder.
	Recipes []string `yaml:"recipes"`
	// Scratch is the folder for spooled media, results and open shards. Empty means
	// the system's temporary folder.
	Scratch string  `yaml:"scratch"`
	Metrics Metrics `yaml:"metrics"`
	// Alarm stops a worker or a backfill when too many jobs are refused.
	Alarm       stream.AlarmConfig `yaml:"alarm"`
	DeadLetters DeadLetters        `yaml:"dead_letters"`
	// Backfill bounds the lists and archives that jobs are made of.
	Backfill BackfillLimits `yaml:"backfill"`
	// Gateway takes jobs and media over HTTP.
	Gateway gateway.Config `yaml:"gateway"`

	// Version of the program, for samples and records. Set by the program.
	Version string `yaml:"-"`
	// Racers starts another process that races in the probe of a store. Set by the program.
	Racers func(ctx context.Context, c Config) (crew store.Crew, end func(), err error) `yaml:"-"`
}

// Store says where datasets are written.
type Store struct {
	// URL is s3://bucket/prefix, file:///path, or a path.
	URL          string `yaml:"url"`
	store.Config `yaml:",inline"`
	// ClaimLog decides what is created, where the store ignores conditional writes.
	ClaimLog claim.Config `yaml:"claim_log"`
	// OtherEndpoints reach the same store too; the probe races over all.
	OtherEndpoints []string `yaml:"other_endpoints"`
}

// Ingest says how messages are read.
type Ingest struct {
	// Dataset is used for messages that name none.
	Dataset string `yaml:"dataset"`
	// Buckets choose the dataset of a bucket notification's objects.
	Buckets []BucketRule `yaml:"buckets"`
	// AnyDataset gives datasets without a recipe of their own the default recipe. Meant
	// for trying things out.
	AnyDataset bool `yaml:"any_dataset"`
}

// BucketRule gives the objects of a bucket under a prefix to a dataset.
type BucketRule struct {
	Bucket  string `yaml:"bucket"`
	Prefix  string `yaml:"prefix"`
	Dataset string `yaml:"dataset"`
}

// Mill says how media are decoded.
type Mill struct {
	mill.Config `yaml:",inline"`
	// Isolation is "process" (the default) or "none": in this process, for debugging.
	Isolation string `yaml:"isolation"`
}

// Metrics says where Prometheus and health checks find the worker.
type Metrics struct {
	// Listen is host:port; empty means nowhere.
	Listen string `yaml:"listen"`
}

// DeadLetters says which topic is told of refused jobs.
type DeadLetters struct {
	// Topic is made where there is none; empty means that no topic is told. The ledger
	// has them all the same.
	Topic string `yaml:"topic"`
}

// Default is a configuration that needs a store and, for the stream, brokers and a topic.
func Default() Config {
	q := queue.Default()
	q.Topic, q.Group = "millrace.ingest", "millrace"
	return Config{
		Store: Store{ClaimLog: claim.DefaultConfig()},
		Queue: q, Source: source.DefaultConfig(), Window: stream.DefaultConfig(), Worker: worker.DefaultConfig(),
		Mill:  Mill{Config: mill.DefaultConfig(runtime.NumCPU()), Isolation: "process"},
		Alarm: stream.DefaultAlarm(), Gateway: gateway.DefaultConfig(),
		Backfill: BackfillLimits{Archive: backfill.DefaultArchive()},
	}
}

// Validate refuses settings that can not work, by name. The queue is looked at only
// where it is needed.
func (c Config) Validate(needsQueue bool) error {
	if c.Store.URL == "" {
		return fmt.Errorf("store.url is empty: say where to write, as in s3://bucket/prefix or ./dataset")
	}
	if err := c.Store.Config.Validate(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := c.Store.ClaimLog.Validate(); err != nil {
		return fmt.Errorf("store.claim_log.%w", err)
	}
	if c.Store.ClaimLog.Topic != "" && len(c.Queue.Brokers) == 0 {
		return fmt.Errorf("store.claim_log.topic is set, and queue.brokers is empty: the claim log is a topic of that cluster")
	}
	if needsQueue {
		if err := c.Queue.Validate(); err != nil {
			return err
		}
	}
	if err := c.Source.Validate(); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := c.Mill.Validate(); err != nil {
		return err
	}
	if c.Mill.Isolation != "process" && c.Mill.Isolation != "none" {
		return fmt.Errorf("mill.isolation is %q: say process or none", c.Mill.Isolation)
	}
	if err := c.Window.Validate(); err != nil {
		return err
	}
	if err := c.Worker.Validate(); err != nil {
		return err
	}
	if err := c.Alarm.Validate(); err != nil {
		return err
	}
	if err := c.Backfill.Archive.Validate(); err != nil {
		return err
	}
	if err := c.Publish.Validate(); err != nil {
		return err
	}
	if needsQueue && c.DeadLetters.Topic == c.Queue.Topic {
		return fmt.Errorf("dead_letters.topic is %s, the ingest topic itself: name another", c.DeadLetters.Topic)
	}
	for i, b := range c.Ingest.Buckets {
		if b.Bucket == "" || b.Dataset == "" {
			return fmt.Errorf("ingest.buckets[%d] needs a bucket and a dataset", i)
		}
	}
	return nil
}

// ScratchDir makes the scratch folder and returns it.
func (c Config) ScratchDir() (string, error) {
	dir := c.Scratch
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "millrace")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the scratch folder: %w", err)
	}
	return dir, nil
}

// MessageOptions is the ingest section as package message wants it.
func (c Config) MessageOptions() message.Options {
	o := message.Options{Dataset: c.Ingest.Dataset}
	for _, b := range c.Ingest.Buckets {
		o.Buckets = append(o.Buckets, message.BucketRule(b))
	}
	return o
}
