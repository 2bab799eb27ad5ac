package shard

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	// mostMDSHead bounds the columns' JSON.
	mostMDSHead   = 1 << 20
	mdsHeadBuffer = 16 << 10 // read at a time
	// mostZstdWindow is what zstd's long mode asks for; its usual levels stay at 8 MiB.
	mostZstdWindow = 128 << 20
)

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// mdsReader reads an MDS file, plain or compressed. From a compressed one it holds one
// sample in memory.
type mdsReader struct {
	data    io.ReaderAt // the file, or the sample at hand, seen from the file's start
	zip     io.Reader   // what comes out of the decompressor; nil in a plain file
	window  []byte
	lim     Limits
	offsets []byte // u32 each, one more than samples
	columns []mdsRead
	next    int
	keys    map[string]struct{}
	entry   Entry
	values  []mdsValue // of entry's fields
	err     error
}

// mdsRead is a column as it is read.
type mdsRead struct {
	name  string
	field string
	size  int64  // of each value, or 0 where each says its own
	dtype string // of an array that becomes a .npy file again; else ""
	shape []int  // of an array whose values do not say theirs
}

type mdsValue struct {
	head []byte // of the .npy file
	at   int64
	size int64
}

func (*mdsLayout) open(r io.ReaderAt, size int64, lim Limits) (Reader, error) {
	m := &mdsReader{data: r, lim: lim, keys: map[string]struct{}{}}
	if _, err := m.begin(r, size); err != nil {
		return nil, fmt.Errorf("mds: %w", err)
	}
	return m, nil
}

// begin reads what stands before the samples.
func (m *mdsReader) begin(r io.ReaderAt, size int64) (*mdsHead, error) {
	var src io.Reader = bufio.NewReaderSize(io.NewSectionReader(r, 0, size), mdsHeadBuffer)
	magic := make([]byte, len(zstdMagic))
	if _, err := r.ReadAt(magic, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if bytes.Equal(magic, zstdMagic) {
		dec, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(mostZstdWindow))
		if err != nil {
			return nil, err
		}
		m.zip, src, size = dec, dec, -1
	}
	return m.head(src, size)
}

// head reads from src, which has size bytes, or an unknown number if that is below zero.
func (m *mdsReader) head(src io.Reader, size int64) (*mdsHead, error) {
	first, err := upTo(src, 4)
	if err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(first))
	if n > int64(m.lim.MaxSamples) {
		return nil, fmt.Errorf("%d samples; the limit is %d", n, m.lim.MaxSamples)
	}
	if m.offsets, err = upTo(src, 4*(n+1)); err != nil {
		return nil, err
	}
	at := mdsData(int(n), 0)
	for i := range int(n) + 1 {
		if o := m.offset(i); o < at || i > 0 && o == at {
			return nil, fmt.Errorf("offset %d is %d; byte %d is not behind it", i, o, at)
		}
		at = m.offset(i)
	}
	if size >= 0 && at != size {
		return nil, fmt.Errorf("the samples end at byte %d of %d: it is cut short, or there are bytes behind its end", at, size)
	}
	length := m.offset(0) - mdsData(int(n), 0)
	if length > mostMDSHead {
		return nil, fmt.Errorf("the columns take %d bytes; the limit is %d", length, mostMDSHead)
	}
	text, err := upTo(src, length)
	if err != nil {
		return nil, err
	}
	h := new(mdsHead)
	if err := json.Unmarshal(text, h); err != nil {
		return nil, fmt.Errorf("its columns: %w", err)
	}
	return h, m.readColumns(h)
}

// upTo reads n bytes, and takes no more memory than there are.
func upTo(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(b)) < n {
		err = fmt.Errorf("it is cut short: %w", io.ErrUnexpectedEOF)
	}
	return b, err
}

func (m *mdsReader) offset(i int) int64 { return int64(binary.LittleEndian.Uint32(m.offsets[4*i:])) }

