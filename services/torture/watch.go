package main

import (
	"sync"
	"time"
)

// landing is a fence or a data record that the store has taken.
type landing struct {
	slot   *slot
	stream string
	data   bool // else a fence
	at     time.Time
}

// watch knows whose every stream is, by what the gates have seen. Safe for concurrent
// use.
type watch struct {
	mu       sync.Mutex
	landings []landing
	last     map[string]landing
	moved    chan struct{} // closed and made anew at each landing
}

func newWatch() *watch { return &watch{last: map[string]landing{}, moved: make(chan struct{})} }

func (w *watch) note(s *slot, q request) {
	data := q.name == "record.put"
	if !data && q.name != "fence.put" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := landing{s, q.stream, data, time.Now()}
	w.landings = append(w.landings, l)
	w.last[q.stream] = l
	close(w.moved)
	w.moved = make(chan struct{})
}

// next is closed at the next landing.
func (w *watch) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.moved
}

// of lists the streams that a slot wrote to last.
func (w *watch) of(s *slot) (streams []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for stream, l := range w.last {
		if l.slot == s {
			streams = append(streams, stream)
		}
	}
	return streams
}

// after finds the first fence, or data record, that another slot wrote to a stream after
// a time.
func (w *watch) after(stream string, not *slot, since time.Time, data bool) (at time.Time, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.landings {
		if l.stream == stream && l.slot != not && l.data == data && l.at.After(since) {
			return l.at, true
		}
	}
	return time.Time{}, false
}

// records is how many data records have landed.
func (w *watch) records() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.landings {
		if l.data {
			n++
		}
	}
	return n
}
