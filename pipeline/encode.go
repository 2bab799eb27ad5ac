package pipeline

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A sample on its way, through a mill's socket or in a spool: uint16 key length, key, uint16 field count; for each field
// uint16 name length, name, uint32 data length; then all data in the same order.
// Integers are little-endian.

// ErrEncoding is wrapped by every error of [ParseSample].
var ErrEncoding = errors.New("broken sample encoding")

const (
	maxKey    = 255
	maxName   = 255
	maxFields = 1024
	maxData   = 1 << 30
)

// Encode gives s as parts to be written one after another. Its data are not copied.
func (s *Sample) Encode() ([][]byte, error) {
	head, err := appendSampleHead(nil, s)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, 0, 1+len(s.Fields))
	parts = append(parts, head)
	for _, f := range s.Fields {
		parts = append(parts, f.Data)
	}
	return parts, nil
}

func appendSampleHead(b []byte, s *Sample) ([]byte, error) {
	if len(s.Key) > maxKey || len(s.Fields) > maxFields {
		return nil, fmt.Errorf("sample %.60q has a key of %d bytes and %d fields; the limits are %d and %d", s.Key, len(s.Key), len(s.Fields), maxKey, maxFields)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.Key)))
	b = append(b, s.Key...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.Fields)))
	for _, f := range s.Fields {
		if len(f.Name) > maxName || len(f.Data) > maxData {
			return nil, fmt.Errorf("sample %s: field %.60q has %d bytes; a name may have %d bytes, data %d", s.Key, f.Name, len(f.Data), maxName, maxData)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(len(f.Name)))
		b = append(b, f.Name...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Data)))
	}
	return b, nil
}

// ParseSample reads what Encode wrote into s. Its fields' data alias p. The sizes are
// checked against p before anything is allocated.
func ParseSample(p []byte, s *Sample) error {
	d := cursor{rest: p}
	s.Key = string(d.take(int(d.uint16())))
	n := int(d.uint16())
	if len(s.Key) == 0 || len(s.Key) > maxKey || n > maxFields || d.bad {
		return fmt.Errorf("%w: a sample's key or field count", ErrEncoding)
	}
	s.Fields = s.Fields[:0]
	sizes := make([]int, n)
	for i := range n {
		name := string(d.take(int(d.uint16())))
		sizes[i] = int(d.uint32())
		if d.bad || len(name) == 0 || len(name) > maxName || sizes[i] > len(d.rest) {
			return fmt.Errorf("%w: field %d of sample %q", ErrEncoding, i, s.Key)
		}
		s.Fields = append(s.Fields, Field{Name: name})
	}
	for i := range n {
		s.Fields[i].Data = d.take(sizes[i])
	}
	if d.bad || len(d.rest) != 0 {
		return fmt.Errorf("%w: sample %q does not add up", ErrEncoding, s.Key)
	}
	return nil
}

// cursor reads from a slice; a read past the end sets bad and gives zeros.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) take(n int) []byte {
	if n > len(c.rest) {
		c.bad, c.rest = true, nil
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}
