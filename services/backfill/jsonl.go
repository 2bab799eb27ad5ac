package backfill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// maxDepth is how deep a row's JSON may be nested.
const maxDepth = 16

// jsonl is a list of one JSON object a line. Which columns a row has is its own
// affair; values become meta as they are written.
type jsonl struct {
	*rowScanner
	opt   Options
	first []byte // the row that was read to check the list
	begun bool
}

func openJSONL(b blob, opt Options) (table, error) {
	t := &jsonl{rowScanner: newRowScanner(b, 0), opt: opt}
	line, err := t.rowScanner.next()
	if err == io.EOF {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("its first row: %w", err)
	}
	t.first = bytes.TrimPrefix(bytes.Clone(line), bom)
	if _, err := t.row(t.first); err != nil {
		return nil, fmt.Errorf("its first row: %w", err)
	}
	return t, nil
}

func (t *jsonl) next() (row, error) {
	if line := t.first; line != nil {
		t.first = nil
		return t.row(line)
	}
	line, err := t.rowScanner.next()
	if err != nil {
		return row{}, err
	}
	return t.row(line)
}

func (t *jsonl) row(line []byte) (row, error) {
	names, values, err := readObject(line)
	if err != nil {
		return row{}, err
	}
	opt := t.opt
	opt.MetaColumns = nil // a row may lack some
	c, err := choose(names, opt)
	if err != nil {
		return row{}, refuse(pipeline.CodeMsgInvalid, "%v", err)
	}
	r := row{}
	if json.Unmarshal(values[c.url], &r.uri) != nil {
		return row{}, refuse(pipeline.CodeMsgInvalid, "the value of %.80q is not a string", names[c.url])
	}
	if c.text >= 0 && json.Unmarshal(values[c.text], &r.text) != nil {
		return row{}, refuse(pipeline.CodeMsgInvalid, "the value of %.80q is not a string", names[c.text])
	}
	var o object
	for _, i := range c.meta {
		if t.opt.MetaColumns == nil || slices.Contains(t.opt.MetaColumns, names[i]) {
			o.addRaw(names[i], values[i])
		}
	}
	r.meta, err = o.bytes()
	return r, err
}

// readObject reads one object, keeping its order and its values' bytes.
func readObject(line []byte) (names []string, values []json.RawMessage, err error) {
	bad := func(err error) error {
		if e := codecs.AsError(err); e != nil {
			return e
		}
		return refuse(pipeline.CodeMsgInvalid, "it is not a JSON object: %v", err)
	}
	if err := checkDepth(line); err != nil {
		return nil, nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, bad(fmt.Errorf("it begins with %.10q", line))
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, nil, bad(err)
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, nil, bad(err)
		}
		names, values = append(names, key.(string)), append(values, v)
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, bad(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, nil, bad(fmt.Errorf("something follows it"))
	}
	return names, values, nil
}

func checkDepth(line []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return refuse(pipeline.CodeMsgLimit, "its JSON is nested more than %d deep", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
