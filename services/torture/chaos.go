package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// chaos is what attacks. Each of its campaigns is a loop that leaves the fleet whole when
// its context ends.
type chaos struct {
	*rig
	topic *topic
	fleet *fleet
	traps *traps
	sinks *fleet // naive ones; without slots where there are none
	naive *traps
}

// run attacks until ctx ends.
func (c *chaos) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	loop := func(campaign string, attack func(context.Context, *rand.Rand) error) {
		if c.has(campaign) {
			rng := c.random(campaign)
			g.Go(func() error { return attack(ctx, rng) })
		}
	}
	loop("kills", c.killer(c.fleet, c.traps, killPoints, 0.3))
	loop("kills", func(ctx context.Context, rng *rand.Rand) error {
		rng = rand.New(rand.NewPCG(rng.Uint64(), 2)) //nolint:gosec // another killer's draws
		return c.killer(c.fleet, c.traps, killPoints, 0.5)(ctx, rng)
	})
	loop("stalls", c.staller)
	loop("rebalances", c.mover)
	loop("rebalances", c.grower)
	loop("store", c.faulter)
	loop("kafka", c.bouncer)
	loop("credentials", c.rotator)
	loop("disk", c.filler)
	loop("offsets", c.shifter)
	loop("naive", c.killer(c.sinks, c.naive, naivePoints, 0.1))
	if c.wires {
		loop("store", c.wirer(func(s *slot) *wire { return s.store }))
		loop("kafka", c.wirer(func(s *slot) *wire { return s.broker }))
	}
	return g.Wait()
}

// around draws a duration from half of d to one and a half.
func around(rng *rand.Rand, d time.Duration) time.Duration {
	return d/2 + time.Duration(rng.Int64N(int64(d)))
}

// trapWait is how long a killer waits for somebody to come to its point.
const trapWait = 12 * time.Second

// killer kills processes of a fleet: at random with a probability, else at the points, in
// a drawn order.
func (c *chaos) killer(f *fleet, t *traps, points []point, random float64) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		var left []int
		for sleep(ctx, around(rng, c.killGap)) {
			if rng.Float64() < random {
				c.killOne(f, rng)
				continue
			}
			if len(left) == 0 {
				left = rng.Perm(len(points))
			}
			trap := t.arm(points[left[0]], 500*time.Millisecond+time.Duration(rng.Int64N(int64(6*time.Second))))
			left = left[1:]
			wait, cancel := context.WithTimeout(ctx, trapWait)
			select {
			case <-trap.sprung:
			case <-wait.Done():
				if t.disarm(trap) && ctx.Err() == nil {
					c.killOne(f, rng) // nobody came
				}
			}
			cancel()
		}
		return nil
	}
}

// killOne kills one process, wherever it is at.
func (c *chaos) killOne(f *fleet, rng *rand.Rand) {
	if up := f.up(); len(up) > 0 {
		s := up[rng.IntN(len(up))]
		s.kill(s.running(), named("random"))
	}
}

// The shortest and the longest sleep of a stalled process. Most are short: a session is
// over after 1.5 s.
const (
	stallMin = time.Second
	stallMax = 40 * time.Second
)

// staller stops processes and wakes them, at random and at points.
func (c *chaos) staller(ctx context.Context, rng *rand.Rand) error {
	for i := 0; sleep(ctx, around(rng, c.killGap)); i++ {
		u := rng.Float64()
		pause := stallMin + time.Duration(u*u*float64(stallMax-stallMin))
		if c.most < 5*time.Minute { // in tests
			pause = min(pause, 6*time.Second)
		}
		if i%2 == 1 {
			if up := c.fleet.up(); len(up) > 0 {
				s := up[rng.IntN(len(up))]
				s.stall(s.running(), "random", pause, func(bool) {})
			}
			continue
		}
		trap := c.traps.arm(stallPoints[i/2%len(stallPoints)], pause)
		wait, cancel := context.WithTimeout(ctx, trapWait)
		select {
		case <-trap.sprung:
		case <-wait.Done():
			if !c.traps.disarm(trap) {
				<-trap.sprung // it has just begun
			}
		}
		cancel()
	}
	return nil
}

