package main

import (
	"sync"
	"time"
)

// when says at which moment of a request a trap springs.
type when string

const (
	before  when = "before"  // the store never sees the request
	landed  when = "landed"  // the store has done it, the worker does not hear of it
	late    when = "late"    // the worker dies; seconds later its request lands
	replied when = "replied" // the worker has heard

	stallLanded when = "asleep-landed" // the worker is stopped, the request lands meanwhile
	stallLate   when = "asleep-late"   // the worker is stopped; the request lands when it is woken
)

// point is a fail-point: a kind of request, and a moment of it.
type point struct {
	request string
	when    when
}

// String is the name that reports count by.
func (p point) String() string { return p.request + " " + string(p.when) }

// killPoints are where workers are killed: each step of the taking of a stream and of a
// commit, before, after and in between.
//
//nolint:gochecknoglobals // a constant
var killPoints = []point{
	{"hint.get", before}, {"log.head", before}, {"log.get", replied}, {"genesis.put", landed}, {"genesis.put", late},
	{"fence.put", before}, {"fence.put", landed}, {"fence.put", late}, {"fence.put", replied},
	{"index.put", before}, {"index.put", landed},
	{"shard.put", before}, {"shard.put", landed}, {"shard.put", late}, {"shard.put", replied}, {"shard.head", before}, {"shard.head", replied},
	{"recipe.get", before},
	{"record.put", before}, {"record.put", landed}, {"record.put", late}, {"record.put", replied}, {"readback.get", before},
	{"hint.put", before}, {"hint.put", landed},
	{"attempt.delete", before},
}

// earlyPoints are armed before the first worker starts: they are passed only once.
//
//nolint:gochecknoglobals // a constant
var earlyPoints = []point{{"genesis.put", landed}, {"recipe.put", landed}, {"genesis.put", late}}

// stallPoints are where workers are stopped while others take over.
//
//nolint:gochecknoglobals // a constant
var stallPoints = []point{
	{"record.put", stallLanded}, {"record.put", stallLate}, {"shard.put", stallLanded}, {"shard.head", stallLate},
	{"fence.put", stallLanded}, {"fence.put", stallLate}, {"hint.put", stallLate},
}

// naivePoints are where the naive sink is killed.
//
//nolint:gochecknoglobals // a constant
var naivePoints = []point{{"tar.put", landed}, {"tar.put", before}, {"tar.put", replied}, {"tar.put", late}}

// trap is an armed point. The first worker that comes there springs it.
type trap struct {
	point
	pause  time.Duration // how long it sleeps, or its request is late
	sprung chan struct{} // closed when it is over
}

// traps are those that are armed. Safe for concurrent use.
type traps struct {
	mu    sync.Mutex
	armed []*trap
}

func (t *traps) arm(p point, pause time.Duration) *trap {
	n := &trap{point: p, pause: pause, sprung: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = append(t.armed, n)
	return n
}

// take gives the first trap for a request, which is then no longer armed; or nil.
func (t *traps) take(name string) *trap {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, n := range t.armed {
		if n.request == name {
			t.armed = append(t.armed[:i:i], t.armed[i+1:]...)
			return n
		}
	}
	return nil
}

// disarm takes a trap away; false: it has been sprung, or is about to.
func (t *traps) disarm(n *trap) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, a := range t.armed {
		if a == n {
			t.armed = append(t.armed[:i:i], t.armed[i+1:]...)
			return true
		}
	}
	return false
}
