package video

import "sync/atomic"

// live counts the C objects that this package holds, over all readers.
var live atomic.Int64

// LiveObjects is how many C objects (contexts, packets, frames, graphs) this package
// holds at the moment. It is 0 when every reader is closed; tests rely on it.
func LiveObjects() int64 { return live.Load() }

// owner frees what it was given, in reverse order, once. The zero value is ready.
type owner struct{ frees []func() }

// own takes charge of one C object.
func (o *owner) own(free func()) {
	live.Add(1)
	o.frees = append(o.frees, free)
}

func (o *owner) free() {
	for len(o.frees) > 0 {
		last := len(o.frees) - 1
		f := o.frees[last]
		o.frees = o.frees[:last]
		f()
		live.Add(-1)
	}
}
