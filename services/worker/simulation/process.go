package simulation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errDead is what calls of a process return that has crashed. Nobody hears it: whatever
// still unwinds in the process can not reach the world any more.
var errDead = errors.New("the process is dead")

// process is one life of a writer: everything through which it reaches the world goes
// through wait and enter.
type process struct {
	world *world
	name  string
	dead  chan struct{} // closed by a crash

	mu      sync.Mutex
	resumed chan struct{} // while it is stopped: closed when it goes on
	ids     int
}

func newProcess(w *world, name string) *process {
	return &process{world: w, name: name, dead: make(chan struct{})}
}

// stop makes the process hang, as SIGSTOP does; what is on its way arrives all the same.
func (p *process) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed == nil {
		p.resumed = make(chan struct{})
	}
}

// resume lets it go on.
func (p *process) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		close(p.resumed)
		p.resumed = nil
	}
}

// kill is kill -9. It may be called twice.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dead:
	default:
		close(p.dead)
	}
}

// wait lets a time pass for the process, and then as long as it is stopped. d must be
// drawn to the nanosecond, so that nothing else wakes with it.
func (p *process) wait(ctx context.Context, d time.Duration, wake *dice) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.dead:
		return errDead
	}
	return p.enter(ctx, wake)
}

// enter hangs while the process is stopped. All that hung goes on within 50 ms after it is
// resumed, in an order that the dice give.
func (p *process) enter(ctx context.Context, wake *dice) error {
	for {
		p.mu.Lock()
		resumed := p.resumed
		p.mu.Unlock()
		if resumed == nil {
			break
		}
		select {
		case <-resumed:
			time.Sleep(wake.lasting(1, 50*time.Millisecond))
		case <-p.dead:
			return errDead
		}
	}
	select {
	case <-p.dead:
		return errDead
	default:
		return ctx.Err()
	}
}

// jitter is what pauses between attempts are drawn from.
func (p *process) jitter(most time.Duration) time.Duration {
	return p.world.dice(p.name, "jitter", "").lasting(0, most)
}

// id makes up what was never given before.
func (p *process) id() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids++
	return fmt.Sprintf("%s-%06d", p.name, p.ids)
}
