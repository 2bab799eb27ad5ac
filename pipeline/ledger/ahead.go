package ledger

import (
	"context"
	"sync"
)

// ahead calls a function for n, n+step, n+2*step... in parallel and gives its results
// in order. stop ends it and waits; without it goroutines are left behind.
type ahead[T any] struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	get    func(context.Context, int64) (T, error)
	queue  []chan result[T]
	seq    int64 // the next to start
	step   int64
}

type result[T any] struct {
	v   T
	err error
}

func newAhead[T any](ctx context.Context, width int, first int64, get func(context.Context, int64) (T, error)) *ahead[T] {
	a := &ahead[T]{get: get, seq: first, step: 1}
	a.ctx, a.cancel = context.WithCancel(ctx)
	a.queue = make([]chan result[T], 0, width)
	return a
}

// next gives the next result. Reading starts slowly, with two at a time, and widens
// as results are asked for, since many readers want only the first few.
func (a *ahead[T]) next() (T, error) {
	for started := 0; len(a.queue) < cap(a.queue) && started < 2; started++ {
		a.start()
	}
	head := a.queue[0]
	a.queue = append(a.queue[:0], a.queue[1:]...)
	r := <-head
	return r.v, r.err
}

func (a *ahead[T]) start() {
	out := make(chan result[T], 1)
	a.queue = append(a.queue, out)
	seq := a.seq
	a.seq += a.step
	a.wg.Go(func() {
		v, err := a.get(a.ctx, seq)
		out <- result[T]{v, err}
	})
}

func (a *ahead[T]) stop() {
	a.cancel()
	a.wg.Wait()
}
