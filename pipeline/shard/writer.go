package shard

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/pipeline"
)

// Options say more about a shard.
type Options struct {
	// Name is the shard's file name without ending, unique for each attempt (a ULID).
	// It names the shard in errors and in Sealed.Name.
	Name string
	// Compression is "" or "zstd": of the whole file in MDS, of the pages in parquet.
	Compression string
	// Fields are the names of all fields that samples of the dataset may have. Parquet
	// makes columns of them even where no sample of the shard has the field, so that
	// all shards have one schema. Others take no notice.
	Fields []string
}

// Writer fills one shard. It belongs to one goroutine, and ends in exactly one of Seal
// and Abort.
//
// The first error of the spool file is final: every later call returns it, and only
// Abort is left. A [Refused] sample is no such error.
type Writer struct {
	name    string
	dir     string // where the spool file is
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
	l, err := layoutOf(format, o)
	if err != nil {
		return nil, err
	}
	if o.Name == "" {
		return nil, errors.New("create a shard: it has no name")
	}
	f, err := spool(dir)
	if err != nil {
		return nil, fmt.Errorf("create shard %s: %w", o.Name, err)
	}
	return &Writer{
		name: o.Name + l.ext(), dir: dir, layout: l, file: f, buf: bufio.NewWriterSize(f, bufferBytes),
		keys: map[string]struct{}{}, sum: xxhash.New(),
	}, nil
}

// spool makes a file without a name.
func spool(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "shard-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ErrFull is what Add returns for a sample that would make the file larger than its
// format can be, or than readers take it. Nothing was written; the sample fits into the
// next shard.
var ErrFull = errors.New("the shard is as large as its format allows")

// Add copies a sample to the end of the shard. It returns a [*Refused] for a sample
// that can not be there (a bad or repeated name, an empty field, another shape than the
// first sample's, see [Shape]), or [ErrFull], and then has written nothing.
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
	if len(w.entries) >= DefaultLimits().MaxSamples {
		return ErrFull
	}
	if err := w.layout.check(s, w.at, len(w.entries)); err != nil {
		return err
	}
	e, err := w.layout.put(w.buf, w.at, s)
	if err != nil {
		return w.fail("write to", err)
	}
	w.at += e.Length
	w.entries = append(w.entries, e)
	w.keys[e.Key] = struct{}{}
	var sum uint64
	for _, f := range s.Fields {
		w.sum.Reset()
		w.sum.Write(f.Data)
		sum += named(w.sum, f.Name)
	}
	w.sums = append(w.sums, sum)
	return nil
}

// named ends a field's sum with its name. Sums of fields are added up, since formats
// give them back in an order of their own.
func named(sum *xxhash.Digest, name string) uint64 {
	sum.WriteString(name)
	return sum.Sum64()
}

// Bytes is the size of the samples so far, as they are spooled: without what Seal adds,
// and before it compresses.
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
