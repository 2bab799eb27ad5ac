package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// run attacks, lets the fleet finish, and checks. The report holds what was done so far
// also if it fails; the error says why the run could not be done.
func run(ctx context.Context, o options, say func(string, ...any)) (out *report, err error) {
	out = &report{Seed: o.seed, Campaigns: o.campaigns, Began: time.Now()}
	r, err := newRig(ctx, o, say)
	defer func() {
		out.sum(r.counts, &o)
		out.Records = r.watch.records()
		out.Took = time.Since(out.Began).Seconds()
		if err != nil {
			out.Failure = err.Error()
		}
		keep := out.verdict() != nil
		r.close(keep)
		if keep {
			say("logs and data are in %s", r.work)
		}
	}()
	if err != nil {
		return out, err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	go func() { _ = r.keys.keep(ctx) }() // if it fails, workers can not reach the store, which is seen
	if o.attacks() {
		if err := r.attack(ctx, out); err != nil {
			return out, err
		}
	}
	out.sum(r.counts, &o)
	if o.has("takeover") && out.verdict() == nil {
		err = r.takeovers(ctx, out)
	}
	return out, err
}

// attack is everything but the timing of takeovers.
func (r *rig) attack(ctx context.Context, out *report) (err error) {
	c, p, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	s, err := r.open(ctx, prefix)
	if err != nil {
		return err
	}
	defer s.Close()
	tending, untend := context.WithCancel(ctx)
	defer untend()
	g, tending := errgroup.WithContext(tending)
	g.Go(func() error { return c.fleet.tend(tending, r.random("fleet")) })
	g.Go(func() error { return c.sinks.tend(tending, r.random("sinks")) })
	defer func() {
		untend()
		err = errors.Join(err, g.Wait())
	}()
	began := time.Now()
	if err := r.storm(tending, c, p); err != nil {
		return err
	}
	calm := time.Now()
	out.Attacked, out.Produced = calm.Sub(began).Seconds(), p.done()
	r.say("the last fault; waiting until everything is committed")
	if err := settled(tending, s, c.topic, r.settle); err != nil {
		return err
	}
	out.Settled = time.Since(calm).Seconds()
	if len(c.sinks.slots) > 0 {
		sleep(ctx, 10*time.Second) // the naive sink does not say how far it is
	}
	c.fleet.stop()
	c.sinks.stop()
	r.rest()
	ledger, err := p.ledger(ctx)
	if err != nil {
		return err
	}
	if err := r.check(ctx, ledger, s, out); err != nil {
		return err
	}
	if len(c.sinks.slots) > 0 {
		if out.Naive, err = checkNaive(ctx, read{s}, ledger); err != nil {
			return err
		}
		out.Naive.Kills = r.counts.total(naiveKills)
	}
	return nil
}

// prepare makes the topic, the fleets and the producer.
func (r *rig) prepare(ctx context.Context) (*chaos, *producer, error) {
	t, err := newTopic(ctx, r.broker.Addr(), "torture", r.parts)
	if err != nil {
		return nil, nil, err
	}
	early := &traps{}
	if r.has("kills") {
		for _, p := range earlyPoints {
			early.arm(p, 2*time.Second)
		}
	}
	c := &chaos{rig: r, topic: t, traps: early, naive: &traps{}, fleet: &fleet{counts: r.counts, report: r.say}, sinks: &fleet{counts: r.counts, report: r.say}}
	for i := range r.workers + r.extra {
		s, err := r.slot(fmt.Sprintf("worker-%d", i), c.traps, i)
		if err != nil {
			return nil, nil, err
		}
		r.worker(s, t.name, quick()...)
		s.want(i < r.workers)
		c.fleet.slots = append(c.fleet.slots, s)
	}
	if r.has("naive") {
		for i := range naiveSinks {
			s, err := r.slot(fmt.Sprintf("sink-%d", i), c.naive, r.workers+r.extra+i)
			if err != nil {
				return nil, nil, err
			}
			r.sink(s, t.name)
			s.want(true)
			c.sinks.slots = append(c.sinks.slots, s)
		}
	}
	made, err := newCorpus(ctx, "m", r.random("corpus"), r.work)
	return c, &producer{topic: t, corpus: made, rng: r.random("producer")}, err
}

// storm produces and attacks until everything is produced and every goal is reached, or
// the time is over.
func (r *rig) storm(ctx context.Context, c *chaos, p *producer) error {
	g, ctx := errgroup.WithContext(ctx)
	attack, calm := context.WithTimeout(ctx, r.most)
	produced := make(chan struct{})
	g.Go(func() error {
		defer close(produced)
		return p.run(ctx, r.messages, r.faults)
	})
	g.Go(func() error { return c.run(attack) })
	g.Go(func() error {
		defer calm()
		for sleep(attack, 5*time.Second) {
			r.progress(p)
			select {
			case <-produced:
				if r.reached() {
					return nil
				}
			default:
			}
		}
		<-produced
		return nil
	})
	return g.Wait()
}

// reached reports whether every goal is.
func (r *rig) reached() bool {
	for g := range r.goals {
		if r.counts.total(g) < r.goal(g) {
			return false
		}
	}
	return true
}

func (r *rig) progress(p *producer) {
	n := r.counts
	r.say("produced %d, records %d; kills %d, stalls %d, rebalances %d, store faults %d, network %d, Kafka %d, credentials %d, disks %d, offsets %d, exits %d",
		p.done(), r.watch.records(), n.total(kills), n.total(stalls), n.total(rebalances), n.total(storeFaults), n.total(network), n.total(brokers),
		n.of(logins, "rotated"), n.total(disks), n.total(offsets), n.total(exits))
}
