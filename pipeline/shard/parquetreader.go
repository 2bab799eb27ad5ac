package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
)

// parquetReader reads what parquetLayout writes, and what others write with such
// columns. It holds the pages of one row of each column in memory.
type parquetReader struct {
	file    *parquet.File
	guard   pageGuard
	lim     Limits
	columns []parquetColumn
	group   int // the next row group
	rows    parquet.Rows
	row     []parquet.Row
	byLeaf  [][]parquet.Value
	keys    map[string]struct{}
	entry   Entry
	values  []fieldValue // of entry's fields
	err     error
}

// fieldValue is a field in two parts.
type fieldValue struct{ head, data []byte }

func (*parquetLayout) open(r io.ReaderAt, size int64, lim Limits) (Reader, error) {
	if err := checkFooter(r, size); err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	p := &parquetReader{lim: lim, row: make([]parquet.Row, 1), keys: map[string]struct{}{}}
	err := caught(func() (err error) {
		p.file, err = parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.FileReadMode(parquet.ReadModeSync))
		return err
	})
	if err == nil {
		err = p.readColumns()
	}
	if n := p.rowsOf(err); n > int64(lim.MaxSamples) {
		err = fmt.Errorf("%d samples; the limit is %d", n, lim.MaxSamples)
	}
	if err != nil {
		return nil, fmt.Errorf("parquet: %w", err)
	}
	p.guard = pageGuard{data: r, size: size, most: lim.MaxSampleBytes}
	return p, nil
}

func (p *parquetReader) rowsOf(err error) int64 {
	if err != nil {
		return 0
	}
	return p.file.NumRows()
}

// caught makes a panic of the library an error: it has some left for foreign bytes.
func caught(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parquet library can not read it: %v", r)
		}
	}()
	return f()
}

// readColumns knows columns by their structure.
func (p *parquetReader) readColumns() error {
	names := map[string]struct{}{}
	leaves := 0
	for _, c := range p.file.Root().Columns() {
		col, err := readColumn(c)
		if err != nil {
			return err
		}
		col.leaf = leaves
		leaves += col.leaves()
		if len(col.name) > p.lim.MaxName {
			return fmt.Errorf("a column's name has %d bytes; the limit is %d", len(col.name), p.lim.MaxName)
		}
		if _, twice := names[col.field]; twice {
			return fmt.Errorf("column %q comes twice", col.name)
		}
		names[col.field] = struct{}{}
		p.columns = append(p.columns, col)
	}
	if len(p.columns) > p.lim.MaxFields+1 {
		return fmt.Errorf("%d columns; the limit is %d", len(p.columns), p.lim.MaxFields+1)
	}
	p.byLeaf = make([][]parquet.Value, leaves)
	return nil
}

func readColumn(c *parquet.Column) (parquetColumn, error) {
	col := parquetColumn{name: c.Name(), field: c.Name()}
	blob := func(c *parquet.Column) bool {
		return c.Leaf() && c.Type().Kind() == parquet.ByteArray && !c.Repeated()
	}
	sub := c.Columns()
	names := make([]string, len(sub))
	for i, s := range sub {
		names[i] = s.Name()
	}
	switch {
	case c.Name() == keyColumn && blob(c):
		col.field = ""
		return col, nil
	case blob(c):
		return col, nil
	case c.Repeated():
	case slices.Equal(names, []string{"bytes", "path"}) && blob(sub[0]) && blob(sub[1]):
		col.kind = kindImage // or any other medium
		return col, nil
	case slices.Equal(names, []string{"data", "dtype", "shape"}) && blob(sub[0]) && blob(sub[1]) && isShape(sub[2]):
		col.kind, col.field = kindArray, arrayField(c.Name())
		return col, nil
	}
	return col, fmt.Errorf("column %q is no string or binary, no medium (bytes, path) and no array (data, dtype, shape)", c.Name())
}

// isShape tells a list of 64-bit numbers, in the three levels of the format's standard.
func isShape(c *parquet.Column) bool {
	for range 2 {
		if c.Leaf() || len(c.Columns()) != 1 {
			return false
		}
		c = c.Columns()[0]
	}
	return c.Leaf() && c.Type().Kind() == parquet.Int64 && !c.Repeated()
}

