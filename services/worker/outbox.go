package worker

import (
	"context"
	"sync"

	"github.com/millrace/millrace/pipeline/ledger"
)

// Outbox is told of a stream's refused jobs by the stream's ledger.
type Outbox interface {
	// Run follows a stream until ctx ends. wake says that there is a new record.
	Run(ctx context.Context, stream ledger.Stream, wake <-chan struct{})
}

// follow runs the outbox beside a stream that this worker has: committed wakes it, stop
// ends it. It holds up neither.
func (w *Worker) follow(ctx context.Context, stream ledger.Stream) (committed, stop func()) {
	if w.Outbox == nil {
		return func() {}, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	wake := make(chan struct{}, 1)
	var done sync.WaitGroup
	done.Go(func() { w.Outbox.Run(ctx, stream, wake) })
	return func() {
			select {
			case wake <- struct{}{}:
			default: // it is awake, and will read this record too
			}
		}, func() {
			cancel()
			done.Wait()
		}
}
