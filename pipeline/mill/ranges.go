package mill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Bytes are those of a medium: an [*os.File], or [Ranges].
type Bytes interface {
	io.ReaderAt
	io.Closer
}

// Ranges are a medium that is elsewhere, and of which only what is read is fetched. A
// *codecs.Error of ReadAt is the medium's fault; any other says nothing about it.
type Ranges interface {
	Bytes
	// Size is the medium's, in bytes, and above 0.
	Size() int64
}

// ErrWhole says that a medium was to be read in ranges, and a decoder needs most of it: it
// is to be fetched, and the job run anew.
var ErrWhole = codecs.ErrWhole

// maxRead is the most that a child may ask for at a time.
const maxRead = 1 << 20

// read is what a child asks for: the payload of kindRead.
type read struct {
	medium uint32
	offset int64
	length uint32
}

const readSize = 16

func (q read) encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, q.medium)
	b = binary.LittleEndian.AppendUint32(b, q.length)
	return binary.LittleEndian.AppendUint64(b, uint64(q.offset))
}

// parseRead holds a question against what the job has.
func parseRead(b []byte, a *Assignment) (read, error) {
	if len(b) != readSize {
		return read{}, fmt.Errorf("%w: a question of %d bytes", errFrame, len(b))
	}
	q := read{binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint64(b[8:])), binary.LittleEndian.Uint32(b[4:])}
	if uint64(q.medium) >= uint64(len(a.Ranges)) || a.Ranges[q.medium] == nil {
		return read{}, fmt.Errorf("%w: it asks for medium %d, which is not read in ranges", errFrame, q.medium)
	}
	if size := a.Ranges[q.medium].Size(); q.length == 0 || q.length > maxRead || q.offset < 0 || q.offset > size-int64(q.length) {
		return read{}, fmt.Errorf("%w: it asks for %d bytes at %d of %d", errFrame, q.length, q.offset, size)
	}
	return q, nil
}

// sizes are those of the media that are read in ranges, 0 for the others.
func (a *Assignment) sizes() []int64 {
	if len(a.Ranges) == 0 {
		return nil
	}
	l := make([]int64, len(a.Ranges))
	for i, r := range a.Ranges {
		if r != nil {
			l[i] = r.Size()
		}
	}
	return l
}

// fetch reads what the child asks for, into the child's own buffer.
func (c *child) fetch(a *Assignment, q read) ([]byte, error) {
	b := slices.Grow(c.answer[:0], int(q.length))[:q.length]
	c.answer = b
	if n, err := a.Ranges[q.medium].ReadAt(b, q.offset); n < len(b) {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("%d bytes came of medium %d where there are %d", n, q.medium, len(b))
		}
		return nil, sourceError{err}
	}
	return b, nil
}

// sourceError is an error of reading a medium on the parent's side. Whatever a decoder
// would make of it, this is why the job ends.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// remote is a medium in a child, of which the parent has the bytes.
type remote struct {
	medium  int
	size    int64
	out     *sender
	answers <-chan []byte
}

var errNoAnswer = errors.New("the parent does not answer")

func (r *remote) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("a read at %d: the offset is negative", off)
	}
	n := 0
	for n < len(p) && off < r.size {
		want := min(int64(len(p)-n), r.size-off, maxRead)
		if err := r.out.send(kindRead, read{uint32(r.medium), off, uint32(want)}.encode()); err != nil {
			return n, err
		}
		b, ok := <-r.answers
		if !ok || int64(len(b)) != want {
			return n, errNoAnswer
		}
		n, off = n+copy(p[n:], b), off+want
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// first keeps the first error of a medium that is read in this process, which a decoder
// may take for something else.
type first struct {
	Ranges
	err *error // a job has one goroutine
}

func (f first) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.Ranges.ReadAt(p, off)
	if err != nil && err != io.EOF {
		if *f.err == nil {
			*f.err = err
		}
	}
	return n, err
}

// verdictOf is how a job ended of which a medium could not be read.
func verdictOf(err error) (pipeline.Verdict, error) {
	if e := codecs.AsError(err); e != nil {
		return pipeline.Verdict{Fault: pipeline.FaultOf(e)}, nil
	}
	return pipeline.Verdict{}, err
}
