package backfill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/pipeline"
)

// parquetTable is a list in parquet, read a few rows of one row group at a time.
type parquetTable struct {
	file   *parquet.File
	schema *parquet.Schema
	cols   columns
	group  int
	rows   parquet.Rows // of the group before group; nil between two
	buf    []parquet.Row
	ready  []parquet.Row // of buf, not yet given
	given  int64
	end    bool
}

func openParquet(b blob, opt Options) (table, error) {
	if err := checkFooter(b); err != nil {
		return nil, err
	}
	t := &parquetTable{buf: make([]parquet.Row, 64)}
	err := guarded(func() (err error) {
		t.file, err = parquet.OpenFile(b.reader(), b.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("it can not be read as parquet: %w", err)
	}
	t.schema = t.file.Schema()
	var names []string
	for _, f := range t.schema.Fields() {
		names = append(names, f.Name())
	}
	if t.cols, err = choose(names, opt); err != nil {
		return nil, err
	}
	for _, i := range []int{t.cols.url, t.cols.text} {
		if i >= 0 && !(t.schema.Fields()[i].Leaf() && t.schema.Fields()[i].Type().Kind() == parquet.ByteArray) {
			return nil, fmt.Errorf("its column %.80q does not hold text", names[i])
		}
	}
	return t, nil
}

// checkFooter bounds the footer before the library allocates what the file claims.
func checkFooter(b blob) error {
	var tail [8]byte
	if b.size < 12 {
		return errors.New("it is too short to be parquet")
	}
	if _, err := b.file.ReadAt(tail[:], b.size-8); err != nil {
		return err
	}
	if string(tail[4:]) != "PAR1" {
		return errors.New("it does not end as parquet does: it is encrypted, cut off, or of another format")
	}
	if n := int64(binary.LittleEndian.Uint32(tail[:])); n > min(b.size-12, maxFooter) {
		return fmt.Errorf("its footer claims %d bytes of %d; %d are allowed", n, b.size, maxFooter)
	}
	return nil
}

// guarded runs a call of the library, which panics on some malformed files.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed: %v", p)
		}
	}()
	return f()
}

func (t *parquetTable) next() (row, error) {
	if t.end {
		return row{}, io.EOF
	}
	r := row{}
	err := guarded(func() error {
		if err := t.fill(); err != nil {
			return err
		}
		raw := t.ready[0]
		t.ready = t.ready[1:]
		t.given++
		var v any
		if err := t.schema.Reconstruct(&v, raw); err != nil {
			return err
		}
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("a row came out as %T", v)
		}
		return t.row(m, &r)
	})
	var disk *fs.PathError
	switch {
	case err == nil:
		return r, nil
	case err == io.EOF:
		t.end = true
		return row{}, io.EOF
	case errors.As(err, &disk):
		return row{}, err
	}
	t.end = true // columns are out of step after a fault
	return row{}, refuse(pipeline.CodeMsgInvalid, "it and all rows after it can not be read: %v", err)
}

// fill sees to it that a row is ready.
func (t *parquetTable) fill() error {
	for len(t.ready) == 0 {
		if t.rows == nil {
			groups := t.file.RowGroups()
			if t.group == len(groups) {
				return io.EOF
			}
			t.rows = groups[t.group].Rows()
			t.group++
		}
		n, err := t.rows.ReadRows(t.buf)
		t.ready = t.buf[:n]
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 { // the end of the group
			if err := t.rows.Close(); err != nil {
				return err
			}
			t.rows = nil
		}
	}
	return nil
}

func (t *parquetTable) row(m map[string]any, r *row) (err error) {
	fields := t.schema.Fields()
	value := func(i int) any { return plainValue(fields[i], m[t.cols.names[i]]) }
	r.uri, _ = value(t.cols.url).(string)
	r.uri = strings.Clone(r.uri) // the library's strings may alias its page
	if t.cols.text >= 0 {
		s, _ := value(t.cols.text).(string)
		r.text = strings.Clone(s)
	}
	var o object
	for _, i := range t.cols.meta {
		o.add(t.cols.names[i], value(i))
	}
	r.meta, err = o.bytes()
	return err
}

func (t *parquetTable) progress() progress {
	n := t.file.NumRows()
	p := progress{share: 1, left: max(n-t.given, 0)}
	if n > 0 && !t.end {
		p.share = min(1, float64(t.given)/float64(n))
	}
	if t.end {
		p.left = 0
	}
	return p
}

func (t *parquetTable) close() error {
	if t.rows == nil {
		return nil
	}
	return guarded(t.rows.Close)
}
