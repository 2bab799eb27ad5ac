// Package stream is the worker's side of the line, one loop for each stream:
//
//	take -> fetch -> mill -> pack -> commit
//
// Jobs are worked on side by side and finish in any order; they are packed into
// shards in the order of their offsets, and committed as a contiguous range: shards
// first, then the ledger's record, then (advisory) the source's own offset. A Kafka
// partition and a backfill are the same to it.
package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/store"
)

// Feed gives a stream's deliveries in the order of their offsets.
type Feed interface {
	// Next blocks until there is one. io.EOF ends the stream in peace: what was taken
	// is finished and committed. Any other error ends it at once.
	Next(ctx context.Context) (*pipeline.Delivery, error)
}

// Mills run jobs; [mill.Pool] and [mill.InProcess] do.
type Mills interface {
	Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error)
}

// Fetch brings a medium to a local read-only file and says what it is. have is the
// file where the medium is at hand already, else nil. Where m is Sparse it may give
// [mill.Ranges] instead, which hold ctx. A *codecs.Error refuses the
// medium, and the id then says as much of it as is known; any other error stops the stream.
type Fetch func(ctx context.Context, m pipeline.Media, have *os.File) (mill.Bytes, pipeline.SourceID, error)

// Observer is told what happens, for progress bars and metrics. Calls may come from
// several goroutines.
type Observer interface {
	// Sampled is called for each sample that a mill gives, at once: a sign of life. The
	// job may still fail, or give it again.
	Sampled()
	// Ended is called for each job when it is packed.
	Ended(job *pipeline.Job, status ledger.Status, v pipeline.Verdict, sourceBytes int64)
	// Committed is called when a record is durable.
	Committed(e *ledger.Entry)
	// Packed is called after Committed, with what a record's samples were packed into.
	Packed(f packing.Fill)
}

// Parts is what a stream works with. The stream owns none of them.
type Parts struct {
	Recipes func(dataset string) *pipeline.Recipe // nil where there is none
	Fetch   Fetch
	Mills   Mills
	Chain   *ledger.Chain
	Store   store.Store
	// Known holds the jobs that have ended; the stream adds to it.
	Known *Known
	// Tools are the versions that each record names.
	Tools map[string]string
	// Ahead is shared by all streams of a process: a place is held while a job is
	// fetched and worked on, so that no more is spooled than the mills can use.
	Ahead   chan struct{}
	Observe Observer
	// Keep stores a recipe under its digest, before the first record that names it; may
	// be nil.
	Keep func(ctx context.Context, r *pipeline.Recipe) error
	// Cut, once closed, ends the stream early: what is finished is committed, up to the
	// first that is not, and the rest is given up. Run then returns nil. May be nil.
	Cut <-chan struct{}
	// Advise is told the committed offset, for the source's own books; may be nil.
	Advise func(offset int64)
	// Advance is told the offset up to which deliveries have been worked on and packed,
	// after each; may be nil. What is packed is not committed yet.
	Advance func(offset int64)
	// Name makes up names for shards under way, never given before; nil makes ULIDs.
	Name func() string
}

// Config bounds a stream.
type Config struct {
	// Dir is the scratch folder for spooled results and open shards.
	Dir string `yaml:"-"`
	// Window and WindowBytes bound what is taken but not yet packed.
	Window      int   `yaml:"max_deliveries"`
	WindowBytes int64 `yaml:"max_bytes"`
	// Idle commits what there is when nothing has come for so long; 0 leaves that to the
	// recipe's shard age. It makes small shards: for people who watch, not for fleets.
	Idle time.Duration `yaml:"commit_when_idle"`
	// Steady commits by sizes and counts alone, never by time, so that the same jobs give
	// the same sequences where a recipe packs, however often the run is stopped and begun
	// again. For backfills: what is left is committed when the feed ends, so that a feed
	// without an end could keep it uncommitted for ever.
	Steady bool `yaml:"-"`
}

// DefaultConfig has the window of the design.
func DefaultConfig() Config { return Config{Window: 256, WindowBytes: 512 << 20} }

// Validate refuses settings by name.
func (c Config) Validate() error {
	switch {
	case c.Window < 1:
		return fmt.Errorf("window.max_deliveries is %d; it needs 1 or more", c.Window)
	case c.Idle < 0:
		return fmt.Errorf("window.commit_when_idle is %v; it needs 0 (off) or more", c.Idle)
	case c.WindowBytes < 1<<20:
		return fmt.Errorf("window.max_bytes is %d; it needs 1 MiB or more", c.WindowBytes)
	}
	return nil
}

// Stream is one stream's loop.
type Stream struct {
	cfg    Config
	parts  Parts
	window *window
	inHand *item           // what packing holds and has not packed yet
	kept   map[string]bool // digests of the recipes that were kept; committing's own
}

// New makes a loop; Run runs it once.
func New(cfg Config, p Parts) *Stream {
	if p.Name == nil {
		p.Name = func() string { return ulid.Make().String() }
	}
	if p.Advance == nil {
		p.Advance = func(int64) {}
	}
	return &Stream{cfg: cfg, parts: p, window: newWindow(cfg.Window, cfg.WindowBytes), kept: map[string]bool{}}
}

// Run takes from feed until it ends, then returns nil when all is committed. When ctx
// ends, or anything fails that is not a medium's fault, what is not committed is given
// up: it will be taken again from the ledger's position.
func (s *Stream) Run(ctx context.Context, feed Feed) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	items := make(chan *item, s.cfg.Window)
	batches := make(chan *batch) // unbuffered: a slow store stops the packing, then the taking
	g.Go(func() error { defer close(items); return s.take(ctx, g, feed, items) })
	g.Go(func() error { defer close(batches); return s.pack(ctx, items, batches) })
	cut := false // and what was finished is committed
	g.Go(func() error {
		err := s.commit(ctx, batches)
		if err == nil && s.cut() {
			cut = true
			stop()
		}
		return err
	})
	err := g.Wait()
	if cut {
		err = nil
	}
	for it := range items {
		it.close()
	}
	if s.inHand != nil {
		s.inHand.close()
	}
	return err
}

// cut reports whether what is unfinished is no longer waited for.
func (s *Stream) cut() bool {
	select {
	case <-s.parts.Cut:
		return true
	default:
		return false
	}
}

func (s *Stream) take(ctx context.Context, g *errgroup.Group, feed Feed, items chan<- *item) error {
	for {
		if err := s.window.enter(ctx); err != nil {
			return err
		}
		d, err := feed.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		it := s.newItem(d)
		items <- it // has room: the window is no larger
		select {
		case s.parts.Ahead <- struct{}{}:
		case <-ctx.Done():
			it.err = ctx.Err() // nobody has worked on it
			close(it.done)
			return it.err
		}
		g.Go(func() error {
			s.work(ctx, it)
			<-s.parts.Ahead
			return it.err
		})
	}
}

// repeats says where a job has ended as samples before. One that ended in quarantine
// may come again.
func (s *Stream) repeats(j *pipeline.Job) (offset int64, yes bool) {
	offset, status, found := s.parts.Known.Find(j)
	return offset, found && status == ledger.OK
}

// clock is when a batch is old enough to commit; never while it is empty, or steady.
func clock(since time.Time, age time.Duration, steady bool) <-chan time.Time {
	if since.IsZero() || steady {
		return nil
	}
	return time.After(time.Until(since.Add(age)))
}
