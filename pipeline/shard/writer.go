package shard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/pipeline"
)

// Options say more about a shard.
type Options struct {
	// Name is the shard's file name without ending, unique for each attempt (a ULID).
	// It names the shard in errors and in Sealed.Name.
	Name string
}

// Writer fills one shard. It belongs to one goroutine, and ends in exactly one of Seal
// and Abort.
//
// The first error of the spool file is final: every later call returns it, and only
// Abort is left. A [Refused] sample is no such error.
type Writer struct {
	name    string
	layout  layout
	file    *os.File
	buf     *bufio.Writer
	at      int64
	entries []Entry
	sums    []uint64 // of each sample's content, for the reading back
	keys    map[string]struct{}
	sum     *xxhash.Digest
	err     error
	ended   bool
}

// bufferBytes gathers headers and small fields; larger fields pass it by.
const bufferBytes = 64 << 10

var errEnded = errors.New("the shard is sealed or aborted already")

// Create begins a shard of the format, spooled in dir. The file is unlinked from the
// start: a process that dies, however it dies, leaves nothing there.
func Create(dir, format string, o Options) (*Writer, error) {
	l, err := layoutOf(format)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		return nil, errors.New("create a shard: it has no name")
	}
	f, err := os.CreateTemp(dir, "shard-*"+l.ext())
	if err != nil {
		return nil, fmt.Errorf("create shard %s: %w", o.Name, err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("create shard %s: %w", o.Name, err)
	}
	return &Writer{
		name: o.Name + l.ext(), layout: l, file: f, buf: bufio.NewWriterSize(f, bufferBytes),
		keys: map[string]struct{}{}, sum: xxhash.New(),
	}, nil
}

// Add copies a sample to the end of the shard. It returns a [*Refused] for a sample
// that can not be there (a bad or repeated name, an empty field), and then has written
// nothing.
func (w *Writer) Add(s *pipeline.Sample) error {
	if err := w.usable(); err != nil {
		return err
	}
	if err := checkSample(s); err != nil {
		return err
	}
	if _, twice := w.keys[s.Key]; twice {
		return refuse(s.Key, "the key is in the shard already")
	}
	if err := w.layout.check(s); err != nil {
		return err
	}
	e, err := w.layout.put(w.buf, w.at, s)
	if err != nil {
		return w.fail("write to", err)
	}
	w.at += e.Length
	w.entries = append(w.entries, e)
	w.keys[e.Key] = struct{}{}
	w.sum.Reset()
	for _, f := range s.Fields {
		w.sum.Write(f.Data)
	}
	w.sums = append(w.sums, w.sum.Sum64())
	return nil
}

// Mark is a place in a shard to go back to.
type Mark struct {
	at      int64
	samples int
}

// Mark notes the present end. It holds until the shard ends, or goes back behind it.
func (w *Writer) Mark() Mark { return Mark{w.at, len(w.entries)} }

// Rollback takes back all samples added since m, as if they had never been added.
func (w *Writer) Rollback(m Mark) error {
	if err := w.usable(); err != nil {
		return err
	}
	if m.samples > len(w.entries) || m.at != w.start(m.samples) {
		return fmt.Errorf("roll back shard %s: the mark is of another shard, or was rolled back itself", w.name)
	}
	if err := w.buf.Flush(); err != nil {
		return w.fail("write to", err)
	}
	if err := w.file.Truncate(m.at); err != nil {
		return w.fail("roll back", err)
	}
	if _, err := w.file.Seek(m.at, io.SeekStart); err != nil {
		return w.fail("roll back", err)
	}
	for _, e := range w.entries[m.samples:] {
		delete(w.keys, e.Key)
	}
	w.at, w.entries, w.sums = m.at, w.entries[:m.samples], w.sums[:m.samples]
	return nil
}

// start is where sample i begins, or would begin.
func (w *Writer) start(i int) int64 {
	if i == len(w.entries) {
		return w.at
	}
	return w.entries[i].Offset
}

// Bytes is the size of the file so far, without what Seal adds at its end.
func (w *Writer) Bytes() int64 { return w.at }

// Samples is how many samples are in the shard.
func (w *Writer) Samples() int { return len(w.entries) }

// Abort gives the shard up and frees its disk space. After Seal, or a second time, it
// does nothing, so it can be deferred.
func (w *Writer) Abort() {
	if !w.ended {
		w.ended = true
		w.file.Close()
	}
}

func (w *Writer) usable() error {
	if w.err == nil && w.ended {
		return fmt.Errorf("shard %s: %w", w.name, errEnded)
	}
	return w.err
}

func (w *Writer) fail(op string, err error) error {
	w.err = fmt.Errorf("%s shard %s: %w", op, w.name, err)
	return w.err
}
