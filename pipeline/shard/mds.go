package shard

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// MDS, read in mosaicml-streaming 0.13.0 (streaming/base/format/mds). All numbers are
// little-endian:
//
//	u32 n, u32 offset[n+1], columns as JSON, samples
//
// A sample is a u32 size for each column without a fixed size, then the values. The
// library takes the columns from its index, never from the file; so that ours can be
// read without an index, they are here too, as the library's writer has them.
const (
	mdsVersion = 2
	// mostMDS is one more than a 32-bit offset can say.
	mostMDS = 1 << 32
	// mostMDSDims is what the six bits before an array's shape can say.
	mostMDSDims = 63
)

// mdsLayout is one shard: its columns are those of its first sample.
type mdsLayout struct {
	zstd    bool
	columns []mdsColumn
	head    []byte // the columns' JSON
	sum     string // their shape
	buf     []byte
}

// mdsColumn is one column of one sample.
type mdsColumn struct {
	name     string
	encoding string
	isBool   bool // MDS has no truth values: they are uint8 there
	field    int  // of the sample; -1 is the key
}

const mdsArray = "ndarray:"

// mdsColumns are a sample's columns in the order of their names, as the library's
// writer has them.
func mdsColumns(s *pipeline.Sample) []mdsColumn {
	cs := make([]mdsColumn, 0, len(s.Fields)+1)
	cs = append(cs, mdsColumn{name: keyColumn, encoding: "str", field: -1})
	for i, f := range s.Fields {
		c := mdsColumn{name: f.Name, encoding: "bytes", field: i}
		switch k := kindOf(f.Name); {
		case k == kindJSON && isJSON(f.Data):
			c.encoding = "json"
		case k == kindText && utf8.Valid(f.Data):
			c.encoding = "str"
		case k == kindImage && strings.HasSuffix(f.Name, "png"):
			c.encoding = "png"
		case k == kindImage && !strings.HasSuffix(f.Name, "webp"):
			c.encoding = "jpeg"
		case k == kindArray:
			// The library knows no array without elements or dimensions: such a one stays
			// a .npy file.
			if a, ok := parseArray(f.Data); ok && len(a.Data) > 0 && len(a.Shape) > 0 && len(a.Shape) <= mostMDSDims {
				c.name = arrayColumn(f.Name, func(name string) bool { return hasField(s, name) })
				c.encoding = mdsArray + a.DType
				if c.isBool = a.DType == "bool"; c.isBool {
					c.encoding = mdsArray + "uint8"
				}
			}
		}
		cs = append(cs, c)
	}
	slices.SortFunc(cs, func(a, b mdsColumn) int { return strings.Compare(a.name, b.name) })
	return cs
}

func hasField(s *pipeline.Sample, name string) bool {
	return slices.ContainsFunc(s.Fields, func(f pipeline.Field) bool { return f.Name == name })
}

func mdsShape(cs []mdsColumn) string {
	var b strings.Builder
	for _, c := range cs {
		b.WriteString(c.name + "=" + c.encoding)
		if c.isBool {
			b.WriteString("(bool)")
		}
		b.WriteByte(';')
	}
	return b.String()
}

// mdsHead is the JSON in a file's head. The member Bool is ours: the library does not
// read it.
type mdsHead struct {
	Bool            []string `json:"bool_columns,omitempty"`
	ColumnEncodings []string `json:"column_encodings"`
	ColumnNames     []string `json:"column_names"`
	ColumnSizes     []*int64 `json:"column_sizes"` // null: each value says its own
	Compression     *string  `json:"compression"`
	Format          string   `json:"format"`
	Hashes          []string `json:"hashes"`
	SizeLimit       *int64   `json:"size_limit"`
	Version         int      `json:"version"`
}

func newMDSHead(cs []mdsColumn, compressed bool) mdsHead {
	h := mdsHead{Format: MDS, Hashes: []string{"sha256"}, Version: mdsVersion, ColumnSizes: make([]*int64, len(cs))}
	for _, c := range cs {
		h.ColumnNames = append(h.ColumnNames, c.name)
		h.ColumnEncodings = append(h.ColumnEncodings, c.encoding)
		if c.isBool {
			h.Bool = append(h.Bool, c.name)
		}
	}
	if compressed {
		name := Zstd
		h.Compression = &name
	}
	return h
}

func (l *mdsLayout) ext() string {
	if l.zstd {
		return ".mds.zstd"
	}
	return ".mds"
}

func (*mdsLayout) shape(s *pipeline.Sample) string { return mdsShape(mdsColumns(s)) }

func (l *mdsLayout) check(s *pipeline.Sample, at int64, n int) error {
	cs := mdsColumns(s)
	if n == 0 {
		head, err := json.Marshal(newMDSHead(cs, l.zstd))
		if err != nil {
			return err
		}
		l.head, l.sum = head, mdsShape(cs)
	} else if got := mdsShape(cs); got != l.sum {
		return refuse(s.Key, "its columns are %s; the shard's are %s: it belongs into another shard", got, l.sum)
	}
	l.columns = cs
	size := int64(len(s.Key)) + s.Bytes() + 4*int64(len(cs)) // a little more than it will be
	switch room := mostMDS - mdsData(n+1, len(l.head)); {
	case at+size < room:
		return nil
	case n == 0:
		return refuse(s.Key, "it has %d bytes; an MDS shard has less than 4 GiB", size)
	}
	return ErrFull
}

