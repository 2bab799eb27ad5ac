package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/segmentio/kafka-go/protocol"
)

// Kafka's messages come in two forms: the old one, and the "flexible" one of newer
// versions, whose lengths are varints, one too high so that 0 can be null, and which
// has a list of tagged fields (none, here) after each part.

// correlation is the id of every request: a connection has one at a time.
const correlation = 1

// wireWriter builds a request.
type wireWriter struct {
	b        []byte
	flexible bool
}

// newRequest begins a request with its header.
func newRequest(key protocol.ApiKey, version int16, flexible bool, clientID string) *wireWriter {
	w := &wireWriter{b: make([]byte, 4, 256)} // the length comes last
	w.int16(int16(key))
	w.int16(version)
	w.int32(correlation)
	w.string(clientID) // in the old form in either header
	w.flexible = flexible
	w.tags()
	return w
}

// done returns the request with its length.
func (w *wireWriter) done() []byte {
	w.tags()
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-4))
	return w.b
}

func (w *wireWriter) int8(v int8)    { w.b = append(w.b, byte(v)) }
func (w *wireWriter) int16(v int16)  { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *wireWriter) int32(v int32)  { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *wireWriter) int64(v int64)  { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }
func (w *wireWriter) raw(b [16]byte) { w.b = append(w.b, b[:]...) }
func (w *wireWriter) uvarint(n int)  { w.b = binary.AppendUvarint(w.b, uint64(n)) }

func (w *wireWriter) tags() {
	if w.flexible {
		w.int8(0)
	}
}

func (w *wireWriter) count(n int) {
	if w.flexible {
		w.uvarint(n + 1)
	} else {
		w.int32(int32(n))
	}
}

func (w *wireWriter) string(s string) {
	if w.flexible {
		w.uvarint(len(s) + 1)
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

// wireReader reads a response. Its first error is sticky, and every read after it
// gives zero.
type wireReader struct {
	r        io.Reader
	flexible bool
	left     int64 // bytes of the response not yet read
	err      error
	buf      [8]byte
}

// newResponse reads a response's length and header.
func newResponse(r io.Reader, flexible bool) *wireReader {
	d := &wireReader{r: r, flexible: flexible, left: 4}
	d.left = int64(d.int32()) // the length of what follows
	if id := d.int32(); id != correlation {
		d.fail(fmt.Errorf("the broker answered request %d, not %d", id, correlation))
	}
	d.tags()
	return d
}

func (d *wireReader) read(b []byte) {
	if int64(len(b)) > d.left {
		d.fail(errShort)
	}
	if d.err == nil {
		_, d.err = io.ReadFull(d.r, b)
	}
	if d.err != nil {
		clear(b)
		return
	}
	d.left -= int64(len(b))
}

var errShort = errors.New("it ends early")

func (d *wireReader) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *wireReader) int16() int16 {
	d.read(d.buf[:2])
	return int16(binary.BigEndian.Uint16(d.buf[:2]))
}

func (d *wireReader) int32() int32 {
	d.read(d.buf[:4])
	return int32(binary.BigEndian.Uint32(d.buf[:4]))
}

func (d *wireReader) int64() int64 {
	d.read(d.buf[:8])
	return int64(binary.BigEndian.Uint64(d.buf[:8]))
}

func (d *wireReader) uvarint() int64 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		d.read(d.buf[:1])
		v |= uint64(d.buf[0]&0x7f) << shift
		if d.buf[0] < 0x80 {
			return int64(v)
		}
	}
	d.fail(errors.New("a length of more than 32 bits"))
	return 0
}

// length reads that of an array or of bytes; null counts as empty.
func (d *wireReader) length() int64 {
	n := int64(0)
	if d.flexible {
		n = d.uvarint() - 1
	} else {
		n = int64(d.int32())
	}
	return max(n, 0)
}

// count reads the length of an array.
func (d *wireReader) count(most int64) int64 {
	n := d.length()
	if n > most {
		d.fail(fmt.Errorf("an array of %d elements, %d at most", n, most))
	}
	if d.err != nil {
		return 0
	}
	return n
}

func (d *wireReader) string() string {
	n := int64(0)
	if d.flexible {
		n = d.uvarint() - 1
	} else {
		n = int64(d.int16())
	}
	if n > math.MaxInt16 { // flexible or not, Kafka's strings are no longer
		d.fail(fmt.Errorf("a string of %d bytes", n))
	}
	return string(d.bytes(max(n, 0)))
}

// bytes checks n against what is left before it allocates.
func (d *wireReader) bytes(n int64) []byte {
	if n > d.left {
		d.fail(errShort)
	}
	if d.err != nil || n == 0 {
		return nil
	}
	b := make([]byte, n)
	d.read(b)
	return b
}

func (d *wireReader) id() (id [16]byte) {
	d.read(id[:])
	return id
}

// tags steps over tagged fields.
func (d *wireReader) tags() {
	if !d.flexible {
		return
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		d.uvarint() // which
		d.discard(d.uvarint())
	}
}

func (d *wireReader) discard(n int64) {
	if n > d.left {
		d.fail(errShort)
	}
	if d.err != nil || n <= 0 {
		return
	}
	_, d.err = io.CopyN(io.Discard, d.r, n)
	d.left -= n
}

// end steps over the rest, so that the next response is where it should be.
func (d *wireReader) end() error {
	d.discard(d.left)
	return d.err
}
