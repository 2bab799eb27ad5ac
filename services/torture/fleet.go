package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// fleet are slots whose processes are started again whenever they end, as an
// orchestrator does.
type fleet struct {
	slots  []*slot
	counts *counts
	down   atomic.Bool // nothing is started
	report func(format string, args ...any)
}

// tend keeps what is wanted running, until ctx ends.
func (f *fleet) tend(ctx context.Context, rng *rand.Rand) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range f.slots {
		own := rand.New(rand.NewPCG(rng.Uint64(), 1)) //nolint:gosec // a seeded campaign
		g.Go(func() error { return f.tendOne(ctx, s, own) })
	}
	return g.Wait()
}

func (f *fleet) tendOne(ctx context.Context, s *slot, rng *rand.Rand) error {
	var seen *process // whose end was looked at
	for sleep(ctx, 50*time.Millisecond) {
		p := s.process()
		if p != nil && !p.ended() {
			continue
		}
		if p != nil && p != seen {
			seen = p
			f.look(s, p)
		}
		if !s.isWanted() || f.down.Load() || !sleep(ctx, time.Duration(rng.Int64N(int64(time.Second)))) {
			continue
		}
		if err := s.start(); err != nil {
			return err
		}
	}
	return nil
}

// look counts a process that ended in a way that was not asked for.
func (f *fleet) look(s *slot, p *process) {
	code := p.cmd.ProcessState.ExitCode()
	if p.told.Load() && (code == -1 || code == 0 || code == 130) { // killed, drained, or told twice
		return
	}
	f.counts.add(exits, fmt.Sprintf("code %d", code))
	f.report("%s ended by itself, with code %d; see %s", s.name, code, s.log)
}

// up lists the slots that run.
func (f *fleet) up() (up []*slot) {
	for _, s := range f.slots {
		if s.running() != nil {
			up = append(up, s)
		}
	}
	return up
}

// outage kills every process and starts none while act runs.
func (f *fleet) outage(act func()) {
	f.down.Store(true)
	defer f.down.Store(false)
	time.Sleep(100 * time.Millisecond) // a start may be under way
	for _, s := range f.slots {
		s.kill(s.process(), named("all at once"))
	}
	act()
}

// stop drains all, side by side.
func (f *fleet) stop() {
	f.down.Store(true)
	var all sync.WaitGroup
	for _, s := range f.slots {
		s.want(false)
		if p := s.process(); p != nil && !p.ended() {
			all.Go(func() { s.leave(p, false) })
		}
	}
	all.Wait()
}

// named is a point that has only a name.
type named string

// String is the name.
func (n named) String() string { return string(n) }

// sleep waits; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
