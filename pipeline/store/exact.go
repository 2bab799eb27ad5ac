package store

import (
	"errors"
	"fmt"
	"io"
)

// exactReader gives exactly the bytes that were announced, or an error: servers,
// proxies and HTTP libraries have all been seen to end a body early and call it
// success.
type exactReader struct {
	r    io.Reader
	c    io.Closer
	key  string
	left int64
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, r.end()
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= int64(n)
	switch {
	case err == nil || errors.Is(err, io.EOF) && r.left == 0:
		return n, nil
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		cause := fmt.Errorf("the download ended %d bytes early: %w", r.left, io.ErrUnexpectedEOF)
		return n, &Error{Op: "get", Key: r.key, Err: cause}
	}
	return n, &Error{Op: "get", Key: r.key, Err: err}
}

// end is the answer after the last byte. One more read proves that the last byte it
// was, and lets an HTTP connection be used again.
func (r *exactReader) end() error {
	n, err := r.r.Read(make([]byte, 1))
	switch {
	case n > 0:
		return &Error{Op: "get", Key: r.key, Err: errors.New("more bytes came than were asked for")}
	case err == nil || errors.Is(err, io.EOF):
		return io.EOF
	}
	return &Error{Op: "get", Key: r.key, Err: err}
}

func (r *exactReader) Close() error { return r.c.Close() }
