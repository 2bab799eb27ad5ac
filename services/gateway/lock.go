package gateway

import (
	"context"
	"sync"

	"github.com/tus/tusd/v2/pkg/handler"
)

// locker asks whoever holds an upload to let go of it only once that has begun to read, or
// has ended. Asked earlier, tusd 2.9.1 looks for the request's body while it is still
// putting it in place: a data race, after which the body may stay open.
type locker struct{ handler.Locker }

// NewLock implements handler.Locker.
func (l locker) NewLock(id string) (handler.Lock, error) {
	k, err := l.Locker.NewLock(id)
	return lock{k}, err
}

type lock struct{ inner handler.Lock }

// Unlock implements handler.Lock.
func (l lock) Unlock() error { return l.inner.Unlock() }

// Lock implements handler.Lock.
func (l lock) Lock(ctx context.Context, letGo func()) error {
	b, ok := ctx.Value(bodyKey{}).(*begun)
	if !ok {
		return l.inner.Lock(ctx, letGo)
	}
	return l.inner.Lock(ctx, func() {
		go func() { // whoever asks waits for the lock, not for this
			<-b.done
			letGo()
		}()
	})
}

// bodyKey is where a request's context has its begun.
type bodyKey struct{}

// begun is done once a request's body was read from, or the request has ended.
type begun struct {
	once sync.Once
	done chan struct{}
}

func newBegun() *begun { return &begun{done: make(chan struct{})} }

func (b *begun) now() { b.once.Do(func() { close(b.done) }) }
