package worker

import (
	"context"
	"io"
	"sync"

	"github.com/millrace/millrace/pipeline/queue"
)

// gate says in which generation of the group a partition is this process's, if in any.
// What fetches or fences passes it first.
type gate struct {
	draining context.Context
	mu       sync.Mutex
	changed  chan struct{}   // closed and replaced at each opening
	gen      context.Context // ends with the generation; nil before the first
	a        queue.Assignment
	turns    int // openings so far
}

func newGate(draining context.Context) *gate {
	return &gate{draining: draining, changed: make(chan struct{})}
}

// open lets pass until gen ends, which shuts the gate by itself.
func (g *gate) open(gen context.Context, a queue.Assignment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gen, g.a = gen, a
	g.turns++
	close(g.changed)
	g.changed = make(chan struct{})
}

// now is the assignment that holds, if one does.
func (g *gate) now() (a queue.Assignment, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.a, g.gen != nil && g.gen.Err() == nil
}

// since tells one time of being shut from another.
func (g *gate) since() (turns int, open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.turns, g.gen != nil && g.gen.Err() == nil
}

// pass waits until the gate is open, and returns a context that ends with ctx, with the
// generation, or when the drain begins. It gives io.EOF once that has begun.
func (g *gate) pass(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if g.draining.Err() != nil {
			return nil, nil, io.EOF
		}
		g.mu.Lock()
		gen, changed := g.gen, g.changed
		g.mu.Unlock()
		if gen != nil && gen.Err() == nil {
			in, cancel := context.WithCancel(ctx)
			stop1, stop2 := context.AfterFunc(gen, cancel), context.AfterFunc(g.draining, cancel)
			return in, func() { stop1(); stop2(); cancel() }, nil
		}
		select {
		case <-changed:
		case <-g.draining.Done():
		case <-ctx.Done():
		}
	}
}