func (m *mdsReader) readColumns(h *mdsHead) error {
	if h.Version != mdsVersion || h.Format != MDS {
		return fmt.Errorf("format %.20q, version %d; version %d of %q is read", h.Format, h.Version, mdsVersion, MDS)
	}
	n := len(h.ColumnNames)
	if n == 0 || n > m.lim.MaxFields+1 || len(h.ColumnEncodings) != n || len(h.ColumnSizes) != n {
		return fmt.Errorf("%d columns, %d encodings, %d sizes; at most %d columns are read", n, len(h.ColumnEncodings), len(h.ColumnSizes), m.lim.MaxFields+1)
	}
	fields := map[string]struct{}{}
	for i, name := range h.ColumnNames {
		c, err := newMDSRead(name, h.ColumnEncodings[i], slices.Contains(h.Bool, name))
		if err != nil {
			return err
		}
		if len(name) > m.lim.MaxName {
			return fmt.Errorf("a column's name has %d bytes; the limit is %d", len(name), m.lim.MaxName)
		}
		if _, twice := fields[c.field]; twice {
			return fmt.Errorf("column %q comes twice", name)
		}
		fields[c.field] = struct{}{}
		if s := h.ColumnSizes[i]; s != nil {
			if *s < 1 || *s >= mostMDS {
				return fmt.Errorf("column %q has size %d", name, *s)
			}
			c.size = *s
		}
		m.columns = append(m.columns, c)
	}
	return nil
}

// newMDSRead says how a column becomes a field. What has no .npy to become is read as
// the bytes that it is.
func newMDSRead(name, encoding string, isBool bool) (mdsRead, error) {
	c := mdsRead{name: name, field: name}
	rest, array := strings.CutPrefix(encoding, mdsArray)
	if !array {
		return c, nil
	}
	dtype, dims, fixed := strings.Cut(rest, ":")
	if mdsWidth(dtype) == 0 || dtype == "bool" {
		return c, nil
	}
	c.field, c.dtype = arrayField(name), mdsDType(encoding, isBool && dtype == "uint8")
	if fixed {
		for d := range strings.SplitSeq(dims, ",") {
			n, err := strconv.Atoi(d)
			if err != nil || n < 1 || len(c.shape) == mostMDSDims {
				return c, fmt.Errorf("column %q has encoding %.100q", name, encoding)
			}
			c.shape = append(c.shape, n)
		}
	}
	return c, nil
}

