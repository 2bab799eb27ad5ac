package shard

import (
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// Reader gives a shard's samples in order. It belongs to one goroutine.
type Reader interface {
	// Next returns the next sample's names and places, or io.EOF after the last, when
	// the shard has been found whole to its end. Other errors are final. The Entry is
	// valid until the following call.
	Next() (*Entry, error)
	// Open reads field i of the sample that Next returned last. Bytes that are missing
	// are io.ErrUnexpectedEOF.
	Open(i int) io.Reader
}

// Limits bound what a Reader may hold in memory, and what [ReadSample] may.
type Limits struct {
	MaxSamples     int   // in one shard; each key is remembered
	MaxFields      int   // in one sample
	MaxName        int   // bytes of KEY.FIELD
	MaxSampleBytes int64 // fields of one sample, for ReadSample and ReadField
}

// DefaultLimits are for shards from anywhere.
func DefaultLimits() Limits {
	return Limits{MaxSamples: 4 << 20, MaxFields: 1024, MaxName: 1024, MaxSampleBytes: 1 << 30}
}

// Open reads a shard of size bytes in the format. Use the extension's format where no
// record says it.
func Open(format string, r io.ReaderAt, size int64, lim Limits) (Reader, error) {
	l, err := layoutOf(format, Options{})
	if err != nil {
		return nil, err
	}
	return l.open(r, size, lim)
}

// FormatOf tells a format by a file's name, compressed or not.
func FormatOf(name string) (string, error) {
	for _, f := range Formats() {
		for _, compression := range []string{"", Zstd} {
			if ext, err := Ext(f, compression); err == nil && strings.HasSuffix(name, ext) {
				return f, nil
			}
		}
	}
	return "", fmt.Errorf("%s: the name's ending is of no shard format (%v)", name, Formats())
}

// ReadField reads field i of e, which r.Next returned last, into buf where it has room.
func ReadField(r Reader, e *Entry, i int, buf []byte, lim Limits) ([]byte, error) {
	f := e.Fields[i]
	if f.Size > lim.MaxSampleBytes {
		return nil, fmt.Errorf("sample %q, field %q has %d bytes; the limit is %d", e.Key, f.Name, f.Size, lim.MaxSampleBytes)
	}
	if int64(cap(buf)) < f.Size {
		buf = make([]byte, f.Size)
	}
	buf = buf[:f.Size]
	if _, err := io.ReadFull(r.Open(i), buf); err != nil {
		return nil, fmt.Errorf("sample %q, field %q: %w", e.Key, f.Name, err)
	}
	return buf, nil
}

// ReadSample reads all fields of e, which r.Next returned last, into s, whose old
// fields' memory it uses again.
func ReadSample(r Reader, e *Entry, s *pipeline.Sample, lim Limits) error {
	if n := e.Bytes(); n > lim.MaxSampleBytes {
		return fmt.Errorf("sample %q has %d bytes; the limit is %d", e.Key, n, lim.MaxSampleBytes)
	}
	s.Key = e.Key
	old := s.Fields[:cap(s.Fields)]
	s.Fields = s.Fields[:0]
	for i, f := range e.Fields {
		var buf []byte
		if i < len(old) {
			buf = old[i].Data
		}
		data, err := ReadField(r, e, i, buf, lim)
		if err != nil {
			return err
		}
		s.Fields = append(s.Fields, pipeline.Field{Name: f.Name, Data: data})
	}
	return nil
}

// limitsFor are those that hold for samples that were checked when they were written.
func limitsFor(entries []Entry) Limits {
	lim := DefaultLimits()
	lim.MaxSamples = len(entries)
	for i := range entries {
		lim.MaxFields = max(lim.MaxFields, len(entries[i].Fields))
	}
	return lim
}
