package catalog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/millrace/millrace/pipeline/store"
)

// spool holds bytes that are written before they are stored: in memory while they are
// few, then in an unlinked file in the folder for temporary ones. Its first error stays.
type spool struct {
	mem  bytes.Buffer
	file *os.File
	w    *bufio.Writer
	err  error
}

// mostInMemory is what a spool holds in memory, and mostCreated what is stored by one
// create. What is larger is put after a look whether it is there: whoever else puts it at
// that moment puts the same.
const (
	mostInMemory = 64 << 10
	mostCreated  = 8 << 20
)

func (s *spool) Write(p []byte) (int, error) {
	if s.err == nil && s.file == nil && s.mem.Len()+len(p) > mostInMemory {
		s.err = s.spill()
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.file == nil {
		return s.mem.Write(p)
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

func (s *spool) spill() error {
	f, err := os.CreateTemp("", "millrace-index-*")
	if err != nil {
		return fmt.Errorf("spool an index: %w", err)
	}
	s.file, s.w = f, bufio.NewWriterSize(f, mostInMemory)
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("spool an index: %w", err)
	}
	_, err = s.w.Write(s.mem.Bytes())
	s.mem = bytes.Buffer{}
	return err
}

// put stores what was written, if there is no such object.
func (s *spool) put(ctx context.Context, st store.Store, key string) error {
	if s.err != nil {
		return s.err
	}
	if s.file == nil {
		return create(ctx, st, key, s.mem.Bytes())
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	size, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if size <= mostCreated {
		data := make([]byte, size)
		if _, err := s.file.ReadAt(data, 0); err != nil {
			return err
		}
		return create(ctx, st, key, data)
	}
	if _, err := st.Stat(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	body, err := store.DigestBody(ctx, s.file, size)
	if err != nil {
		return err
	}
	return st.Put(ctx, key, body)
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
