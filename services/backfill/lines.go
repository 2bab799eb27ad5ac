package backfill

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// rowScanner cuts a list into rows, in memory of a row's limit. A row that is too
// long, or whose quotes never close, is given as a bad one, and the line after it
// begins a new row.
type rowScanner struct {
	s     *bufio.Scanner
	n     *countReader
	size  int64
	comma byte // 0: quotes mean nothing
	bad   string
	skip  bool // in the rest of a line that is too long
}

func newRowScanner(b blob, comma byte) *rowScanner {
	n := &countReader{r: b.reader()}
	r := &rowScanner{n: n, size: b.size, comma: comma}
	r.s = bufio.NewScanner(n)
	r.s.Buffer(make([]byte, 64<<10), 2*maxRow)
	r.s.Split(r.split)
	return r
}

// next gives the next row, without its line end, valid until the call after it. A
// *codecs.Error is a bad row; io.EOF is the end.
func (r *rowScanner) next() ([]byte, error) {
	for r.s.Scan() {
		if r.bad != "" {
			return nil, refuse(pipeline.CodeMsgLimit, "%s", r.bad)
		}
		if row := bytes.TrimSuffix(r.s.Bytes(), []byte("\r")); len(bytes.TrimSpace(row)) > 0 {
			return row, nil
		}
	}
	if err := r.s.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

func (r *rowScanner) split(data []byte, atEOF bool) (int, []byte, error) {
	if r.bad = ""; len(data) == 0 {
		return 0, nil, nil
	}
	line := bytes.IndexByte(data, '\n')
	if r.skip {
		if line < 0 {
			return len(data), nil, nil
		}
		r.skip = false
		return line + 1, nil, nil
	}
	end, closed := rowEnd(data, r.comma)
	switch {
	case end >= 0 && end <= maxRow:
		return end + 1, data[:end:end], nil
	case end < 0 && closed && atEOF && len(data) <= maxRow:
		return len(data), data, nil
	case end < 0 && !atEOF && len(data) <= maxRow:
		return 0, nil, nil // more is needed
	case line >= 0 && line <= maxRow:
		r.bad = "a quote in it is never closed"
		return line + 1, data[:0], nil
	case line < 0 && atEOF && len(data) <= maxRow:
		r.bad = "a quote in it is never closed"
		return len(data), data[:0], nil
	}
	r.bad, r.skip = "it is longer than 1 MiB", line < 0
	if line < 0 {
		line = len(data) - 1
	}
	return line + 1, data[:0], nil
}

// rowEnd finds the newline that ends a row, or -1; closed says that no quote was open
// at the end of data. A quote opens where a field begins and closes before a comma or
// a line's end, as encoding/csv reads it with LazyQuotes.
func rowEnd(data []byte, comma byte) (end int, closed bool) {
	if comma == 0 {
		return bytes.IndexByte(data, '\n'), true
	}
	quoted, start := false, true
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case quoted && c != '"':
		case quoted && i+1 < len(data) && data[i+1] == '"':
			i++
		case quoted:
			rest := bytes.TrimPrefix(data[i+1:], []byte("\r"))
			quoted = len(rest) > 0 && rest[0] != '\n' && data[i+1] != comma
		case c == '"' && start:
			quoted = true
		case c == '\n':
			return i, true
		}
		start = !quoted && c == comma
	}
	return -1, !quoted
}

func (r *rowScanner) progress() progress {
	if r.size == 0 {
		return progress{share: 1, left: -1}
	}
	return progress{share: min(1, float64(r.n.n)/float64(r.size)), left: -1}
}

func (r *rowScanner) close() error { return nil }

// countReader counts what is read.
type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// text is a list of one URI a line.
type text struct {
	*rowScanner
	begun bool
}

func openText(b blob) (table, error) { return &text{rowScanner: newRowScanner(b, 0)}, nil }

func (t *text) next() (row, error) {
	for {
		line, err := t.rowScanner.next()
		if err != nil {
			return row{}, err
		}
		if !t.begun {
			line, t.begun = bytes.TrimPrefix(line, bom), true
		}
		if s := strings.TrimSpace(string(line)); s != "" && s[0] != '#' {
			return row{uri: s}, nil
		}
	}
}

//nolint:gochecknoglobals // a constant
var bom = []byte("\xef\xbb\xbf")
