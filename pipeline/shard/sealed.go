package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"
)

// Sealed is a finished shard: read-only, of known size and digests. Whoever has it
// closes it, after the upload is confirmed; then its disk space is free.
//
// It is an [io.ReaderAt], for several goroutines at once.
type Sealed struct {
	Name    string // with its ending
	Bytes   int64
	SHA256  [sha256.Size]byte
	CRC32C  uint32  // Castagnoli
	Entries []Entry // the samples in order

	file     *os.File
	sidecars []Sidecar
}

// ReadAt reads the shard's bytes.
func (s *Sealed) ReadAt(p []byte, off int64) (int, error) { return s.file.ReadAt(p, off) }

// Reader gives a new reader of the whole shard, at its start.
func (s *Sealed) Reader() *io.SectionReader { return io.NewSectionReader(s.file, 0, s.Bytes) }

// Samples is how many samples are in the shard.
func (s *Sealed) Samples() int { return len(s.Entries) }

// Sidecars are the small files that belong beside the shard. They are there before the
// shard is named to readers.
func (s *Sealed) Sidecars() []Sidecar { return s.sidecars }

// SHA256Hex is the digest as people and records write it.
func (s *Sealed) SHA256Hex() string { return hex.EncodeToString(s.SHA256[:]) }

// Close frees the disk space. It may be called twice.
func (s *Sealed) Close() error {
	if err := s.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close shard %s: %w", s.Name, err)
	}
	return nil
}

// Seal finishes the file, digests it, and parses it to see that each sample comes back
// with the names and the content that were added. After an error the shard is given
// up, as by Abort.
func (w *Writer) Seal() (*Sealed, error) {
	if err := w.usable(); err != nil {
		return nil, err
	}
	s, err := w.seal()
	w.ended = true
	if err != nil {
		w.file.Close()
		return nil, w.fail("seal", err)
	}
	return s, nil
}

func (w *Writer) seal() (*Sealed, error) {
	if len(w.entries) == 0 {
		return nil, errors.New("it has no samples")
	}
	if err := w.buf.Flush(); err != nil {
		return nil, err
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	s := &Sealed{Name: w.name, Entries: w.entries, file: w.file, sidecars: w.layout.sidecars(w.entries)}
	buf := make([]byte, 256<<10)
	if err := s.digest(buf); err != nil {
		return nil, err
	}
	if err := w.readBack(s.Bytes, buf); err != nil {
		return nil, fmt.Errorf("reading back what was written: %w; is the spool disk sound?", err)
	}
	return s, nil
}

// finish makes the spooled samples a file of the format, in place or in a new file.
func (w *Writer) finish() error {
	f, err := w.layout.finish(w.file, w.at, w.entries, func() (*os.File, error) { return spool(w.dir) })
	if err != nil {
		return err
	}
	if f != w.file {
		w.file.Close()
		w.file = f
	}
	return nil
}

// digest reads the file once; it is in the page cache still.
func (s *Sealed) digest(buf []byte) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sha, crc := sha256.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for {
		n, err := s.file.Read(buf)
		sha.Write(buf[:n])
		crc.Write(buf[:n])
		s.Bytes += int64(n)
		if err == io.EOF {
			sha.Sum(s.SHA256[:0])
			s.CRC32C = crc.Sum32()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *Writer) readBack(size int64, buf []byte) error {
	r, err := w.layout.open(w.file, size, limitsFor(w.entries))
	if err != nil {
		return err
	}
	for i := range w.entries {
		e, err := r.Next()
		if err == io.EOF {
			return fmt.Errorf("there are %d samples where %d were written", i, len(w.entries))
		}
		if err != nil {
			return err
		}
		if err := sameEntry(e, &w.entries[i]); err != nil {
			return err
		}
		var sum uint64
		for j, f := range e.Fields {
			w.sum.Reset()
			if err := copyField(w.sum, r, e, j, buf); err != nil {
				return err
			}
			sum += named(w.sum, f.Name)
		}
		if sum != w.sums[i] {
			return fmt.Errorf("sample %q has other content than was written", e.Key)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		return fmt.Errorf("after the %d samples that were written: %w", len(w.entries), orMore(err))
	}
	return nil
}

func sameEntry(got, want *Entry) error {
	same := got.Key == want.Key && got.Offset == want.Offset && got.Length == want.Length && len(got.Fields) == len(want.Fields)
	for i := 0; same && i < len(got.Fields); i++ {
		k := want.Field(got.Fields[i].Name)
		same = k >= 0 && got.Fields[i] == want.Fields[k]
	}
	if !same {
		return fmt.Errorf("sample %q at byte %d is read as %q at byte %d, or has other fields", want.Key, want.Offset, got.Key, got.Offset)
	}
	return nil
}

func copyField(sum *xxhash.Digest, r Reader, e *Entry, i int, buf []byte) error {
	n, err := io.CopyBuffer(sum, r.Open(i), buf)
	if err == nil && n != e.Fields[i].Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("sample %q, field %q: %w", e.Key, e.Fields[i].Name, err)
	}
	return nil
}

func orMore(err error) error {
	if err == nil {
		return errors.New("one more")
	}
	return err
}