// moveGap is the mean time between joins and leaves.
const moveGap = 9 * time.Second

// mover has workers join and leave in order. Two at least stay wanted.
func (c *chaos) mover(ctx context.Context, rng *rand.Rand) error {
	defer func() {
		for _, s := range c.fleet.slots[:c.workers] {
			s.want(true)
		}
	}()
	for sleep(ctx, around(rng, min(moveGap, c.killGap+2*time.Second))) {
		s := c.fleet.slots[rng.IntN(len(c.fleet.slots))]
		wanted := 0
		for _, o := range c.fleet.slots {
			if o.isWanted() {
				wanted++
			}
		}
		p := s.running()
		switch {
		case !s.isWanted():
			s.want(true)
			c.counts.add(rebalances, "join")
		case p != nil && wanted > min(2, c.workers):
			s.want(false)
			c.counts.add(rebalances, "leave")
			s.leave(p, rng.IntN(5) == 0)
		}
	}
	return nil
}

// grower adds partitions, spread over the time.
func (c *chaos) grower(ctx context.Context, rng *rand.Rand) error {
	for range c.grown {
		for {
			if !sleep(ctx, around(rng, c.faults/time.Duration(c.grown+2))) {
				return nil
			}
			if err := c.topic.grow(ctx); err == nil {
				break // else the broker may be away
			}
		}
		c.counts.add(rebalances, "partitions")
	}
	return nil
}

// faulter has the gates' faults on.
func (c *chaos) faulter(ctx context.Context, _ *rand.Rand) error {
	set := func(rate float64) {
		for _, g := range c.gates {
			g.faults.setRate(rate)
		}
	}
	set(c.rate)
	<-ctx.Done()
	set(0)
	return nil
}

// wirer has one wire after the other suffer.
func (c *chaos) wirer(side func(*slot) *wire) func(context.Context, *rand.Rand) error {
	return func(ctx context.Context, rng *rand.Rand) error {
		slots := append(append([]*slot{}, c.fleet.slots...), c.sinks.slots...)
		for sleep(ctx, around(rng, 2*time.Second)) {
			if err := side(slots[rng.IntN(len(slots))]).suffer(ctx, rng, c.counts); err != nil {
				return err
			}
		}
		return nil
	}
}

// bouncer restarts the broker, in order and as after a crash.
func (c *chaos) bouncer(ctx context.Context, rng *rand.Rand) error {
	for i := 0; sleep(ctx, around(rng, min(100*time.Second, c.faults/4))); i++ {
		crash := i%2 == 1
		c.counts.add(brokers, map[bool]string{true: "kill -9", false: "restart"}[crash])
		if err := c.broker.Bounce(crash, time.Duration(rng.Int64N(int64(4*time.Second)))); err != nil {
			return fmt.Errorf("restarting Kafka: %w", err)
		}
	}
	return nil
}

// rotator changes the credentials, so that the old ones are refused at once.
func (c *chaos) rotator(ctx context.Context, rng *rand.Rand) error {
	for sleep(ctx, around(rng, min(45*time.Second, c.faults/6))) {
		if err := c.keys.rotate(); err != nil {
			return err
		}
		c.counts.add(logins, "rotated")
	}
	return nil
}

// filler leaves scratch disks without a free byte for some seconds.
func (c *chaos) filler(ctx context.Context, rng *rand.Rand) error {
	for sleep(ctx, around(rng, 12*time.Second)) {
		s := c.fleet.slots[rng.IntN(len(c.fleet.slots))]
		if !s.disk.mounted {
			return fmt.Errorf("the disk campaign needs to mount a small tmpfs as a scratch disk, which only root may: run as root, or name the other campaigns")
		}
		free, err := s.disk.fill(rng)
		if err != nil {
			continue // full already, of its own accord
		}
		c.counts.add(disks, "filled")
		sleep(ctx, time.Second+time.Duration(rng.Int64N(int64(8*time.Second))))
		free()
	}
	return nil
}
