package worker

import (
	"fmt"
	"slices"
)

// State is what a partition of this process is at.
type State string

// The states. They never change their meaning.
const (
	Taking  State = "taking"  // finding the ledger's end, and fencing
	Running State = "running" // fetching and working
	Waiting State = "waiting" // between two generations of the group: working, not fetching
	Resting State = "resting" // after a failure, before another try
	Fenced  State = "fenced"  // another writer came; it is asked for again after a pause
	Halted  State = "halted"  // nothing goes on until somebody acts
)

// States are all of them.
var States = []State{Taking, Running, Waiting, Resting, Fenced, Halted}

// Status is what a worker is at.
type Status struct {
	Joined     bool // it has a place in the group
	Draining   bool
	Partitions []Partition // ascending
	Lost       int64       // offsets that retention removed before they were read
}

// Partition is one of a worker's partitions.
type Partition struct {
	Partition int
	State     State
	Cause     string // of Resting and Halted, for people

	// Generation is the last of the group in which it was this process's, -1 before any.
	Generation int32
	// Epoch is this process's in the stream's ledger; 0 until it has fenced.
	Epoch int64
	// Taken, Packed and Committed are the offsets below which records were read, worked
	// on, and are in the ledger; 0 until the stream is taken.
	Taken, Packed, Committed int64
}

// Ready gives nil, or says why no traffic should count on this worker.
func (s Status) Ready() error {
	switch {
	case s.Draining:
		return fmt.Errorf("draining")
	case !s.Joined:
		return fmt.Errorf("not in the consumer group")
	}
	for _, p := range s.Partitions {
		if p.State == Halted {
			return fmt.Errorf("partition %d is halted: %s", p.Partition, p.Cause)
		}
	}
	return nil
}

// Status is what the worker is at now.
func (w *Worker) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{Joined: w.joined, Draining: w.draining.Err() != nil, Lost: w.gone.Load()}
	for _, l := range w.lines {
		p := l.position()
		l.mu.Lock()
		p.State, p.Cause = l.state, l.cause
		l.mu.Unlock()
		if _, open := l.gate.now(); !open && p.State != Halted {
			p.State = Waiting
		}
		s.Partitions = append(s.Partitions, p)
	}
	for n, f := range w.fences {
		if f.rests && w.lines[n] == nil {
			s.Partitions = append(s.Partitions, Partition{Partition: n, State: Fenced})
		}
	}
	slices.SortFunc(s.Partitions, func(a, b Partition) int { return a.Partition - b.Partition })
	return s
}

// position is where the line stands, without its state.
func (l *line) position() Partition {
	p := Partition{Partition: l.partition, Generation: -1, Epoch: l.epoch.Load(), Taken: l.taken.Load(), Packed: l.packed.Load(), Committed: l.settled.Load()}
	if turns, _ := l.gate.since(); turns > 0 {
		a, _ := l.gate.now()
		p.Generation = a.Generation
	}
	return p
}
