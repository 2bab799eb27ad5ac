package shard

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	pqzstd "github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/millrace/millrace/pipeline"
)

// Parquet, with the conventions of Hugging Face datasets. A column is
//
//	__key__                 string
//	X.json, X.txt           string
//	pictures, sound, video  struct{bytes binary, path string}, the path being KEY.FIELD
//	X of a field X.npy      struct{data binary, dtype string, shape list<int64>}
//	all else                binary
//
// and null where a sample does not have the field. The member "huggingface" of the
// file's metadata makes load_dataset decode pictures, sound and video. An array is
//
//	numpy.frombuffer(x["data"], x["dtype"]).reshape(x["shape"])
//
// exactly, of any shape in each row, and without a copy; lists of numbers are neither
// (parquet keeps uint8 in 32 bits), and the Array2D types fix all dimensions but one.
const (
	// rowGroupBytes is how much of its samples a row group holds, at least. It bounds
	// what is in memory, in writing and in reading.
	rowGroupBytes = 32 << 20
	// mostValue is below what a page's 32-bit size can say.
	mostValue = 1<<31 - 1<<20
	hfKey     = "huggingface"
)

type parquetLayout struct {
	compression string
	names       []string // of the fields that get columns
	group       int64    // bytes of metadata for a row group,
	counted     int      // of so many fields
}

func newParquetLayout(o Options) *parquetLayout {
	return &parquetLayout{compression: o.Compression, names: slices.Clone(o.Fields)}
}

func (*parquetLayout) ext() string                   { return ".parquet" }
func (*parquetLayout) shape(*pipeline.Sample) string { return "" }
func (*parquetLayout) sidecars([]Entry) []Sidecar    { return nil }

func (l *parquetLayout) check(s *pipeline.Sample, at int64, n int) error {
	for _, f := range s.Fields {
		if len(f.Data) > mostValue {
			return refuse(s.Key, "field %q has %d bytes; a parquet value has at most %d", f.Name, len(f.Data), mostValue)
		}
		switch kindOf(f.Name) {
		case kindArray:
			if _, ok := parseArray(f.Data); !ok {
				return refuse(s.Key, "field %q is no array as numpy.save writes it (version 1.0, C order, little-endian)", f.Name)
			}
		case kindJSON, kindText:
			if !utf8.Valid(f.Data) {
				return refuse(s.Key, "field %q is no UTF-8", f.Name)
			}
		}
		if !slices.Contains(l.names, f.Name) {
			l.names = append(l.names, f.Name)
		}
	}
	if n > 0 && l.footer(at+s.Bytes()) > mostFooter {
		return ErrFull
	}
	return nil
}

// footer is a bit more than the metadata takes that a file of so many bytes ends with.
func (l *parquetLayout) footer(bytes int64) int64 {
	if l.counted != len(l.names) {
		const leaf = 160 // without its column's name
		l.group, l.counted = 0, len(l.names)
		for _, c := range parquetColumns(l.names) {
			l.group += int64(c.leaves() * (leaf + len(c.name)))
		}
	}
	return (bytes/rowGroupBytes + 2) * l.group // the schema takes less than one more
}

// put spools the fields one after another. Only finish knows all columns.
func (*parquetLayout) put(w io.Writer, at int64, s *pipeline.Sample) (Entry, error) {
	e := Entry{Key: s.Key, Offset: at, Length: s.Bytes(), Fields: make([]FieldEntry, len(s.Fields))}
	for i, f := range s.Fields {
		e.Fields[i] = FieldEntry{Name: f.Name, Offset: at, Size: int64(len(f.Data))}
		at += int64(len(f.Data))
		if _, err := w.Write(f.Data); err != nil {
			return e, err
		}
	}
	return e, nil
}

func (l *parquetLayout) finish(f *os.File, _ int64, entries []Entry, create func() (*os.File, error)) (*os.File, error) {
	out, err := create()
	if err != nil {
		return nil, err
	}
	if err := l.write(out, f, entries); err != nil {
		out.Close()
		return nil, err
	}
	for i := range entries {
		e := &entries[i]
		e.Offset = 0
		for k := range e.Fields {
			e.Fields[k].Offset = 0
		}
	}
	return out, nil
}

func (l *parquetLayout) write(out io.Writer, spooled io.ReaderAt, entries []Entry) error {
	columns := parquetColumns(l.names)
	features, err := json.Marshal(hfInfo(columns))
	if err != nil {
		return err
	}
	schema := parquet.NewSchema("schema", parquetSchema(columns))
	options := []parquet.WriterOption{
		schema, parquet.CreatedBy("millrace", "1", "shard"), parquet.DataPageStatistics(false),
		parquet.KeyValueMetadata(hfKey, string(features)),
	}
	for _, path := range schema.Columns() {
		options = append(options, parquet.SkipPageBounds(path...)) // of blobs: they would be copied into the footer
	}
	if l.compression == Zstd {
		options = append(options, parquet.Compression(&pqzstd.Codec{Level: pqzstd.SpeedDefault, Concurrency: 1}))
	}
	w := parquet.NewGenericWriter[any](out, options...)
	r := rowMaker{columns: columns, data: spooled}
	var held int64
	for i := range entries {
		row, err := r.row(&entries[i])
		if err != nil {
			return err
		}
		if _, err := w.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
		if held += entries[i].Length; held >= rowGroupBytes {
			if err := w.Flush(); err != nil {
				return err
			}
			held = 0
		}
	}
	return w.Close()
}