func (m *mdsReader) Next() (*Entry, error) {
	if m.err == nil {
		if err := m.sample(); err == io.EOF {
			m.err = err
		} else if err != nil {
			m.err = fmt.Errorf("mds, sample %d: %w", m.next, err)
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	m.next++
	return &m.entry, nil
}

func (m *mdsReader) sample() error {
	if m.next == len(m.offsets)/4-1 {
		return m.end()
	}
	begin, end := m.offset(m.next), m.offset(m.next+1)
	if err := m.load(begin, end); err != nil {
		return err
	}
	sizes, err := m.sizes(begin, end)
	if err != nil {
		return err
	}
	m.entry = Entry{Key: strconv.Itoa(m.next), Offset: begin, Length: end - begin, Fields: m.entry.Fields[:0]}
	m.values = m.values[:0]
	at := end
	for _, n := range sizes {
		at -= n
	}
	for i, c := range m.columns {
		if c.name == keyColumn {
			err = m.key(at, sizes[i])
		} else {
			err = m.value(c, at, sizes[i])
		}
		if err != nil {
			return fmt.Errorf("column %q: %w", c.name, err)
		}
		at += sizes[i]
	}
	if _, twice := m.keys[m.entry.Key]; twice {
		return fmt.Errorf("key %q comes twice", m.entry.Key)
	}
	m.keys[m.entry.Key] = struct{}{}
	return nil
}

// end sees that nothing follows, and has the decompressor check its sum.
func (m *mdsReader) end() error {
	if m.zip != nil {
		switch n, err := io.CopyN(io.Discard, m.zip, 1); {
		case n > 0:
			return errors.New("there are bytes behind its end")
		case err != io.EOF:
			return err
		}
	}
	return io.EOF
}

// load brings the sample's bytes within reach.
func (m *mdsReader) load(begin, end int64) error {
	if m.zip == nil {
		return nil
	}
	if end-begin > m.lim.MaxSampleBytes {
		return fmt.Errorf("it has %d bytes; the limit is %d", end-begin, m.lim.MaxSampleBytes)
	}
	b := bytes.NewBuffer(m.window[:0])
	if _, err := io.CopyN(b, m.zip, end-begin); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	m.window = b.Bytes()
	m.data = window{m.window, begin}
	return nil
}

// window is a part of a file, from base on.
type window struct {
	data []byte
	base int64
}

func (w window) ReadAt(p []byte, off int64) (int, error) {
	if off < w.base || off > w.base+int64(len(w.data)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, w.data[off-w.base:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// sizes are those of the sample's values, which fill it exactly.
func (m *mdsReader) sizes(begin, end int64) ([]int64, error) {
	n := 0
	for _, c := range m.columns {
		if c.size == 0 {
			n += 4
		}
	}
	if int64(n) > end-begin {
		return nil, fmt.Errorf("it has %d bytes, fewer than the sizes of its columns", end-begin)
	}
	buf := make([]byte, n)
	if _, err := m.readAt(buf, begin); err != nil {
		return nil, err
	}
	sizes, sum := make([]int64, len(m.columns)), int64(n)
	for i, c := range m.columns {
		if sizes[i] = c.size; c.size == 0 {
			sizes[i] = int64(binary.LittleEndian.Uint32(buf))
			buf = buf[4:]
		}
		sum += sizes[i]
	}
	if sum != end-begin {
		return nil, fmt.Errorf("it has %d bytes; its columns say %d", end-begin, sum)
	}
	return sizes, nil
}

func (m *mdsReader) readAt(p []byte, at int64) (int, error) {
	n, err := m.data.ReadAt(p, at)
	if n == len(p) {
		return n, nil
	}
	if err == io.EOF || err == nil {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (m *mdsReader) key(at, size int64) error {
	if size > int64(m.lim.MaxName) {
		return fmt.Errorf("it has %d bytes; the limit is %d", size, m.lim.MaxName)
	}
	key := make([]byte, size)
	_, err := m.readAt(key, at)
	m.entry.Key = string(key)
	return err
}

func (m *mdsReader) value(c mdsRead, at, size int64) error {
	v := mdsValue{at: at, size: size}
	if c.dtype != "" {
		shape, skip, err := c.shape, int64(0), error(nil)
		if shape == nil {
			if shape, skip, err = m.arrayShape(at, size); err != nil {
				return err
			}
		}
		want := int64(mdsWidth(c.dtype))
		for _, d := range shape {
			if want > math.MaxInt64/int64(max(d, 1)) {
				return fmt.Errorf("shape %v is too large", shape)
			}
			want *= int64(d)
		}
		if want != size-skip {
			return fmt.Errorf("%d bytes for an array of %s with shape %v", size-skip, c.dtype, shape)
		}
		v = mdsValue{head: npyHead(c.dtype, shape), at: at + skip, size: size - skip}
	}
	m.values = append(m.values, v)
	m.entry.Fields = append(m.entry.Fields, FieldEntry{Name: c.field, Offset: at, Size: int64(len(v.head)) + v.size})
	return nil
}

// arrayShape reads the shape before an array's values, and says its length in bytes.
func (m *mdsReader) arrayShape(at, size int64) ([]int, int64, error) {
	buf := make([]byte, min(size, 1+8*mostMDSDims))
	if _, err := m.readAt(buf, at); err != nil {
		return nil, 0, err
	}
	if len(buf) == 0 {
		return nil, 0, errors.New("an array without a shape")
	}
	dims, width := int(buf[0]>>2), 1<<(buf[0]&3)
	if len(buf) < 1+dims*width {
		return nil, 0, fmt.Errorf("a shape of %d dimensions in %d bytes", dims, size)
	}
	shape := make([]int, dims)
	for i := range shape {
		var d [8]byte
		copy(d[:], buf[1+i*width:1+(i+1)*width])
		n := binary.LittleEndian.Uint64(d[:])
		if n >= mostMDS {
			return nil, 0, fmt.Errorf("a dimension of %d", n)
		}
		shape[i] = int(n)
	}
	return shape, int64(1 + dims*width), nil
}

func (m *mdsReader) Open(i int) io.Reader {
	v := m.values[i]
	data := &whole{io.NewSectionReader(m.data, v.at, v.size), v.size}
	if len(v.head) == 0 {
		return data
	}
	return io.MultiReader(bytes.NewReader(v.head), data)
}
