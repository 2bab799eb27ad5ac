package ffmpeg

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
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

// NoMemory reports whether an error of FFmpeg says that it got no memory. Then there is
// nothing wrong with the bytes that is known of.
func NoMemory(err error) bool { return errors.Is(err, errNoMemory) || errors.Is(err, ErrAlloc) }

// Fault is err, or the [codecs.Error] of a want of memory if that is what lies under it,
// whatever it was taken for on the way up.
func Fault(err error, stage codecs.Stage) error {
	if e := codecs.AsError(err); !NoMemory(err) || e != nil && e.Code == codecs.CodeOOM {
		return err
	}
	return codecs.Errorf(codecs.CodeOOM, stage, "decoding needs more memory than there is: %w", err)
}

// limitAllocations sets the bound on what FFmpeg allocates at a time, for the process.
var limitAllocations = sync.OnceFunc(func() { LimitAllocations(mostAlloc) })

// LimitAllocations has each allocation of FFmpeg's that is larger fail, from now on and in
// the whole process. Opening sets it once; tests set less.
func LimitAllocations(bytes int64) { maxAlloc(bytes) }

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
