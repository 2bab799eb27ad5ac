// Package worker is the fleet process: it takes part in the consumer group, runs one
// stream for each partition that it is given, and drains when it is told to stop.
package worker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
)

// Parts is what a worker works with. The worker owns none of them.
type Parts struct {
	Config  Config
	Topic   Topic
	Message message.Options
	Window  stream.Config
	Store   store.Store
	Mills   stream.Mills
	Fetch   stream.Fetch
	Recipes func(dataset string) *pipeline.Recipe
	// Mills that run at a time; as many more jobs are fetched ahead.
	Count   int
	Observe stream.Observer
	Log     *slog.Logger
	// Tools are the versions that records name.
	Tools map[string]string
	// Keep is as in stream.Parts.
	Keep func(ctx context.Context, r *pipeline.Recipe) error
	// Outbox is told of refused jobs; may be nil.
	Outbox Outbox
	// StartPolicy says how the topic's StartOffset finds it, for the ledger.
	StartPolicy string
	// RetentionGap writes down what retention removed, and goes on; else such a stream halts.
	RetentionGap bool
	// ID makes up what must never have been given before: this process's incarnation,
	// tokens, names of shards. nil makes ULIDs. It may be called from several goroutines.
	ID func() string
	// Jitter gives some duration from 0 to most, for pauses; nil takes it by chance.
	Jitter func(most time.Duration) time.Duration
}

// Config is the worker section of the settings. Zero values mean the defaults.
type Config struct {
	// Stalled is how long a partition with a backlog may show no sign of life before the
	// process ends itself: heartbeats alone would keep the partition for ever. 5 min.
	Stalled time.Duration `yaml:"stalled_after"`
	// Unassigned is how long work is kept between two generations of the group. 30 s.
	Unassigned time.Duration `yaml:"unassigned_for"`
}

// DefaultConfig has the defaults.
func DefaultConfig() Config {
	return Config{Stalled: 5 * time.Minute, Unassigned: 30 * time.Second}
}

// Validate refuses settings by name.
func (c Config) Validate() error {
	switch {
	case c.Stalled < 10*time.Second:
		return fmt.Errorf("worker.stalled_after is %v; it needs 10s or more", c.Stalled)
	case c.Unassigned < time.Second:
		return fmt.Errorf("worker.unassigned_for is %v; it needs 1s or more", c.Unassigned)
	}
	return nil
}

// Worker consumes a topic.
type Worker struct {
	Parts
	writer   string
	ahead    chan struct{}
	draining context.Context // ends when the drain begins
	drain    context.CancelFunc
	cutting  context.Context // ends when the drain no longer waits for what is unfinished
	cut      context.CancelFunc
	work     context.Context // ends when all work is given up

	// A stream rests after a failure, longer each time; one that went on for restMax begins
	// anew. One that is halted is looked at again now and then, which costs it nothing.
	restMin, restMax, restHalt time.Duration

	mu     sync.Mutex // between the drain's beginning and a line's, too
	lines  map[int]*line
	fences map[int]*fencing
	joined bool
	busy   sync.WaitGroup // lines
	stuck  atomic.Bool    // the process is to end over hung work
	gone   atomic.Int64   // offsets that retention removed
}

// DrainWithin is how long a worker that was told to stop may finish what it has taken.
const DrainWithin = 20 * time.Second

// cutAfter is when a drain commits what is finished, and gives up what is not: a long
// job must not cost the others' work.
const cutAfter = 15 * time.Second

// New makes a worker. Run runs it once.
func New(p Parts) *Worker {
	if p.ID == nil {
		p.ID = func() string { return ulid.Make().String() }
	}
	if p.Jitter == nil {
		p.Jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	d := DefaultConfig()
	if p.Config.Stalled <= 0 {
		p.Config.Stalled = d.Stalled
	}
	if p.Config.Unassigned <= 0 {
		p.Config.Unassigned = d.Unassigned
	}
	w := &Worker{
		Parts: p, writer: p.ID(), ahead: make(chan struct{}, 2*p.Count+1), lines: map[int]*line{}, fences: map[int]*fencing{},
		restMin: 5 * time.Second, restMax: 5 * time.Minute, restHalt: time.Minute,
	}
	w.draining, w.drain = context.WithCancel(context.Background())
	w.cutting, w.cut = context.WithCancel(context.Background())
	return w
}

// Run consumes until stop is closed, then takes nothing new, finishes and commits what
// it has for at most DrainWithin, and leaves the group. When ctx ends it leaves at
// once; what was not committed is taken again by whoever comes next. It returns
// ErrStalled when work hangs: the process must end then, and not wait for it.
func (w *Worker) Run(ctx context.Context, stop <-chan struct{}) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	w.work = work
	m, err := w.Topic.Join(work, queue.Owner{Own: w.own, Assigned: w.assigned, Health: w.health})
	if err != nil {
		return err
	}
	stalled := make(chan error, 1)
	var watch sync.WaitGroup
	watch.Go(func() { w.watch(work, stalled) })
	select {
	case <-stop:
		w.Log.Info("draining: nothing new is taken", "within", DrainWithin)
		w.mu.Lock()
		w.drain()
		w.mu.Unlock()
		cutting := time.AfterFunc(cutAfter, w.cut)
		defer cutting.Stop()
		if !w.wait(ctx, DrainWithin) {
			w.Log.Warn("the drain took too long: what is not committed will be taken again")
		}
	case err = <-stalled:
		w.stuck.Store(true)
	case <-ctx.Done():
	}
	cancel()
	watch.Wait()
	leave, done := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer done()
	if err := m.Close(leave); err != nil { // the group gets over it; the ledger does not care
		w.Log.Warn("leaving the group", "error", err)
	}
	if err == nil && !w.wait(context.WithoutCancel(ctx), leaveWithin) {
		err = fmt.Errorf("work that was given up does not end: %w", ErrStalled)
	}
	return err
}

// leaveWithin bounds how long the end may take once all work is given up.
const leaveWithin = 10 * time.Second

// wait reports whether every line has ended within a time.
func (w *Worker) wait(ctx context.Context, within time.Duration) bool {
	done := make(chan struct{})
	go func() { w.busy.Wait(); close(done) }()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}
