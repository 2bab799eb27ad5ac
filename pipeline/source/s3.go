package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/s3"
)

// s3Client reads objects, each request once: Fetcher does the retrying.
type s3Client struct {
	*s3.Client
	cfg S3
}

func newS3Client(cfg S3) (*s3Client, error) {
	c, err := cfg.Client()
	if err != nil {
		return nil, fmt.Errorf("source.s3.%w", err)
	}
	c.Transport.ResponseHeaderTimeout = 30 * time.Second
	return &s3Client{c, cfg}, nil
}

// check refuses what may not be asked for, and finds missing credentials before an
// object is blamed for them.
func (c *s3Client) check(dataset, bucket, key string) error {
	if err := s3utils.CheckValidBucketNameStrict(bucket); err != nil {
		return refuse(pipeline.CodeSourceDenied, "the bucket's name %.70q is not valid", bucket)
	}
	switch {
	case len(key) > 1024:
		return refuse(pipeline.CodeSourceDenied, "the key has %d bytes; 1024 are allowed", len(key))
	case !utf8.ValidString(key):
		return refuse(pipeline.CodeSourceDenied, "the key is not UTF-8")
	case slices.ContainsFunc(strings.Split(key, "/"), func(s string) bool { return s == "." || s == ".." }):
		// Real S3 takes it literally; a gateway over a file system might not.
		return refuse(pipeline.CodeSourceDenied, "the key has a part . or ..")
	case !c.cfg.allows(dataset, bucket, key):
		return refuse(pipeline.CodeSourceDenied, "source.s3.allow does not list it for the dataset %.100q", dataset)
	}
	if c.cfg.Anonymous {
		return nil
	}
	_, err := c.GetCreds()
	return err
}

// etagForm is how S3 writes an ETag: a digest, with the number of parts if there are
// several. Version ids look otherwise on all known servers.
var etagForm = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9]{1,5})?$`)

// object is what a dataset asks for. version is an ETag (in quotes, or of the usual form),
// or else a version id.
type object struct{ dataset, bucket, key, version string }

// object is the one that a medium names.
func (f *Fetcher) object(loc location, m pipeline.Media) object {
	return object{cmp.Or(m.Dataset, f.cfg.Dataset), loc.bucket, loc.key, m.Version}
}

// get opens an object. One request gives the body and its ETag, so they belong together.
func (c *s3Client) get(ctx context.Context, o object) (*body, error) {
	b, _, _, err := c.open(ctx, o, minio.GetObjectOptions{})
	return b, err
}

// open is get with further options.
func (c *s3Client) open(ctx context.Context, o object, opts minio.GetObjectOptions) (*body, minio.ObjectInfo, http.Header, error) {
	var none minio.ObjectInfo
	if o.key == "" {
		return nil, none, nil, refuse(pipeline.CodeSourceDenied, "the URI names a bucket, not an object")
	}
	if err := c.check(o.dataset, o.bucket, o.key); err != nil {
		return nil, none, nil, err
	}
	tag := strings.Trim(o.version, `"`)
	switch {
	case o.version == "":
	case tag != o.version || etagForm.MatchString(o.version):
		if err := opts.SetMatchETag(tag); err != nil {
			return nil, none, nil, refuse(pipeline.CodeMsgInvalid, "the version is malformed")
		}
	default:
		tag, opts.VersionID = "", o.version
	}
	r, info, h, err := c.GetObject(ctx, o.bucket, o.key, opts)
	if err != nil {
		return nil, none, nil, c.fault(err)
	}
	if tag != "" && info.ETag != tag { // a server that knows no If-Match
		r.Close()
		return nil, none, nil, refuse(pipeline.CodeSourceChanged, "its ETag is %.80q; %.80q was asked for", info.ETag, tag)
	}
	b := &body{r: r, c: r, size: info.Size, version: info.VersionID}
	if b.version == "" || b.version == "null" {
		b.version = info.ETag
	}
	return b, info, h, nil
}

// up asks whether the endpoint works, whatever it says about the bucket.
func (c *s3Client) up(ctx context.Context, bucket string) bool {
	_, err := c.BucketExists(ctx, bucket)
	var r minio.ErrorResponse
	return err == nil || errors.As(err, &r) && works(r.StatusCode)
}

// renewedError is a refusal of credentials that will be read anew: the next try may work,
// and the object is not to blame if it does not.
type renewedError struct{ error }

func (e renewedError) Unwrap() error { return e.error }

func (c *s3Client) fault(err error) error {
	if c.Renew(err) {
		return renewedError{s3Fault(err)}
	}
	return s3Fault(err)
}

// s3Fault says what a refusal means. What is wrong with our own credentials or clock
// is not the object's fault and stays a plain error, so that nothing is quarantined.
func s3Fault(err error) error {
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		if errors.Is(err, s3.ErrNoCredentials) {
			return err
		}
		return httpFault(err)
	}
	switch r.Code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "NoSuchUser", "XAdminUserNotFound", "InvalidToken", "TokenRefreshRequired",
		"RequestTimeTooSkewed", "AuthorizationHeaderMalformed", "PermanentRedirect":
		return fmt.Errorf("the S3 service refuses the reader's credentials or settings (%s): %s; see source.s3", r.Code, r.Message)
	case "InvalidRange":
		return refuse(pipeline.CodeSourceChanged, "the object is shorter than it was: %w", r)
	case "InvalidObjectState":
		return refuse(pipeline.CodeSourceArchived, "the object is in cold storage; restore it first")
	case "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable":
		return refuse(pipeline.CodeSourceTransient, "the S3 service says %s", r.Code)
	}
	switch s := r.StatusCode; {
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed: // 405: the version is a delete marker
		return refuse(pipeline.CodeSourceGone, "the S3 service says %.60q", r.Code)
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return refuse(pipeline.CodeSourceDenied, "the S3 service says %.60q", r.Code)
	case s == http.StatusPreconditionFailed:
		return refuse(pipeline.CodeSourceChanged, "it is no longer the version that was asked for")
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s == 0:
		return refuse(pipeline.CodeSourceTransient, "the S3 service says %.60q (%d)", r.Code, s)
	}
	return refuse(pipeline.CodeSourceProtocol, "the S3 service says %.60q (%d)", r.Code, r.StatusCode)
}
