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
	for n, l := range w.lines {
		p := Partition{Partition: n}
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
