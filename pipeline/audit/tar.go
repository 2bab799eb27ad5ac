package audit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Field is a part of a sample.
type Field struct {
	Name string
	Data []byte
}

// Sample is what a shard holds: neighbours in a tar with one name up to its first dot.
type Sample struct {
	Dataset string
	ID      string // of its job, as its JSON says
	Key     string
	Fields  []Field
	Shard   string // the object's key
}

const block = 512

// maxField bounds a field that is read whole.
const maxField = 256 << 20

// readTar gives a tar's samples, in order. A sample's fields are valid during the call.
// The archive is what WebDataset writers make: plain USTAR files, two blocks of zeros.
func readTar(r io.Reader, each func(*Sample) error) error {
	var s Sample
	done := func() error {
		if s.Key == "" {
			return nil
		}
		err := each(&s)
		s = Sample{}
		return err
	}
	var head [block]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("it ends without the two blocks of an end: %w", err)
		}
		if head == [block]byte{} {
			if err := done(); err != nil {
				return err
			}
			return tarEnd(r)
		}
		name, size, err := tarHeader(&head)
		if err != nil {
			return err
		}
		key, field, ok := strings.Cut(name, ".")
		if !ok || key == "" || strings.Contains(name, "/") {
			return fmt.Errorf("its member %q is not KEY.FIELD", name)
		}
		if key != s.Key {
			if err := done(); err != nil {
				return err
			}
			s.Key = key
		}
		whole := (size + block - 1) / block * block
		data, err := io.ReadAll(io.LimitReader(r, whole)) // grows as bytes come, whatever the header says
		if err != nil || int64(len(data)) != whole {
			return fmt.Errorf("its member %q is cut off: %w", name, cmp.Or(err, io.ErrUnexpectedEOF))
		}
		s.Fields = append(s.Fields, Field{field, data[:size]})
	}
}

func tarEnd(r io.Reader) error {
	rest, err := io.ReadAll(io.LimitReader(r, 2*block))
	if err != nil {
		return err
	}
	if len(rest) != block || !bytes.Equal(rest, make([]byte, block)) {
		return errors.New("after its end there are more bytes, or too few")
	}
	return nil
}

// tarHeader gives a member's name and size.
func tarHeader(h *[block]byte) (name string, size int64, err error) {
	text := func(from, to int) string {
		t, _, _ := strings.Cut(string(h[from:to]), "\x00")
		return strings.Trim(t, " ")
	}
	octal := func(from, to int) (int64, error) { return strconv.ParseInt(text(from, to), 8, 64) }
	sum, err := octal(148, 156)
	if err != nil {
		return "", 0, errors.New("a member's checksum is no number")
	}
	for i, c := range h {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum -= int64(c)
	}
	name = text(0, 100)
	size, err = octal(124, 136)
	switch {
	case sum != 0:
		return "", 0, fmt.Errorf("the header of member %q does not have its checksum", name)
	case err != nil || size < 0 || size > maxField:
		return "", 0, fmt.Errorf("the size of member %q is not a number, or too large", name)
	case text(257, 263) != "ustar" || h[156] != '0' && h[156] != 0 || text(345, 500) != "":
		return "", 0, fmt.Errorf("member %q is not a plain file of USTAR", name)
	}
	return name, size, nil
}
