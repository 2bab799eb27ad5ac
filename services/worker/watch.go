package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"time"
)

// ErrStalled says that work hangs. Heartbeats go on whatever the work does, so the process
// must end for the partition to get to another.
var ErrStalled = errors.New("work hangs")

// maxStacks bounds what is logged of the goroutines.
const maxStacks = 64 << 10

// watch looks at the lines now and then, until ctx ends or one hangs.
func (w *Worker) watch(ctx context.Context, stalled chan<- error) {
	t := time.NewTicker(max(w.Config.Stalled/10, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			var stacks bytes.Buffer
			_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1) // equal stacks once, with their count
			w.Log.Error("work hangs: the process ends, so that others get its partitions", "error", err,
				"goroutines", string(stacks.Bytes()[:min(stacks.Len(), maxStacks)]))
			stalled <- err
			return
		}
	}
}

// look returns ErrStalled if a line hangs.
func (w *Worker) look(ctx context.Context) error {
	w.mu.Lock()
	lines := maps.Clone(w.lines)
	w.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(lines)) {
		l := lines[n]
		quiet := time.Since(time.Unix(0, l.pulse.Load()))
		switch {
		case quiet < w.Config.Stalled/2:
		case !l.owes(ctx):
			l.beat() // rest is no silence
		case quiet >= w.Config.Stalled:
			return fmt.Errorf("partition %d of topic %s: no progress in %s although there is work: %w", n, w.Topic.Name(), quiet.Round(time.Second), ErrStalled)
		}
	}
	return nil
}

// owes reports whether there is work that a line, silent for a while, should be at.
func (l *line) owes(ctx context.Context) bool {
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	_, open := l.gate.now()
	switch {
	case l.ctx.Err() != nil: // dropped, and does not end
		return true
	case state == Resting, state == Halted: // that is known, and said
		return false
	case !open: // if it does not come back, it is dropped
		return false
	case state == Taking, l.packed.Load() < l.taken.Load():
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o, err := l.w.Topic.Offsets(ctx, l.partition)
	return err == nil && o.Stable > l.packed.Load() // who can not be asked proves nothing
}
