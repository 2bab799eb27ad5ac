package queue

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errTooLarge says that a batch is over the limit once unpacked.
var errTooLarge = errors.New("the batch is over the size limit once unpacked")

// records unpacks a batch record by record, so that no more than one record and
// the decompressor's window are in memory, whatever the batch claims.
type records struct {
	b     *batch
	r     *bufio.Reader
	free  func()
	limit int64
	n     int32 // records read
	last  int64 // offset of the last one; first-1 before
}

// open begins to unpack b. At most limit bytes are unpacked.
func (b *batch) open(limit int64) (*records, error) {
	r, free, err := decompress(b.records, b.attributes&attrCompression, limit)
	if err != nil {
		return nil, err
	}
	return &records{b: b, r: bufio.NewReader(r), free: free, limit: limit, last: b.first - 1}, nil
}

func (it *records) close() { it.free() }

// next returns the following record, or io.EOF after the last. Its bytes are a
// fresh allocation, as long as the record. Other errors are final.
func (it *records) next() (Record, error) {
	if it.n >= it.b.count {
		return Record{}, io.EOF
	}
	body, err := it.body()
	if err != nil {
		return Record{}, noEOF(err)
	}
	f := fields{b: body}
	f.take(1) // attributes, unused
	timeDelta, offsetDelta := f.varint(), f.varint()
	r := Record{Key: f.bytes(), Value: f.bytes()}
	for range f.count() {
		key := f.bytes()
		r.Headers = append(r.Headers, Header{Key: string(key), Value: f.bytes()})
	}
	if f.bad || offsetDelta < 0 || offsetDelta > it.b.last-it.b.first || it.b.first+offsetDelta <= it.last {
		return Record{}, fmt.Errorf("record %d of the batch at offset %d is malformed", it.n, it.b.first)
	}
	r.Offset = it.b.first + offsetDelta
	r.Time = it.b.time(timeDelta)
	it.last = r.Offset
	it.n++
	return r, nil
}

// body reads one record's bytes, whose length is checked before it is believed.
func (it *records) body() ([]byte, error) {
	n, err := binary.ReadVarint(it.r)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, fmt.Errorf("record %d of the batch at offset %d claims %d bytes", it.n, it.b.first, n)
	}
	if n > it.limit {
		return nil, fmt.Errorf("%w of %d bytes", errTooLarge, it.limit)
	}
	return readGrowing(it.r, n)
}

// readGrowing reads n bytes. Beyond a first step it allocates only as bytes arrive,
// so that a short batch that claims a long record costs little.
func readGrowing(r io.Reader, n int64) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, min(n, step))
	for at := 0; ; {
		m, err := io.ReadFull(r, b[at:])
		at += m
		if err != nil || int64(at) == n {
			return b[:at], err
		}
		b = append(b, make([]byte, min(n-int64(at), int64(at)))...)
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fields reads the parts of one record. Once something does not fit, bad stays set
// and everything reads as empty.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) take(n int64) []byte {
	if f.bad || n < 0 || n > int64(len(f.b)) {
		f.bad = true
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.bad = true
		return 0
	}
	f.b = f.b[n:]
	return v
}

// bytes reads a length and as many bytes; a length of -1 is nil.
func (f *fields) bytes() []byte {
	n := f.varint()
	if n == -1 {
		return nil
	}
	return f.take(n)
}

// count reads the number of headers, each of which takes at least two bytes.
func (f *fields) count() int64 {
	n := f.varint()
	if n < 0 || n > int64(len(f.b))/2 {
		f.bad = true
	}
	if f.bad {
		return 0
	}
	return n
}
