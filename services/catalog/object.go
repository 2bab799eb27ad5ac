package catalog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline/store"
)

// object reads a stored object by ranges.
type object struct {
	ctx   context.Context
	store store.Store
	key   string
	size  int64
}

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if off >= o.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), o.size-off)
	rc, _, err := o.store.Get(o.ctx, o.key, off, n)
	if err != nil {
		return 0, err
	}
	defer rc.Close()
	got, err := io.ReadFull(rc, p[:n])
	if err == nil && got < len(p) {
		err = io.EOF
	}
	return got, err
}

// lines gives an object's lines, one at a time.
type lines struct {
	key  string
	body io.ReadCloser
	r    *bufio.Reader
	line string
	held bool
}

// mostLine bounds a line: a URL of a shard.
const mostLine = 8 << 10

func (o *object) lines() (*lines, error) {
	rc, _, err := o.store.Get(o.ctx, o.key, 0, -1)
	if err != nil {
		return nil, err
	}
	return &lines{key: o.key, body: rc, r: bufio.NewReaderSize(rc, mostLine)}, nil
}

// peek gives the line in hand, or "" after the last.
func (l *lines) peek() (string, error) {
	if l.held {
		return l.line, nil
	}
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) == 0:
		return "", nil
	case errors.Is(err, bufio.ErrBufferFull) || err == io.EOF:
		return "", fmt.Errorf("%s is no list of shards: a line does not end, or has more than %d bytes", l.key, mostLine)
	case err != nil:
		return "", err
	}
	l.line, l.held = string(line[:len(line)-1]), true
	return l.line, nil
}

func (l *lines) drop() { l.held = false }

func (l *lines) Close() error { return l.body.Close() }
