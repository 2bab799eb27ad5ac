package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// Spooled is a fetched medium. Whoever got it closes it, on every path.
type Spooled struct {
	// File is a read-only handle: of a temporary file that has no name any more, or of
	// the local original.
	File *os.File
	// ID says what was read: the URI without secrets, its version, the digest and size
	// of the very bytes.
	ID pipeline.SourceID
}

// Close frees the handle, and with it the disk space of a temporary file.
func (s *Spooled) Close() error { return s.File.Close() }

// Spool copies r to a temporary file in dir ("" for the system's), hashing on the way.
// More than maxBytes, or none, is a fault. Errors of r come back as they are; those of the
// disk are plain ones. ID holds the digest and the size.
func Spool(dir string, r io.Reader, maxBytes int64) (*Spooled, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	return spool(dir, r, maxBytes)
}

// SpoolBytes is Spool for bytes at hand.
func SpoolBytes(dir string, data []byte, maxBytes int64) (*Spooled, error) {
	return Spool(dir, bytes.NewReader(data), maxBytes)
}

const copyBuffer = 128 << 10

func spool(dir string, r io.Reader, maxBytes int64) (_ *Spooled, err error) {
	w, file, err := spoolFile(dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := w.Close(); err == nil && cerr != nil {
			err = diskError(dir, cerr)
		}
		if err != nil {
			file.Close()
		}
	}()
	hash := sha256.New()
	// The struct hides WriteTo and ReadFrom, which would go round the buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(diskWriter{w, dir}, hash)},
		struct{ io.Reader }{io.LimitReader(r, maxBytes+1)}, make([]byte, copyBuffer))
	switch {
	case err != nil:
		return nil, err
	case n > maxBytes:
		return nil, refuse(pipeline.CodeSourceLimit, "it has more than %d bytes", maxBytes)
	case n == 0:
		return nil, refuse(pipeline.CodeSourceEmpty, "it has no bytes")
	}
	return &Spooled{File: file, ID: pipeline.SourceID{SHA256: hex.EncodeToString(hash.Sum(nil)), Bytes: n}}, nil
}

// spoolFile makes a file without a name, open once for writing and once for reading
// only: the reader's handle goes to a mill, which must not be able to write.
func spoolFile(dir string) (w, r *os.File, err error) {
	w, err = os.CreateTemp(dir, "spool-*")
	if err != nil {
		return nil, nil, diskError(dir, err)
	}
	r, err = os.Open(w.Name())
	if err = errors.Join(err, os.Remove(w.Name())); err != nil {
		if r != nil {
			r.Close()
		}
		w.Close()
		return nil, nil, diskError(dir, err)
	}
	return w, r, nil
}

type diskWriter struct {
	f   *os.File
	dir string
}

func (w diskWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		return n, diskError(w.dir, err)
	}
	return n, nil
}

func diskError(dir string, err error) error {
	return fmt.Errorf("spooling to %s: %w; free some space there, or set source.dir to another folder", dir, err)
}

// expect gives s back, or closes it if its digest is not the wanted one.
func (s *Spooled) expect(sha256 string) (*Spooled, error) {
	if sha256 == "" || strings.EqualFold(sha256, s.ID.SHA256) {
		return s, nil
	}
	s.Close()
	return nil, refuse(pipeline.CodeSourceChanged, "its sha256 is %s; %s was expected", s.ID.SHA256, sha256)
}
