package shard

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// tarReader gathers neighbours with one key. It reads members with archive/tar, so
// shards that others wrote (GNU, PAX) are read too.
type tarReader struct {
	data    io.ReaderAt
	size    int64
	lim     Limits
	section *io.SectionReader
	tar     *tar.Reader

	next    member // read, but of the following sample
	pending bool
	end     int64 // of the last member, padding included
	keys    map[string]struct{}
	entry   Entry
	err     error
}

type member struct {
	key    string
	start  int64 // of its header
	end    int64
	fields FieldEntry
}

func (tarLayout) open(r io.ReaderAt, size int64, lim Limits) (Reader, error) {
	section := io.NewSectionReader(r, 0, size)
	return &tarReader{
		data: r, size: size, lim: lim, section: section,
		tar: tar.NewReader(section), keys: map[string]struct{}{},
	}, nil
}

func (t *tarReader) Next() (*Entry, error) {
	if t.err != nil {
		return nil, t.err
	}
	if err := t.gather(); err != nil {
		return nil, t.fail(err)
	}
	return &t.entry, nil
}

func (t *tarReader) fail(err error) error {
	t.err = err
	if err != io.EOF {
		t.err = fmt.Errorf("tar, after byte %d: %w", t.end, err)
	}
	return t.err
}

// gather reads members until one is of another sample.
func (t *tarReader) gather() error {
	if !t.pending {
		if err := t.advance(); err != nil {
			return err // io.EOF: nothing is left
		}
	}
	first := t.next
	if _, twice := t.keys[first.key]; twice {
		return fmt.Errorf("key %q comes again: twice in the shard, or its members are not neighbours", first.key)
	}
	if len(t.keys) >= t.lim.MaxSamples {
		return fmt.Errorf("more than %d samples", t.lim.MaxSamples)
	}
	t.keys[first.key] = struct{}{}
	t.entry = Entry{Key: first.key, Offset: first.start, Fields: t.entry.Fields[:0]}
	for t.next.key == first.key {
		if err := t.take(); err != nil {
			return err
		}
		if err := t.advance(); err != nil {
			t.fail(err) // for the next call: this sample is whole
			return nil
		}
	}
	return nil
}

// take adds the member in hand to the sample.
func (t *tarReader) take() error {
	m := t.next
	t.pending = false
	if t.entry.Field(m.fields.Name) >= 0 {
		return fmt.Errorf("sample %q has field %q twice", m.key, m.fields.Name)
	}
	if len(t.entry.Fields) >= t.lim.MaxFields {
		return fmt.Errorf("sample %q has more than %d fields", m.key, t.lim.MaxFields)
	}
	t.entry.Fields = append(t.entry.Fields, m.fields)
	t.entry.Length = m.end - t.entry.Offset
	return nil
}

// advance reads the next member's header, past folders.
func (t *tarReader) advance() error {
	for {
		start := t.end
		h, err := t.tar.Next()
		if err == io.EOF {
			return t.checkEnd()
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("it is cut short: %w", err)
		}
		if err != nil {
			return err
		}
		at, err := t.section.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			t.end = at
			continue
		}
		t.next, err = t.member(h, start, at)
		t.pending = err == nil
		t.end = t.next.end
		return err
	}
}

// member checks one header; its data begins at offset at.
func (t *tarReader) member(h *tar.Header, start, at int64) (member, error) {
	if h.Typeflag != tar.TypeReg || sparse(h) {
		return member{}, fmt.Errorf("member %.200q is no plain file (type %q)", h.Name, h.Typeflag)
	}
	if len(h.Name) > t.lim.MaxName {
		return member{}, fmt.Errorf("member %.60q...: the name has %d bytes; the limit is %d", h.Name, len(h.Name), t.lim.MaxName)
	}
	if h.Size > t.size-at {
		return member{}, fmt.Errorf("member %q has %d bytes and the file has %d more: it is cut short", h.Name, h.Size, t.size-at)
	}
	key, field, err := splitName(h.Name)
	if err != nil {
		return member{}, err
	}
	return member{
		key: key, start: start, end: at + wholeBlocks(h.Size),
		fields: FieldEntry{Name: field, Offset: at, Size: h.Size},
	}, nil
}

func sparse(h *tar.Header) bool {
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// splitName is WebDataset's rule: the key is all up to the base name's first dot, the
// field is the rest in lower case.
func splitName(name string) (key, field string, err error) {
	if path.IsAbs(name) || path.Clean(name) != strings.TrimPrefix(name, "./") || strings.HasPrefix(name, "../") || strings.ContainsRune(name, 0) {
		return "", "", fmt.Errorf("member %q: unsafe name", name)
	}
	dir, base := path.Split(name)
	stem, ext, ok := strings.Cut(base, ".")
	if !ok || stem == "" || ext == "" {
		return "", "", fmt.Errorf("member %q has no key or no extension; WebDataset would skip it", name)
	}
	return dir + stem, strings.ToLower(ext), nil
}

// checkEnd sees that the file was closed: two blocks of zeros, and nothing but zeros
// (other writers fill up to larger records). archive/tar takes a file that just stops
// between two members for a whole one.
func (t *tarReader) checkEnd() error {
	if t.size-t.end < tarEnd {
		return errors.New("the two zero blocks of the end are missing: it is cut short, or was not closed")
	}
	buf := make([]byte, min(t.size-t.end, 32<<10))
	for at := t.end; at < t.size; {
		n, err := t.data.ReadAt(buf[:min(int64(len(buf)), t.size-at)], at)
		if n == 0 && err != nil {
			return fmt.Errorf("reading its end: %w", err)
		}
		for _, b := range buf[:n] {
			if b != 0 {
				return errors.New("there are bytes behind its end")
			}
		}
		at += int64(n)
	}
	return io.EOF
}

func (t *tarReader) Open(i int) io.Reader {
	f := t.entry.Fields[i]
	return &whole{io.NewSectionReader(t.data, f.Offset, f.Size), f.Size}
}

// whole makes an early end an error.
type whole struct {
	*io.SectionReader
	left int64
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.SectionReader.Read(p)
	w.left -= int64(n)
	if err == io.EOF && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
