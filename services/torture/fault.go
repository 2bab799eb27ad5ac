package main

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// fault is what a gate does to a single request.
type fault string

const (
	noFault      fault = ""
	slowDown     fault = "503"           // refused unread
	failed       fault = "500"           // not applied
	failedAfter  fault = "500-applied"   // applied all the same
	conflict     fault = "409"           // a create that met another
	reset        fault = "reset"         // cut before it is applied
	resetAfter   fault = "reset-applied" // applied, and cut instead of a reply
	landsLate    fault = "late"          // cut at once, applied seconds later
	truncated    fault = "truncated"     // half of the reply's body
	slowRequest  fault = "slow-request"
	slowResponse fault = "slow-reply"
)

// faults draws a request's fault. Safe for concurrent use.
type faults struct {
	rate atomic.Uint64 // out of a million, for writes
	mu   sync.Mutex
	rng  *rand.Rand
}

func newFaults(rng *rand.Rand) *faults { return &faults{rng: rng} }

func (f *faults) setRate(r float64) { f.rate.Store(uint64(r * 1e6)) }

// draw chooses the fault of a request, mostly none, and how long it takes.
func (f *faults) draw(method string, q request) (fault, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rate := f.rate.Load()
	if strings.HasPrefix(q.name, "log.") || strings.HasPrefix(q.name, "probe.") {
		rate /= 8 // there are many of these, and a start fails with one of the latter
	}
	if f.rng.Uint64N(1e6) >= rate {
		return noFault, 0
	}
	kinds := []fault{slowDown, failed, reset, slowRequest, slowResponse}
	switch method {
	case http.MethodPut:
		kinds = append(kinds, failedAfter, resetAfter, landsLate)
		if q.conditional {
			kinds = append(kinds, conflict, failedAfter, resetAfter, landsLate)
		}
	case http.MethodGet:
		kinds = append(kinds, truncated, truncated)
	}
	return kinds[f.rng.IntN(len(kinds))], 50*time.Millisecond + time.Duration(f.rng.Int64N(int64(1500*time.Millisecond)))
}
