package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/millrace/millrace/pipeline/s3"
)

// failed gives a server's answer its kind. Credentials that are being changed are a
// failure of the moment.
func (s *S3) failed(ctx context.Context, op, key string, err error) error {
	if s.client.Renew(err) {
		return fail(ctx, op, key, nil, err)
	}
	return fail(ctx, op, key, s3Kind(err), err)
}

// response finds a server's answer in err's chain; it is zero if there is none.
func response(err error) (r minio.ErrorResponse) {
	errors.As(err, &r)
	return r
}

func s3Kind(err error) error {
	r := response(err)
	switch r.Code {
	case "NoSuchKey", "NoSuchVersion":
		return ErrNotFound
	case "NoSuchBucket", "InvalidBucketName", "KeyTooLongError", "InvalidArgument", "NotImplemented", "MethodNotAllowed", "EntityTooLarge":
		return ErrInvalid
	case "InvalidRange":
		return ErrRange
	case "AccessDenied", "AccountProblem", "AllAccessDisabled", "InvalidAccessKeyId", "NoSuchUser", "XAdminUserNotFound", "SignatureDoesNotMatch", "InvalidObjectState":
		return ErrDenied
	case "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody":
		return ErrCorrupt
	// A token that has run out is replaced by the next request's.
	case "ExpiredToken", "ExpiredTokenException", "RequestTimeTooSkewed", "RequestTimeout":
		return nil
	}
	switch r.StatusCode {
	case http.StatusNotFound:
		return ErrInvalid // something else is missing than the object
	case http.StatusForbidden, http.StatusUnauthorized:
		return ErrDenied
	case http.StatusRequestedRangeNotSatisfiable:
		return ErrRange
	case http.StatusNotImplemented:
		return ErrInvalid
	}
	return nil
}

// createError gives a failed conditional put its outcome. What does not prove that
// nothing landed is ErrUnknown.
func createError(ctx context.Context, key string, err error) error {
	r := response(err)
	kind := ErrUnknown
	switch {
	case r.StatusCode == http.StatusPreconditionFailed || r.Code == "PreconditionFailed":
		return &Error{Op: "create", Key: key, Kind: ErrExists}
	case r.StatusCode == http.StatusConflict:
		kind = ErrConflict
	case r.Code == "SlowDown" || r.StatusCode == http.StatusTooManyRequests:
		kind = nil // refused unread
	case r.StatusCode >= 400 && r.StatusCode < 500 && r.StatusCode != http.StatusRequestTimeout && r.StatusCode != 499:
		kind = s3Kind(err)
	case errors.Is(err, s3.ErrNoCredentials):
		kind = nil // nothing was sent
	case r.Code == "NotImplemented":
		kind = ErrInvalid // the server knows no conditional puts
	}
	if ctxErr := ctx.Err(); ctxErr != nil && kind == ErrUnknown && !errors.Is(err, ctxErr) {
		err = errors.Join(err, ctxErr)
	}
	return &Error{Op: "create", Key: key, Kind: kind, Err: err}
}

// rangeHeader asks for length bytes from offset on, or for the rest.
func rangeHeader(offset, length int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// checkRange compares a Content-Range with what was asked for. It gives the length
// of the body and of the whole object. A server that ignores the range, or gives
// another, must not pass its bytes off as the right ones.
func checkRange(header string, offset, length int64) (n, size int64, err error) {
	spanText, sizeText, _ := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	firstText, lastText, _ := strings.Cut(spanText, "-")
	first, err1 := strconv.ParseInt(firstText, 10, 64)
	last, err2 := strconv.ParseInt(lastText, 10, 64)
	size, err3 := strconv.ParseInt(sizeText, 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil || first != offset || last < first || last >= size {
		return 0, 0, &Error{Op: "get", Err: fmt.Errorf("the server answered with the range %q to %q", header, rangeHeader(offset, length))}
	}
	n = last - first + 1
	switch {
	case length < 0 && last != size-1:
		return 0, 0, &Error{Op: "get", Err: fmt.Errorf("the server answered with the range %q, which is not all that is left", header)}
	case length >= 0 && n < length:
		return 0, 0, &Error{Op: "get", Kind: ErrRange, Err: fmt.Errorf("%d bytes from %d on were asked for; the object has %d", length, offset, size)}
	case length >= 0 && n > length:
		return 0, 0, &Error{Op: "get", Err: fmt.Errorf("the server answered with the range %q, which is more than was asked for", header)}
	}
	return n, size, nil
}

func withKey(err error, key string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Key = key
	}
	return err
}
