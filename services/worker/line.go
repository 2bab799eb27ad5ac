package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/stream"
)

// Why a line is dropped.
var (
	errLost = errors.New("the partition was given to another member")
	errIdle = errors.New("the partition has not come back in time")
)

// line is one partition's work: its chain, and the stream that runs on it. It outlives
// generations of the group: between two it takes nothing, but what it has goes on, to its
// commit; whether that is still wanted is for the ledger to say.
type line struct {
	w         *Worker
	partition int
	log       *slog.Logger
	gate      *gate
	cancel    context.CancelCauseFunc
	ctx       context.Context
	done      chan struct{} // closed when it has ended
	err       error         // why, once done is closed; nil after a drain

	// Of the line's own goroutine.
	chain   *ledger.Chain // open, or nil
	careful *attempts

	fencedIn      atomic.Int32  // the last generation in which it fenced, or tried to
	taken, packed atomic.Int64  // offsets up to which records were read, and worked on
	settled       atomic.Int64  // and are in the ledger
	epoch         atomic.Int64  // of the chain, for people
	moved         chan struct{} // has a value after packed has changed
	pulse         atomic.Int64  // Unix nanoseconds of the last sign of life

	mu    sync.Mutex
	state State
	cause string
}

func (w *Worker) newLine(ctx context.Context, partition int) *line {
	l := &line{
		w: w, partition: partition, log: w.Log.With("topic", w.Topic.Name(), "partition", partition),
		gate: newGate(w.draining), done: make(chan struct{}), moved: make(chan struct{}, 1),
	}
	l.fencedIn.Store(-1)
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.turn(Taking, nil)
	return l
}

// run works until the drain is over, the line is dropped, or another writer has the stream.
func (l *line) run(ended func()) {
	defer close(l.done)
	defer ended()
	for rest := l.w.restMin; ; rest = min(2*rest, l.w.restMax) {
		start := time.Now()
		err := l.once(l.ctx)
		if time.Since(start) > l.w.restMax {
			rest = l.w.restMin
		}
		if l.ctx.Err() != nil {
			l.err = context.Cause(l.ctx)
			l.log.Info("what is not committed is given up", "reason", l.err)
			return
		}
		pause := rest
		switch judge(err) {
		case done:
			return
		case again: // the generation ended while the stream was being taken
			rest = l.w.restMin / 2
			continue
		case fenced:
			l.err = err
			l.log.Warn("another writer has the stream", "error", err)
			return
		case halt:
			pause = l.w.restHalt
			l.turn(Halted, err)
			l.log.Error("the stream is halted", "error", err, "looked at again after", pause)
		case failed:
			l.turn(Resting, err)
			l.log.Error("the stream failed and goes on from its ledger", "error", err, "after", pause)
		}
		if !l.rest(pause) {
			l.err = context.Cause(l.ctx)
			return
		}
		l.turn(Taking, nil)
	}
}

// rest reports whether the line is to go on after it.
func (l *line) rest(d time.Duration) bool {
	t := time.NewTimer(d/2 + l.w.Jitter(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ctx.Done():
	case <-l.w.draining.Done():
	}
	return false
}

// once takes the stream, or goes on with the chain that is open, and works on it.
func (l *line) once(ctx context.Context) error {
	known, id, err := l.take(ctx)
	if err != nil {
		return err
	}
	l.turn(Running, nil)
	l.log.Info("stream taken", "from", l.chain.Next(), "epoch", l.chain.Epoch())
	f := &feed{l: l, topic: id, next: l.chain.Next()}
	l.taken.Store(f.next)
	l.packed.Store(f.next)
	l.settled.Store(f.next)
	l.epoch.Store(l.chain.Epoch())
	defer f.close()
	defer func() {
		if !l.w.stuck.Load() { // a process that ends over hung work leaves its marks
			l.careful.end(ctx)
		}
	}()
	committed, unfollow := l.w.follow(ctx, l.chain.Stream())
	defer unfollow()
	s := stream.New(l.w.Window, stream.Parts{
		Recipes: l.w.Recipes, Fetch: l.w.Fetch, Mills: l.w.Mills, Chain: l.chain, Store: l.w.Store, Known: known, Tools: l.w.Tools,
		Ahead: l.w.ahead, Observe: alive{l.w.Observe, l}, Keep: l.w.Keep, Name: l.w.ID,
		Advise: func(offset int64) { committed(); l.advise(offset) }, Advance: l.advance,
		Cut: l.w.cutting.Done(),
	})
	if err := s.Run(ctx, f); err != nil || l.w.draining.Err() != nil {
		return err
	}
	return errors.New("the feed ended")
}

// advise tells the group, if the partition is ours at the moment, what is committed.
func (l *line) advise(offset int64) {
	l.settled.Store(offset)
	l.careful.committed(l.ctx, offset)
	if a, open := l.gate.now(); open {
		if err := a.CommitAdvisory(offset); err != nil {
			l.log.Debug("advisory offset", "error", err)
		}
	}
}

// advance notes that everything below an offset was worked on.
func (l *line) advance(offset int64) {
	l.packed.Store(offset)
	l.beat()
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// took notes that records up to an offset were read.
func (l *line) took(to int64) {
	l.taken.Store(to)
	l.beat()
}

// health hears of troubles that are retried: they are known, so nothing hangs.
func (l *line) health(err error) {
	l.beat()
	if err != nil {
		l.log.Warn("fetching", "error", err)
	}
}

func (l *line) report(what string, err error) {
	l.beat()
	l.log.Warn(what, "error", err)
}

// beat is a sign of life.
func (l *line) beat() { l.pulse.Store(time.Now().UnixNano()) }

// turn changes the state that people see.
func (l *line) turn(s State, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.cause = s, ""
	if cause != nil {
		l.cause = cause.Error()
	}
	l.beat()
}

// alive takes what mills give as signs of life.
type alive struct {
	stream.Observer
	l *line
}

// Sampled implements stream.Observer.
func (a alive) Sampled() {
	a.l.beat()
	a.Observer.Sampled()
}

// verdict is what an error means for a line.
type verdict int

const (
	done   verdict = iota // all is committed, and there is nothing more
	again                 // nothing is wrong
	fenced                // the stream is another writer's
	halt                  // only people can help
	failed                // it may work later
)

// judge is the one place that decides. Cancellation is never a failure.
func judge(err error) verdict {
	var below *queue.BelowStartError
	var above *queue.AboveEndError
	var anew *queue.RecreatedError
	switch {
	case err == nil, errors.Is(err, errDrained):
		return done
	case errors.Is(err, errShut):
		return again
	case errors.Is(err, ledger.ErrFenced):
		return fenced
	case errors.As(err, &below), errors.As(err, &above), errors.As(err, &anew), errors.Is(err, ledger.ErrBroken):
		return halt
	}
	return failed
}
