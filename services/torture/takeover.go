package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// takeover is how long a stream was without a worker: from the signal to the first fence
// that another worker put into its log, and to that worker's first data record. One of
// several streams counts when the last of them is there.
type takeover struct {
	Signal string  `json:"signal"`
	Fence  float64 `json:"fence_seconds"`
	Data   float64 `json:"data_seconds"`
}

// spread is the middle and the worst of several times, in seconds.
type spread struct {
	Count  int     `json:"count"`
	Median float64 `json:"median_seconds"`
	Worst  float64 `json:"worst_seconds"`
}

func spreadOf(all []float64) spread {
	if len(all) == 0 {
		return spread{}
	}
	all = slices.Sorted(slices.Values(all))
	return spread{len(all), all[len(all)/2], all[len(all)-1]}
}

// takeoverReport has the times after kill -9 and after SIGTERM.
type takeoverReport struct {
	Settings   string     `json:"settings"`
	KillFence  spread     `json:"kill_to_fence"`
	KillData   spread     `json:"kill_to_data"`
	DrainFence spread     `json:"sigterm_to_fence"`
	DrainData  spread     `json:"sigterm_to_data"`
	Each       []takeover `json:"each"`
}

// takeoverBound is how long a takeover may take before the run is given up.
const takeoverBound = 3 * time.Minute

// takeovers times two workers of default settings that take over from each other, with
// messages on their way all the time; then it checks those too.
func (r *rig) takeovers(ctx context.Context, out *report) error {
	r.say("timing %d takeovers after kill -9 and %d after SIGTERM", r.takeover, r.takeover)
	t, err := newTopic(ctx, r.broker.Addr(), "takeover", 4)
	if err != nil {
		return err
	}
	f, err := r.pair(t.name)
	if err != nil {
		return err
	}
	made, err := newCorpus(ctx, "takeover", r.random("takeover corpus"), r.work)
	if err != nil {
		return err
	}
	s, err := r.open(ctx, prefix)
	if err != nil {
		return err
	}
	defer s.Close()
	p := &producer{topic: t, corpus: made, rng: r.random("takeover producer")}
	out.Takeover = &takeoverReport{Settings: "session 15s, heartbeat 3s (the defaults)"}
	g, ctx := errgroup.WithContext(ctx)
	tending, untend := context.WithCancel(ctx)
	g.Go(func() error { return f.tend(tending, r.random("takeover fleet")) })
	g.Go(func() error {
		defer untend()
		err := r.timed(ctx, p, f, out.Takeover)
		if err == nil {
			err = settled(ctx, s, t, r.settle)
		}
		f.stop()
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	out.Takeover.sum()
	out.Produced += p.done()
	ledger, err := p.ledger(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	return r.check(context.WithoutCancel(ctx), ledger, s, out)
}

// pair is two workers without faults.
func (r *rig) pair(topic string) (*fleet, error) {
	f := &fleet{counts: r.counts, report: r.say}
	for i := range 2 {
		s, err := r.slot(fmt.Sprintf("takeover-%d", i), &traps{}, -1)
		if err != nil {
			return nil, err
		}
		r.worker(s, topic)
		s.want(true)
		f.slots = append(f.slots, s)
	}
	return f, nil
}

// timed has the two workers take over from each other while there is something to do.
func (r *rig) timed(ctx context.Context, p *producer, f *fleet, out *takeoverReport) error {
	const endless, pace = 1 << 30, 50 * time.Millisecond
	producing, enough := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.run(producing, endless, endless*pace) // it ends by being told
	}()
	defer func() { enough(); <-ended }()
	for i := range 2 * r.takeover {
		one, err := r.takeOver(ctx, f.slots[i%2], f.slots[1-i%2], i >= r.takeover)
		if err != nil {
			return err
		}
		r.say("takeover %d after %s: fence %.1f s, data %.1f s", i+1, one.Signal, one.Fence, one.Data)
		out.Each = append(out.Each, *one)
	}
	return nil
}

func (r *takeoverReport) sum() {
	times := map[string][2][]float64{}
	for _, e := range r.Each {
		t := times[e.Signal]
		t[0], t[1] = append(t[0], e.Fence), append(t[1], e.Data)
		times[e.Signal] = t
	}
	k, d := times["kill -9"], times["SIGTERM"]
	r.KillFence, r.KillData, r.DrainFence, r.DrainData = spreadOf(k[0]), spreadOf(k[1]), spreadOf(d[0]), spreadOf(d[1])
}

// takeOver has one worker take over what another is working on.
func (r *rig) takeOver(ctx context.Context, from, to *slot, drain bool) (*takeover, error) {
	until, cancel := context.WithTimeout(ctx, takeoverBound)
	defer cancel()
	// Both have streams, and the one that goes has committed to them.
	for len(r.watch.of(from)) == 0 || len(r.watch.of(to)) == 0 || from.running() == nil || to.running() == nil {
		if !sleep(until, 100*time.Millisecond) {
			return nil, fmt.Errorf("the workers do not share the partitions: %s has %v, %s has %v", from.name, r.watch.of(from), to.name, r.watch.of(to))
		}
	}
	if !sleep(until, 3*time.Second) { // work goes on
		return nil, until.Err()
	}
	owned, began, one := r.watch.of(from), time.Now(), &takeover{Signal: "kill -9"}
	from.want(false)
	if p := from.running(); drain {
		one.Signal = "SIGTERM"
		go from.leave(p, false)
	} else {
		from.kill(p, named("takeover"))
	}
	for {
		next := r.watch.next()
		fence, data, all := time.Time{}, time.Time{}, true
		for _, stream := range owned {
			f, fenced := r.watch.after(stream, from, began, false)
			d, written := r.watch.after(stream, from, began, true)
			all = all && fenced && written
			fence, data = later(fence, f), later(data, d)
		}
		if all {
			one.Fence, one.Data = fence.Sub(began).Seconds(), data.Sub(began).Seconds()
			break
		}
		select {
		case <-next:
		case <-until.Done():
			return nil, fmt.Errorf("nobody took %v over from %s within %s", owned, from.name, takeoverBound)
		}
	}
	<-from.process().done
	from.want(true)
	return one, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