// parquetColumn is one column and what becomes of its field. Columns stand in the order
// of their names; a column's leaves in the order of theirs.
type parquetColumn struct {
	name  string
	field string // "" is the key
	kind  kind
	leaf  int // the index of its first leaf
}

func (c parquetColumn) leaves() int {
	switch c.kind {
	case kindArray:
		return 3 // data, dtype, shape
	case kindImage, kindAudio, kindVideo:
		return 2 // bytes, path
	}
	return 1
}

func parquetColumns(fields []string) []parquetColumn {
	cs := []parquetColumn{{name: keyColumn, kind: kindText}}
	for _, f := range slices.Compact(slices.Sorted(slices.Values(fields))) {
		c := parquetColumn{name: f, field: f, kind: kindOf(f)}
		if c.kind == kindArray {
			c.name = arrayColumn(f, func(name string) bool { return slices.Contains(fields, name) })
		}
		cs = append(cs, c)
	}
	slices.SortFunc(cs, func(a, b parquetColumn) int { return strings.Compare(a.name, b.name) })
	leaf := 0
	for i := range cs {
		cs[i].leaf = leaf
		leaf += cs[i].leaves()
	}
	return cs
}

func parquetSchema(columns []parquetColumn) parquet.Group {
	text := parquet.Optional(parquet.Encoded(parquet.String(), &parquet.Plain))
	blob := parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.ByteArrayType), &parquet.Plain))
	number := parquet.Optional(parquet.Encoded(parquet.Int(64), &parquet.Plain))
	g := parquet.Group{}
	for _, c := range columns {
		switch c.kind {
		case kindJSON, kindText:
			g[c.name] = text
		case kindArray:
			g[c.name] = parquet.Optional(parquet.Group{"data": blob, "dtype": text, "shape": parquet.Optional(parquet.List(number))})
		case kindImage, kindAudio, kindVideo:
			g[c.name] = parquet.Optional(parquet.Group{"bytes": blob, "path": text})
		default:
			g[c.name] = blob
		}
	}
	return g
}

// hfInfo is what the library stores of a data set's features (datasets 3 to 5,
// features.py), by column.
func hfInfo(columns []parquetColumn) any {
	type object map[string]any
	value := func(dtype string) object { return object{"dtype": dtype, "_type": "Value"} }
	features := object{}
	for _, c := range columns {
		switch c.kind {
		case kindJSON, kindText:
			features[c.name] = value("string")
		case kindArray:
			features[c.name] = object{
				"data": value("binary"), "dtype": value("string"),
				"shape": object{"feature": value("int64"), "_type": "Sequence"}, // which all versions read
			}
		case kindImage:
			features[c.name] = object{"_type": "Image"}
		case kindAudio:
			features[c.name] = object{"_type": "Audio"}
		case kindVideo:
			features[c.name] = object{"_type": "Video"}
		default:
			features[c.name] = value("binary")
		}
	}
	return object{"info": object{"features": features}}
}

// rowMaker makes a sample's row. A row is valid until the next.
type rowMaker struct {
	columns []parquetColumn
	data    io.ReaderAt
	buf     []byte
	values  parquet.Row
}

func (r *rowMaker) row(e *Entry) (parquet.Row, error) {
	if int64(cap(r.buf)) < e.Length {
		r.buf = make([]byte, e.Length)
	}
	r.buf = r.buf[:e.Length]
	if n, err := r.data.ReadAt(r.buf, e.Offset); n < len(r.buf) {
		return nil, fmt.Errorf("sample %q came back short: %w", e.Key, err)
	}
	r.values = r.values[:0]
	for _, c := range r.columns {
		if c.field == "" {
			r.add(parquet.ByteArrayValue([]byte(e.Key)), 0, 1, c.leaf)
			continue
		}
		i := e.Field(c.field)
		if i < 0 {
			for k := range c.leaves() {
				r.add(parquet.NullValue(), 0, 0, c.leaf+k)
			}
			continue
		}
		f := e.Fields[i]
		data := r.buf[f.Offset-e.Offset:][:f.Size]
		switch c.kind {
		case kindArray:
			if err := r.array(c.leaf, f.Name, data); err != nil {
				return nil, err
			}
		case kindImage, kindAudio, kindVideo:
			r.add(parquet.ByteArrayValue(data), 0, 2, c.leaf)
			r.add(parquet.ByteArrayValue([]byte(e.Key+"."+f.Name)), 0, 2, c.leaf+1)
		default:
			r.add(parquet.ByteArrayValue(data), 0, 1, c.leaf)
		}
	}
	return r.values, nil
}

func (r *rowMaker) add(v parquet.Value, repetition, definition, leaf int) {
	r.values = append(r.values, v.Level(repetition, definition, leaf))
}

// Definition levels of an array's leaf "shape": column, list and element can each be
// null, and the list be empty.
const (
	shapeEmpty = 2
	shapeValue = 4
)

func (r *rowMaker) array(leaf int, field string, data []byte) error {
	a, ok := parseArray(data)
	if !ok {
		return fmt.Errorf("field %q is no array as it was spooled", field)
	}
	r.add(parquet.ByteArrayValue(a.Data), 0, 2, leaf)
	r.add(parquet.ByteArrayValue([]byte(a.DType)), 0, 2, leaf+1)
	if len(a.Shape) == 0 {
		r.add(parquet.NullValue(), 0, shapeEmpty, leaf+2)
	}
	for i, d := range a.Shape {
		r.add(parquet.Int64Value(int64(d)), min(i, 1), shapeValue, leaf+2)
	}
	return nil
}
