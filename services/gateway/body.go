package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

// paced is a request's body that must keep up: it may pause for the idle time, and must
// come at the least rate on average. So a sender who drips bytes holds nothing for long
// (slow loris). Deadlines count from the server's clock alone.
func (g *Gateway) paced(w http.ResponseWriter, r *http.Request) io.Reader {
	return &pacedBody{body: r.Body, control: http.NewResponseController(w), start: time.Now(), limits: g.cfg.Limits}
}

type pacedBody struct {
	body    io.Reader
	control *http.ResponseController
	start   time.Time
	n       int64
	limits  Limits
}

// due is when a body must have had more than n bytes.
func (l Limits) due(start time.Time, n int64) time.Time {
	return start.Add(l.Idle + time.Duration(float64(n)/float64(l.MinRate)*float64(time.Second)))
}

func (b *pacedBody) Read(p []byte) (int, error) {
	due := b.limits.due(b.start, b.n)
	idle := time.Now().Add(b.limits.Idle)
	if idle.Before(due) {
		due = idle
	}
	if err := b.control.SetReadDeadline(due); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := b.body.Read(p)
	b.n += int64(n)
	if errors.Is(err, io.EOF) {
		// The server reads on, to see the sender go; a deadline that passes meanwhile would
		// look like that, and what follows may take its time.
		_ = b.control.SetReadDeadline(time.Time{})
	}
	var refusal *problem
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &refusal):
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = &problem{status: http.StatusBadRequest, code: codeTooSlow, detail: "the body broke off"}
	default: // chunks that are malformed, a connection that was reset
		err = &problem{status: http.StatusBadRequest, code: codeRequest, detail: "the body can not be read", cause: err}
	}
	return n, err
}

// medium is a medium that came in a request: its bytes where it is small, else a file
// without a name.
type medium struct {
	store.Body        // Data is set for both
	data       []byte // nil: it is in file
	file       *os.File
}

func (m *medium) close() {
	if m != nil && m.file != nil {
		_ = m.file.Close()
	}
}

const firstBuffer = 64 << 10

// receive reads a medium. Up to small bytes it stays in memory; more go to a file in
// dir. expect is its size, or below 0. More than most bytes are refused.
func receive(r io.Reader, dir string, expect, small, most int64) (_ *medium, err error) {
	if expect > most {
		return nil, tooLarge(most)
	}
	head := bytes.NewBuffer(make([]byte, 0, max(min(expect, small), firstBuffer)))
	n, err := io.CopyN(head, r, min(small, most)+1)
	switch {
	case errors.Is(err, io.EOF) && n == 0:
		return nil, &problem{status: http.StatusBadRequest, code: "msg.empty", detail: "the medium has no bytes"}
	case errors.Is(err, io.EOF):
		return &medium{Body: store.BytesBody(head.Bytes()), data: head.Bytes()}, nil
	case err != nil:
		return nil, err
	case n > most:
		return nil, tooLarge(most)
	}
	f, err := os.CreateTemp(dir, "gateway-*")
	if err != nil {
		return nil, diskProblem(err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, diskProblem(err)
	}
	sum := store.NewSum()
	in := &sourceError{r: io.LimitReader(io.MultiReader(head, r), most+1)}
	n, err = io.Copy(io.MultiWriter(f, sum), in)
	switch {
	case in.err != nil:
		return nil, in.err
	case err != nil:
		return nil, diskProblem(err)
	case n > most:
		return nil, tooLarge(most)
	}
	m := &medium{Body: sum.Body(), file: f}
	m.Data = f
	return m, nil
}

// sourceError keeps what went wrong in reading apart from what did in writing.
type sourceError struct {
	r   io.Reader
	err error
}

func (s *sourceError) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func tooLarge(most int64) error {
	return &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: fmt.Sprintf("a medium in one request has %d bytes at most; larger ones come by resumable upload at %s", most, uploadsPath)}
}

func diskProblem(err error) error {
	return &problem{status: http.StatusInsufficientStorage, code: codeStore, wait: 30 * time.Second, detail: "the gateway has no room to spool the medium", cause: err}
}

// readAll reads a small body whole.
func readAll(r io.Reader, expect, most int64) ([]byte, error) {
	refused := &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: fmt.Sprintf("the body has more than %d bytes", most)}
	if expect > most {
		return nil, refused
	}
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = refused
	}
	return b, err
}
