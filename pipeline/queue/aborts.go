package queue

import (
	"slices"

	"github.com/segmentio/kafka-go/protocol/fetch"
)

// aborts tells which batches of one fetch belong to aborted transactions: the
// broker lists each such transaction's producer and first offset, and the
// transaction lasts until that producer's next abort marker (KIP-98).
type aborts struct {
	pending []fetch.ResponseTransaction // by first offset
	open    map[int64]struct{}          // producers within an aborted transaction
}

func newAborts(ts []fetch.ResponseTransaction) aborts {
	slices.SortFunc(ts, func(a, b fetch.ResponseTransaction) int { return int(min(max(a.FirstOffset-b.FirstOffset, -1), 1)) })
	return aborts{pending: ts, open: map[int64]struct{}{}}
}

// step takes note of the next batch, and reports whether its records are aborted.
func (a *aborts) step(b *batch) bool {
	for len(a.pending) > 0 && a.pending[0].FirstOffset <= b.last {
		a.open[a.pending[0].ProducerID] = struct{}{}
		a.pending = a.pending[1:]
	}
	_, in := a.open[b.producer]
	if !in || !b.transactional() {
		return false
	}
	if b.control() {
		if b.abortMarker() {
			delete(a.open, b.producer)
		}
		return false
	}
	return true
}