func (p *parquetReader) Next() (*Entry, error) {
	if p.err == nil {
		if err := caught(p.sample); err == io.EOF {
			p.err = err
		} else if err != nil {
			p.err = fmt.Errorf("parquet, sample %d: %w", len(p.keys), err)
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	return &p.entry, nil
}

func (p *parquetReader) sample() error {
	row, err := p.read()
	if err != nil {
		return err
	}
	for i := range p.byLeaf {
		p.byLeaf[i] = p.byLeaf[i][:0]
	}
	for _, v := range row {
		p.byLeaf[v.Column()] = append(p.byLeaf[v.Column()], v)
	}
	p.entry = Entry{Key: fmt.Sprint(len(p.keys)), Fields: p.entry.Fields[:0]}
	p.values = p.values[:0]
	for _, c := range p.columns {
		if err := p.field(c); err != nil {
			return fmt.Errorf("column %q: %w", c.name, err)
		}
	}
	p.entry.Length = p.entry.Bytes()
	if _, twice := p.keys[p.entry.Key]; twice {
		return fmt.Errorf("key %q comes twice", p.entry.Key)
	}
	p.keys[p.entry.Key] = struct{}{}
	return nil
}

// read gives the next row, whose values hold until the following call.
func (p *parquetReader) read() (parquet.Row, error) {
	for {
		if p.rows == nil {
			groups := p.file.RowGroups()
			if p.group == len(groups) {
				if int64(len(p.keys)) != p.file.NumRows() {
					return nil, fmt.Errorf("there are %d rows; its end says %d", len(p.keys), p.file.NumRows())
				}
				return nil, io.EOF
			}
			if err := p.guard.check(&p.file.Metadata().RowGroups[p.group]); err != nil {
				return nil, err
			}
			p.rows = groups[p.group].Rows()
			p.group++
		}
		n, err := p.rows.ReadRows(p.row)
		if n == 1 {
			if len(p.keys) >= p.lim.MaxSamples {
				return nil, fmt.Errorf("more than %d samples", p.lim.MaxSamples)
			}
			return p.row[0], nil
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		if err = errors.Join(p.rows.Close(), notEOF(err)); err != nil {
			return nil, err
		}
		p.rows = nil
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// field reads one column of the row.
func (p *parquetReader) field(c parquetColumn) error {
	v, err := p.one(c.leaf)
	if err != nil || v.IsNull() {
		return err
	}
	data := v.ByteArray()
	switch {
	case c.field == "":
		if len(data) > p.lim.MaxName {
			return fmt.Errorf("the key has %d bytes; the limit is %d", len(data), p.lim.MaxName)
		}
		p.entry.Key = string(data)
		return nil
	case c.kind == kindArray:
		return p.array(c, data)
	}
	p.add(c.field, nil, data)
	return nil
}

func (p *parquetReader) one(leaf int) (parquet.Value, error) {
	vs := p.byLeaf[leaf]
	if len(vs) != 1 {
		return parquet.Value{}, fmt.Errorf("%d values in one row", len(vs))
	}
	return vs[0], nil
}

func (p *parquetReader) add(field string, head, data []byte) {
	p.entry.Fields = append(p.entry.Fields, FieldEntry{Name: field, Size: int64(len(head) + len(data))})
	p.values = append(p.values, fieldValue{head, data})
}

func (p *parquetReader) array(c parquetColumn, data []byte) error {
	dtype, err := p.one(c.leaf + 1)
	if err != nil {
		return err
	}
	width := mdsWidth(string(dtype.ByteArray()))
	if dtype.IsNull() || width == 0 {
		return fmt.Errorf("an array of dtype %.40q", dtype.ByteArray())
	}
	shape, want := []int{}, int64(width)
	for _, v := range p.byLeaf[c.leaf+2] {
		if v.IsNull() {
			continue // an empty list, as a scalar has
		}
		d := v.Int64()
		if d < 0 || d >= mostMDS || len(shape) == mostMDSDims || want > mostMDS/max(d, 1) {
			return fmt.Errorf("an array with a dimension of %d after %v", d, shape)
		}
		shape, want = append(shape, int(d)), want*d
	}
	if want != int64(len(data)) {
		return fmt.Errorf("%d bytes for an array of %s with shape %v", len(data), dtype.ByteArray(), shape)
	}
	p.add(c.field, npyHead(string(dtype.ByteArray()), shape), data)
	return nil
}

func (p *parquetReader) Open(i int) io.Reader {
	v := p.values[i]
	return io.MultiReader(bytes.NewReader(v.head), bytes.NewReader(v.data))
}
