package ffmpeg

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/asticode/go-astiav"
)

// live counts the C objects that all owners hold.
var live atomic.Int64

// LiveObjects is how many C objects (contexts, packets, frames, graphs) all owners of the
// process hold at the moment. It is 0 when every reader is closed; tests rely on it.
func LiveObjects() int64 { return live.Load() }

// errNoMemory is FFmpeg's AVERROR(ENOMEM), which astiav does not name.
const errNoMemory = astiav.Error(-int(syscall.ENOMEM))

// ErrAlloc says that FFmpeg returned no object where it should have made one.
var ErrAlloc = errors.New("FFmpeg could not allocate memory")

// Owner frees what it was given, in reverse order, once. The zero value is ready.
type Owner struct{ frees []func() }

// Own takes charge of one C object.
func (o *Owner) Own(free func()) {
	live.Add(1)
	o.frees = append(o.frees, free)
}

// Free frees everything. It may be called twice.
func (o *Owner) Free() {
	for len(o.frees) > 0 {
		last := len(o.frees) - 1
		f := o.frees[last]
		o.frees = o.frees[:last]
		f()
		live.Add(-1)
	}
}
