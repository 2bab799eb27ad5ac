// Package worker is the fleet process: it takes part in the consumer group, runs one
// stream for each partition that it is given, and drains when it is told to stop.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
)

// Parts is what a worker works with. The worker owns none of them.
type Parts struct {
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
	// ID makes up what must never have been given before: this process's incarnation,
	// tokens, names of shards. nil makes ULIDs. It may be called from several goroutines.
	ID func() string
	// Jitter gives some duration from 0 to most, for pauses; nil takes it by chance.
	Jitter func(most time.Duration) time.Duration
}

// Worker consumes a topic.
type Worker struct {
	Parts
	writer string
	ahead  chan struct{}
	drain  chan struct{}

	mu   sync.Mutex // between the drain's beginning and a partition's
	busy sync.WaitGroup
}

// DrainWithin is how long a worker that was told to stop may finish what it has taken.
const DrainWithin = 20 * time.Second

// A partition rests after its stream failed, longer each time: every attempt adds a
// fence to the ledger. One that worked for restMax begins anew.
const (
	restMin = 5 * time.Second
	restMax = 5 * time.Minute
)

// New makes a worker. Run runs it once.
func New(p Parts) *Worker {
	if p.ID == nil {
		p.ID = func() string { return ulid.Make().String() }
	}
	if p.Jitter == nil {
		p.Jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	return &Worker{Parts: p, writer: p.ID(), ahead: make(chan struct{}, 2*p.Count+1), drain: make(chan struct{})}
}

// Run consumes until stop is closed, then takes nothing new, finishes and commits what
// it has for at most DrainWithin, and leaves the group. When ctx ends it leaves at
// once; what was not committed is taken again by whoever comes next.
func (w *Worker) Run(ctx context.Context, stop <-chan struct{}) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := w.Topic.Join(work, queue.Owner{
		Own: w.own,
		Assigned: func(generation int32, has, lost []int) {
			w.Log.Info("partitions assigned", "generation", generation, "has", has, "lost", lost)
		},
		Health: func(err error) {
			if err != nil {
				w.Log.Warn("group membership", "error", err)
			}
		},
	})
	if err != nil {
		return err
	}
	select {
	case <-stop:
		w.Log.Info("draining: nothing new is taken", "within", DrainWithin)
		w.mu.Lock()
		close(w.drain)
		w.mu.Unlock()
		w.wait(ctx)
	case <-ctx.Done():
	}
	cancel()
	leave, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	if err := m.Close(leave); err != nil { // the group gets over it; the ledger does not care
		w.Log.Warn("leaving the group", "error", err)
	}
	return nil
}

// wait returns when every stream has committed what it had, or the time is over.
func (w *Worker) wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { w.busy.Wait(); close(done) }()
	t := time.NewTimer(DrainWithin)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		w.Log.Warn("the drain took too long: what is not committed will be taken again")
	case <-ctx.Done():
	}
}

// begin counts a partition as worked on, unless the drain has begun: then it is left to
// whoever gets it next.
func (w *Worker) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.drain:
		return false
	default:
		w.busy.Add(1)
		return true
	}
}

// own works on one partition for one generation.
func (w *Worker) own(ctx context.Context, a queue.Assignment) {
	if !w.begin() {
		return
	}
	defer w.busy.Done()
	log := w.Log.With("topic", a.Topic, "partition", a.Partition, "generation", a.Generation)
	for rest := restMin; ; rest = min(2*rest, restMax) {
		start := time.Now()
		err := w.stream(ctx, a, log)
		if time.Since(start) > restMax {
			rest = restMin
		}
		var below *queue.BelowStartError
		var above *queue.AboveEndError
		var other *queue.RecreatedError
		switch {
		case err == nil: // drained
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, ledger.ErrFenced):
			log.Warn("another writer has this stream; it is left alone for this generation", "error", err)
			return
		case errors.As(err, &below), errors.As(err, &above), errors.As(err, &other):
			log.Error("the stream is halted", "error", err)
			return
		}
		log.Error("the stream failed and goes on from its ledger", "error", err, "after", rest)
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return
		case <-w.drain:
			return
		}
	}
}

// stream goes on where the partition's ledger ends.
func (w *Worker) stream(ctx context.Context, a queue.Assignment, log *slog.Logger) error {
	cluster, err := w.Topic.ClusterID(ctx)
	if err != nil {
		return err
	}
	id := ledger.KafkaStream(cluster, a.Topic, int32(a.Partition))
	chain, known, err := stream.Take(ctx, w.Store, id, stream.Options{
		Start:  func(ctx context.Context) (int64, error) { return w.Topic.StartOffset(ctx, a.Partition) },
		Ledger: ledger.Options{Writer: w.writer, ID: w.ID, Jitter: w.Jitter, Report: func(what string, err error) { log.Warn(what, "error", err) }},
	})
	if err != nil {
		return fmt.Errorf("taking the stream %s: %w", id, err)
	}
	log.Info("stream taken", "from", chain.Next())
	p := w.Topic.Read(a.Partition, chain.Next(), "", func(err error) {
		if err != nil {
			log.Warn("fetching", "error", err)
		}
	})
	defer p.Close()
	s := stream.New(w.Window, stream.Parts{
		Recipes: w.Recipes, Fetch: w.Fetch, Mills: w.Mills, Chain: chain, Store: w.Store, Known: known, Tools: w.Tools,
		Ahead: w.ahead, Observe: w.Observe, Keep: w.Keep, Name: w.ID,
		Advise: func(offset int64) {
			if err := a.CommitAdvisory(offset); err != nil {
				log.Debug("advisory offset", "error", err)
			}
		},
	})
	return s.Run(ctx, &feed{partition: p, options: w.Message, drain: w.drain})
}
