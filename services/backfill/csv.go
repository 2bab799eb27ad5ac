package backfill

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// csvTable is a list with a header, its fields divided by commas or tabs and quoted as
// in RFC 4180. Quotes inside an unquoted field stand for themselves. All values are
// text and stay so.
type csvTable struct {
	*rowScanner
	cols columns
}

func openCSV(b blob, comma byte, opt Options) (table, error) {
	t := &csvTable{rowScanner: newRowScanner(b, comma)}
	line, err := t.rowScanner.next()
	if err == io.EOF {
		return nil, errors.New("it is empty: the first row should name the columns")
	}
	if err != nil {
		return nil, fmt.Errorf("its first row, which should name the columns: %w", err)
	}
	names, err := t.fields(bytes.TrimPrefix(line, bom))
	if err != nil {
		return nil, fmt.Errorf("its first row, which should name the columns: %w", err)
	}
	t.cols, err = choose(names, opt)
	return t, err
}

func (t *csvTable) next() (row, error) {
	line, err := t.rowScanner.next()
	if err != nil {
		return row{}, err
	}
	f, err := t.fields(line)
	if err != nil {
		return row{}, err
	}
	if len(f) != len(t.cols.names) {
		return row{}, refuse(pipeline.CodeMsgInvalid, "it has %d fields where the first row has %d", len(f), len(t.cols.names))
	}
	r := row{uri: f[t.cols.url]}
	if t.cols.text >= 0 {
		r.text = f[t.cols.text]
	}
	var o object
	for _, i := range t.cols.meta {
		o.add(t.cols.names[i], f[i])
	}
	r.meta, err = o.bytes()
	return r, err
}

// fields reads one row with the standard parser.
func (t *csvTable) fields(line []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(line))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = rune(t.comma), true, -1
	f, err := r.Read()
	if err == nil {
		if _, err := r.Read(); err != io.EOF {
			return nil, refuse(pipeline.CodeMsgInvalid, "its quotes are not balanced")
		}
		return f, nil
	}
	return nil, refuse(pipeline.CodeMsgInvalid, "it is malformed: %v", err)
}

// object builds a JSON object in the order of its columns.
type object struct {
	b   []byte
	err *codecs.Error
}

func (o *object) add(name string, value any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // what the list says stays as it is
	if err := enc.Encode(value); err != nil {
		o.err = refuse(pipeline.CodeMsgInvalid, "the column %.80q can not be written as JSON: %v", name, err)
		return
	}
	o.addRaw(name, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func (o *object) addRaw(name string, raw []byte) {
	if o.b == nil {
		o.b = append(o.b, '{')
	} else {
		o.b = append(o.b, ',')
	}
	key, _ := json.Marshal(name) // a string always is JSON
	o.b = append(append(append(o.b, key...), ':'), raw...)
}

// bytes is nil for no columns.
func (o *object) bytes() (json.RawMessage, error) {
	if o.err != nil {
		return nil, o.err
	}
	if o.b == nil {
		return nil, nil
	}
	return append(o.b, '}'), nil
}
