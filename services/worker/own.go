package worker

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
)

// assigned drops at once what was kept for partitions that others have now.
func (w *Worker) assigned(generation int32, has, lost []int) {
	w.Log.Info("partitions assigned", "generation", generation, "has", has, "lost", lost)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.joined = true
	for _, p := range lost {
		if l := w.lines[p]; l != nil {
			l.cancel(errLost)
		}
		delete(w.fences, p)
	}
}

// health hears of the membership.
func (w *Worker) health(err error) {
	w.mu.Lock()
	w.joined = err == nil
	w.mu.Unlock()
	if err != nil {
		w.Log.Warn("group membership", "error", err)
	}
}

// own lets a partition's line fetch for one generation. It never waits for work: what is
// under way goes on without it.
func (w *Worker) own(ctx context.Context, a queue.Assignment) {
	if !w.patience(ctx, a.Partition) {
		return
	}
	for ctx.Err() == nil {
		l := w.line(a.Partition)
		if l == nil { // draining: whoever gets it next begins
			return
		}
		l.beat()
		l.gate.open(ctx, a)
		select {
		case <-ctx.Done():
			w.keep(l)
			return
		case <-l.done: // it was dropped, and this is the next; or it was fenced
		}
		// A fence of this generation has been answered by another: that is an owner with as
		// good a claim, or one that does not know yet that it has none. A line from before
		// was merely out of date.
		if errors.Is(l.err, ledger.ErrFenced) && l.fencedIn.Load() == a.Generation {
			w.contend(ctx, a)
			return
		}
	}
}

// line is the partition's, made where there is none; nil once the drain has begun.
func (w *Worker) line(partition int) *line {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draining.Err() != nil {
		return nil
	}
	if l := w.lines[partition]; l != nil {
		return l
	}
	l := w.newLine(w.work, partition)
	w.lines[partition] = l
	w.busy.Add(1)
	go l.run(func() {
		w.mu.Lock()
		delete(w.lines, partition)
		w.mu.Unlock()
		w.busy.Done()
	})
	return l
}

// keep drops a line whose partition does not come back in time.
func (w *Worker) keep(l *line) {
	shut, _ := l.gate.since()
	time.AfterFunc(w.Config.Unassigned, func() {
		if turns, open := l.gate.since(); turns == shut && !open {
			l.cancel(errIdle)
		}
	})
}

// fencing is how often a partition's fence was answered by another, lately.
type fencing struct {
	times int
	until time.Time // when it may fence again, after the first time
	rests bool      // waiting for a new generation
}

// contend is for a partition that is this member's while another writer has fenced. If it
// was one that had lost it, which is over, nobody would work on it until the group
// changes; so a new generation is asked for, after a pause, in which it may fence once
// more. Two that will not give way (two groups on one ledger) take turns, ever more slowly.
func (w *Worker) contend(ctx context.Context, a queue.Assignment) {
	w.mu.Lock()
	f := w.fences[a.Partition]
	if f == nil || time.Since(f.until) > 2*w.restMax {
		f = &fencing{}
		w.fences[a.Partition] = f
	}
	pause := min(w.restMin<<min(f.times, 20), w.restMax)
	pause = pause/2 + w.Jitter(pause/2)
	f.times, f.until, f.rests = f.times+1, time.Now().Add(pause), true
	times := f.times
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		f.rests = false
		w.mu.Unlock()
	}()
	log := w.Log.With("topic", a.Topic, "partition", a.Partition, "generation", a.Generation)
	log.Warn("the partition is left alone, then asked for in a new generation", "after", pause, "times", times)
	if w.sleep(ctx, pause) {
		log.Info("joining the group again: another writer had fenced")
		a.Rejoin()
		<-ctx.Done()
	}
}

// patience waits until a partition that was fought for may be fenced again. After the
// first time a new generation is reason enough.
func (w *Worker) patience(ctx context.Context, partition int) bool {
	w.mu.Lock()
	var d time.Duration
	if f := w.fences[partition]; f != nil && f.times > 1 {
		d = time.Until(f.until)
	}
	w.mu.Unlock()
	return d <= 0 || w.sleep(ctx, d)
}

// sleep reports whether it was not disturbed.
func (w *Worker) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-w.draining.Done():
	}
	return false
}
