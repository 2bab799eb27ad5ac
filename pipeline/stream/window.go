package stream

import (
	"context"
	"sync"
)

// window bounds what is taken but not yet packed: by deliveries and by bytes of
// results. A full window stops the taking, and that is the backpressure, all the way
// to Kafka. A job never waits for the window while it holds a mill: only new ones do.
type window struct {
	mu       sync.Mutex
	free     chan struct{} // closed and replaced when something is given back
	items    int
	bytes    int64
	maxItems int
	maxBytes int64
}

func newWindow(items int, bytes int64) *window {
	return &window{maxItems: items, maxBytes: bytes, free: make(chan struct{})}
}

// enter waits for room for one more delivery.
func (w *window) enter(ctx context.Context) error {
	for {
		w.mu.Lock()
		if w.items < w.maxItems && (w.bytes < w.maxBytes || w.items == 0) {
			w.items++
			w.mu.Unlock()
			return nil
		}
		free := w.free
		w.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hold counts bytes of a finished result.
func (w *window) hold(n int64) {
	w.mu.Lock()
	w.bytes += n
	w.mu.Unlock()
}

// leave gives a delivery's place and bytes back.
func (w *window) leave(n int64) {
	w.mu.Lock()
	w.items--
	w.bytes -= n
	close(w.free)
	w.free = make(chan struct{})
	w.mu.Unlock()
}
