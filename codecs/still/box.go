package still

import "encoding/binary"

// boxReader reads the fields of an ISO box. Reading past the end gives zeros and
// sets bad, which is to be asked after the last field.
type boxReader struct {
	b   []byte
	bad bool
}

// uint reads n bytes, big-endian; n is 0 to 8.
func (r *boxReader) uint(n int) uint64 {
	var v uint64
	for _, c := range r.bytes(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

// bytes takes the next n bytes, of the box's own memory.
func (r *boxReader) bytes(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// full reads a full box's version and flags.
func (r *boxReader) full() (version int, flags uint32) {
	v := uint32(r.uint(4))
	return int(v >> 24), v & 0xFFFFFF
}

// next reads the next box inside this one.
func (r *boxReader) next() (name string, body *boxReader, ok bool) {
	if len(r.b) < 8 || r.bad {
		return "", nil, false
	}
	size, name, head := uint64(binary.BigEndian.Uint32(r.b)), string(r.b[4:8]), 8
	switch size {
	case 0:
		size = uint64(len(r.b))
	case 1:
		if len(r.b) < 16 {
			r.bad = true
			return "", nil, false
		}
		size, head = binary.BigEndian.Uint64(r.b[8:]), 16
	}
	if size < uint64(head) || size > uint64(len(r.b)) {
		r.bad = true
		return "", nil, false
	}
	body = &boxReader{b: r.b[head:size]}
	r.b = r.b[size:]
	return name, body, true
}