// mdsData is where the samples of a file begin.
func mdsData(samples, head int) int64 { return 4*int64(samples+2) + int64(head) }

func (l *mdsLayout) put(w io.Writer, at int64, s *pipeline.Sample) (Entry, error) {
	e := Entry{Key: s.Key, Offset: at, Fields: make([]FieldEntry, len(s.Fields))}
	at += 4 * int64(len(l.columns))
	sizes, values := l.buf[:0], make([][2][]byte, len(l.columns))
	for i, c := range l.columns {
		v := &values[i]
		if c.field < 0 {
			v[1] = []byte(s.Key)
		} else {
			f := s.Fields[c.field]
			v[1] = f.Data
			if strings.HasPrefix(c.encoding, mdsArray) {
				a, ok := parseArray(f.Data)
				if !ok {
					return e, fmt.Errorf("field %q changed while it was written", f.Name)
				}
				v[0], v[1] = appendMDSShape(nil, a.Shape), a.Data
			}
			e.Fields[c.field] = FieldEntry{Name: f.Name, Offset: at, Size: int64(len(f.Data))}
		}
		n := len(v[0]) + len(v[1])
		sizes = binary.LittleEndian.AppendUint32(sizes, uint32(n))
		at += int64(n)
	}
	l.buf = sizes
	e.Length = at - e.Offset
	if _, err := w.Write(sizes); err != nil {
		return e, err
	}
	for _, v := range values {
		for _, part := range v {
			if _, err := w.Write(part); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

// appendMDSShape writes what stands before an array's values: a byte with the number of
// dimensions and, in its low two bits, the logarithm of a dimension's width; then the
// dimensions.
func appendMDSShape(dst []byte, shape []int) []byte {
	width := 0
	switch most := slices.Max(shape); {
	case most > math.MaxUint32:
		width = 3
	case most > math.MaxUint16:
		width = 2
	case most > math.MaxUint8:
		width = 1
	}
	dst = append(dst, byte(len(shape)<<2|width))
	for _, d := range shape {
		dst = append(dst, binary.LittleEndian.AppendUint64(nil, uint64(d))[:1<<width]...)
	}
	return dst
}

// finish writes the head, whose size follows from the number of samples, into a new
// file, and the samples behind it.
func (l *mdsLayout) finish(f *os.File, at int64, entries []Entry, create func() (*os.File, error)) (*os.File, error) {
	start := mdsData(len(entries), len(l.head))
	head := make([]byte, 0, start)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(entries)))
	for i := range entries {
		move(&entries[i], start)
		head = binary.LittleEndian.AppendUint32(head, uint32(entries[i].Offset))
	}
	head = binary.LittleEndian.AppendUint32(head, uint32(start+at))
	head = append(head, l.head...)
	out, err := create()
	if err != nil {
		return nil, err
	}
	if err := l.copy(out, head, f, at); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

func (*mdsLayout) sidecars([]Entry) []Sidecar { return nil }

func move(e *Entry, by int64) {
	e.Offset += by
	for i := range e.Fields {
		e.Fields[i].Offset += by
	}
}

func (l *mdsLayout) copy(out *os.File, head []byte, samples *os.File, size int64) error {
	if _, err := samples.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var w io.Writer = out
	finish := func() error { return nil }
	if l.zstd {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			return err
		}
		// The frame's head then says the size, which the library needs to decompress, and
		// the index of a snapshot to name it.
		enc.ResetContentSize(out, int64(len(head))+size)
		w, finish = enc, enc.Close
	}
	if _, err := w.Write(head); err != nil {
		return errors.Join(err, finish())
	}
	if n, err := io.Copy(w, samples); err != nil || n != size {
		return errors.Join(err, finish(), shortCopy(n, size))
	}
	return finish()
}

func shortCopy(n, want int64) error {
	if n == want {
		return nil
	}
	return fmt.Errorf("%d of %d spooled bytes came back: %w", n, want, io.ErrUnexpectedEOF)
}

// mdsDType is the dtype of an array's encoding, as package patch names it.
func mdsDType(encoding string, isBool bool) string {
	if isBool {
		return "bool"
	}
	dtype, _, _ := strings.Cut(strings.TrimPrefix(encoding, mdsArray), ":")
	return dtype
}

// mdsWidths are the bytes of one value of each dtype of MDS that package patch has too.
func mdsWidth(dtype string) int {
	switch dtype {
	case patch.UInt8, "bool":
		return 1
	case patch.Float16, "uint16":
		return 2
	case patch.Float32, "int32":
		return 4
	case "int64", "float64":
		return 8
	}
	return 0
}
