package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/services/gateway/identity"
)

// problem is a refusal that the caller is told of (RFC 9457).
type problem struct {
	status int
	code   codecs.Code
	detail string
	wait   time.Duration // Retry-After; 0: none
	cause  error         // for the log; never sent
}

// Error is for logs.
func (p *problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %s: %v", p.code, p.detail, p.cause)
	}
	return fmt.Sprintf("%s: %s", p.code, p.detail)
}

func (p *problem) Unwrap() error { return p.cause }

// Problem is the body of a refusal: media type application/problem+json.
type Problem struct {
	Type      string      `json:"type"` // urn:millrace:problem:CODE
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail,omitempty"`
	Code      codecs.Code `json:"code"`
	RequestID string      `json:"request_id,omitempty"`
}

func (p *problem) body(requestID string) Problem {
	return Problem{
		Type: "urn:millrace:problem:" + string(p.code), Title: http.StatusText(p.status),
		Status: p.status, Detail: p.detail, Code: p.code, RequestID: requestID,
	}
}

// problemOf finds the refusal in an error. What is not known to be the caller's fault
// is ours: the caller learns no more than that.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var max *http.MaxBytesError
	if errors.As(err, &max) {
		return &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: fmt.Sprintf("the body has more than %d bytes", max.Limit)}
	}
	if e := codecs.AsError(err); e != nil {
		return mediaProblem(e)
	}
	switch {
	case errors.Is(err, identity.ErrNone):
		return &problem{status: http.StatusUnauthorized, code: codeAuthMissing, detail: identity.ErrNone.Error()}
	case errors.Is(err, identity.ErrInvalid):
		return &problem{status: http.StatusUnauthorized, code: codeAuthInvalid, detail: identity.ErrInvalid.Error(), cause: err}
	case errors.Is(err, identity.ErrUnavailable):
		return &problem{status: http.StatusServiceUnavailable, code: codeAuthUnavailable, detail: identity.ErrUnavailable.Error(), wait: 5 * time.Second, cause: err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &problem{status: http.StatusRequestTimeout, code: codeTooSlow, detail: "the body did not come in time"}
	case errors.Is(err, context.Canceled):
		return &problem{status: http.StatusServiceUnavailable, code: codeTooSlow, detail: "the request was given up", cause: err}
	}
	return &problem{status: http.StatusInternalServerError, code: codeInternal, detail: "something went wrong here; the log has it under this request's id", cause: err}
}

// mediaProblem gives a fault of a job or a medium its status.
func mediaProblem(e *codecs.Error) *problem {
	status := http.StatusUnprocessableEntity
	switch e.Code {
	case pipeline.CodeMsgInvalid, pipeline.CodeMsgEmpty, pipeline.CodeMsgVersion:
		status = http.StatusBadRequest
	case pipeline.CodeMsgLimit, pipeline.CodeSourceLimit:
		status = http.StatusRequestEntityTooLarge
	case pipeline.CodeMsgType:
		status = http.StatusUnsupportedMediaType
	case pipeline.CodeSourceDenied:
		status = http.StatusForbidden
	}
	return &problem{status: status, code: e.Code, detail: e.Detail}
}

// retryAfter is the header's value.
func (p *problem) retryAfter() string { return strconv.Itoa(int(math.Ceil(p.wait.Seconds()))) }

// refuse writes a refusal. The log has its cause.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	info := requestOf(r.Context())
	info.code = p.code
	if p.status >= http.StatusInternalServerError && p.cause != nil {
		g.log.Warn("request failed", "request", info.id, "code", p.code, "error", p.cause)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.wait > 0 {
		h.Set("Retry-After", p.retryAfter())
	}
	write(w, p.status, p.body(info.id))
}

// reply writes a JSON answer.
func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	write(w, status, v)
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // a type of ours that can not be written
		status, b = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller may have gone
}
