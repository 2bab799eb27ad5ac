package worker

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/queue"
)

// A partition that is given to a worker while it drains is not begun, and does not race
// with the wait for those that were.
func TestGivenWhileDraining(t *testing.T) {
	for range 100 {
		w := &Worker{Parts: Parts{Log: slog.New(slog.DiscardHandler)}, drain: make(chan struct{})}
		var all sync.WaitGroup
		all.Go(func() {
			if w.begin() {
				w.busy.Done()
			}
		})
		w.mu.Lock()
		close(w.drain)
		w.mu.Unlock()
		w.wait(context.Background())
		all.Wait()
		w.own(context.Background(), queue.Assignment{}) // would need a client if it were begun
	}
}
