package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/millrace/millrace/pipeline"
)

// opener asks for n bytes from an offset on; fewer only of the first range, of a medium
// that has no more.
func (r *Ranges) opener(from, n int64) func(context.Context) (*body, error) {
	open := r.openHTTP
	if r.loc.scheme == "s3" {
		open = r.openS3
	}
	return func(ctx context.Context) (*body, error) {
		s, err := open(ctx, from, n)
		if err != nil {
			return nil, err
		}
		if err = r.check(s, from, n); err != nil {
			s.c.Close()
			return nil, err
		}
		s.body.span = s
		return &s.body, nil
	}
}

func (r *Ranges) first() bool { return r.pin == pin{} }

// check holds a range to what was asked for, and to the version of the first.
func (r *Ranges) check(s *span, from, n int64) error {
	switch {
	case !r.first() && s.size != r.id.Bytes:
		return refuse(pipeline.CodeSourceChanged, "it has %d bytes now; it had %d", s.size, r.id.Bytes)
	case !r.first() && s.pin != r.pin:
		return refuse(pipeline.CodeSourceChanged, "it was changed while it was read")
	case s.first != from || s.body.size != min(n, s.size-from):
		return refuse(pipeline.CodeSourceProtocol, "the bytes %d to %d were asked for; %d from %d on came", from, from+n-1, s.body.size, s.first)
	}
	return nil
}

// openHTTP asks a web server. Conditions are sent, yet not relied on: many servers know
// none for ranges, so each answer's own version is compared.
func (r *Ranges) openHTTP(ctx context.Context, from, n int64) (*span, error) {
	req, err := r.f.request(ctx, r.loc.url)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, from+n-1))
	switch {
	case r.pin.tag != "":
		req.Header.Set("If-Match", quoteETag(r.pin.tag))
	case r.pin.modified != "":
		req.Header.Set("If-Unmodified-Since", r.pin.modified)
	case r.m.Version != "":
		req.Header.Set("If-Match", quoteETag(r.m.Version))
	}
	resp, err := r.f.client.Do(req)
	if err != nil {
		return nil, httpFault(err)
	}
	s, err := r.answer(resp)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return s, nil
}

// answer reads a response's head.
func (r *Ranges) answer(resp *http.Response) (*span, error) {
	if err := r.f.withheld(resp, r.m.Honour); err != nil {
		return nil, err
	}
	now := validator(resp.Header)
	switch code := resp.StatusCode; {
	case code == http.StatusOK && r.first():
		return nil, ErrNoRanges
	case code == http.StatusOK && now != r.pin:
		return nil, refuse(pipeline.CodeSourceChanged, "it was changed while it was read")
	case code == http.StatusRequestedRangeNotSatisfiable && r.first() && resp.Header.Get("Content-Range") == "bytes */0":
		return nil, refuse(pipeline.CodeSourceEmpty, "it has no bytes")
	case code == http.StatusRequestedRangeNotSatisfiable && !r.first():
		return nil, refuse(pipeline.CodeSourceChanged, "it is shorter than it was")
	case code == http.StatusOK || code == http.StatusPartialContent: // the whole, where it gave ranges before, is refused below
	default:
		return nil, statusFault(resp)
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, refuse(pipeline.CodeSourceProtocol, "it came with the encoding %.40q, which was not asked for", enc)
	}
	if want := r.m.Version; want != "" && etag(resp.Header) != "" && etag(resp.Header) != strings.Trim(want, `"`) {
		return nil, refuse(pipeline.CodeSourceChanged, "its version is %.80q; %.80q was asked for", etag(resp.Header), want)
	}
	first, last, size, err := contentRange(resp.Header.Get("Content-Range"))
	switch {
	case err != nil:
		return nil, err
	case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
		return nil, refuse(pipeline.CodeSourceProtocol, "a range of %d bytes is announced with a length of %d", last-first+1, resp.ContentLength)
	case now == pin{} && r.first():
		return nil, ErrNoRanges
	}
	return &span{body: body{r: resp.Body, c: resp.Body, size: last - first + 1}, first: first, size: size, pin: now}, nil
}

// validator is what tells two versions apart for certain: a strong ETag, or a time of
// change that was over when the answer was made (RFC 9110, 8.8.2.2 and 8.8.3).
func validator(h http.Header) pin {
	if tag := etag(h); tag != "" && !strings.HasPrefix(tag, "W/") {
		return pin{tag: tag}
	}
	modified, err1 := http.ParseTime(h.Get("Last-Modified"))
	date, err2 := http.ParseTime(h.Get("Date"))
	if err1 != nil || err2 != nil || date.Sub(modified) < time.Second {
		return pin{}
	}
	return pin{modified: h.Get("Last-Modified")}
}

// openS3 asks for a part of an object of one version or ETag.
func (r *Ranges) openS3(ctx context.Context, from, n int64) (*span, error) {
	o := r.f.object(r.loc, r.m)
	switch {
	case r.pin.version != "":
		o.version = r.pin.version
	case r.pin.tag != "":
		o.version = `"` + r.pin.tag + `"`
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(from, from+n-1); err != nil {
		return nil, err
	}
	b, info, h, err := r.f.s3.open(ctx, o, opts)
	var answer minio.ErrorResponse
	switch {
	case errors.As(err, &answer) && r.first() && answer.Code == "InvalidRange":
		return nil, refuse(pipeline.CodeSourceEmpty, "it has no bytes")
	case err != nil:
		return nil, err
	}
	first, last, size, err := contentRange(h.Get("Content-Range"))
	if err == nil && (info.ETag == "" || b.size != last-first+1) {
		err = refuse(pipeline.CodeSourceProtocol, "the S3 service sends a range without an ETag, or of another length than it says")
	}
	if h.Get("Content-Range") == "" && r.first() {
		err = ErrNoRanges
	}
	if err != nil {
		b.c.Close()
		return nil, err
	}
	s := &span{body: *b, first: first, size: size, pin: pin{tag: info.ETag, version: info.VersionID}}
	if s.pin.version == "null" {
		s.pin.version = ""
	}
	return s, nil
}

// contentRange reads "bytes 0-99/1000" (RFC 9110, 14.4). A size that is not known, and
// several ranges at once, were not asked for and are refused.
func contentRange(text string) (first, last, size int64, err error) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	place, total, ok2 := strings.Cut(rest, "/")
	lo, hi, ok3 := strings.Cut(place, "-")
	if ok = ok && ok2 && ok3; ok {
		for _, f := range []struct {
			to   *int64
			text string
		}{{&first, lo}, {&last, hi}, {&size, total}} {
			n, err := strconv.ParseUint(f.text, 10, 63)
			*f.to, ok = int64(n), ok && err == nil
		}
	}
	if !ok || last < first || last >= size {
		return 0, 0, 0, refuse(pipeline.CodeSourceProtocol, "a range was asked for; what came has the range %.80q", text)
	}
	return first, last, size, nil
}
