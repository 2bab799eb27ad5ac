package source

import (
	"context"
	"net/url"
	"sync"
	"time"
)

// watch is one attempt's clock, which stands still while the attempt waits for its turn,
// and what the attempt has come to: whom it asked last, and whether there was an answer.
// All methods may be called on nil, which does nothing.
type watch struct {
	timer *time.Timer

	mu      sync.Mutex
	left    time.Duration
	running time.Time // since when the clock runs
	asked   *url.URL
	status  int // of the last answer; 0 without one
}

type watchKey struct{}

func newWatch(total time.Duration, end func()) *watch {
	return &watch{timer: time.AfterFunc(total, end), left: total, running: time.Now()}
}

func (w *watch) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, watchKey{}, w)
}

func watchOf(ctx context.Context) *watch {
	w, _ := ctx.Value(watchKey{}).(*watch)
	return w
}

func (w *watch) hold() {
	if w != nil && w.timer.Stop() {
		w.mu.Lock()
		w.left -= time.Since(w.running)
		w.mu.Unlock()
	}
}

func (w *watch) resume() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = time.Now()
	w.timer.Reset(max(w.left, 0))
}

func (w *watch) asks(u *url.URL) {
	if w != nil {
		w.mu.Lock()
		w.asked, w.status = u, 0
		w.mu.Unlock()
	}
}

func (w *watch) answered(status int) {
	if w != nil {
		w.mu.Lock()
		w.status = status
		w.mu.Unlock()
	}
}

// last says whom the attempt asked last, nil for nobody, and what came.
func (w *watch) last() (u *url.URL, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked, w.status
}
