package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/millrace/millrace/pipeline/s3"
)

// S3 is a Store in a bucket, under a prefix. Every request is sent once; see
// [Retry].
type S3 struct {
	core   minio.Core
	client *s3.Client
	bucket string
	prefix string // "" or "some/path/"
	cfg    Config
}

// OpenS3 reaches a bucket. It checks that there are credentials and that the bucket
// is there (or makes it, if cfg.CreateBucket says so). Close it after use.
func OpenS3(ctx context.Context, bucket, prefix string, cfg Config) (*S3, error) {
	s, err := newS3(bucket, prefix, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the store s3://%s: %w", bucket, err)
	}
	if err := s.ready(ctx); err != nil {
		s.client.Transport.CloseIdleConnections()
		return nil, fmt.Errorf("open the store %s: %w", s, err)
	}
	return s, nil
}

func newS3(bucket, prefix string, cfg Config) (*S3, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := checkBucket(bucket); err != nil {
		return nil, err
	}
	client, err := cfg.Client()
	if err != nil {
		return nil, err
	}
	s := &S3{core: client.Core, client: client, bucket: bucket, cfg: cfg}
	if prefix != "" {
		s.prefix = strings.Trim(prefix, "/") + "/"
	}
	return s, nil
}

// ready proves that the bucket answers.
func (s *S3) ready(ctx context.Context) error {
	if !s.cfg.Anonymous {
		if _, err := s.core.GetCreds(); err != nil {
			return err
		}
	}
	if found, err := s.core.BucketExists(ctx, s.bucket); err == nil && found {
		return nil
	}
	// The answer to a HEAD has no body, so it does not say why. A listing does.
	found := true
	err := passing(ctx, "list", s.bucket, func() error {
		err := s.tryList(ctx)
		if found = response(err).Code != "NoSuchBucket"; err == nil || !found {
			return nil
		}
		return s.failed(ctx, "list", s.bucket, err)
	})
	switch {
	case err != nil || found:
		return err
	case !s.cfg.CreateBucket:
		return errors.New("there is no such bucket: make it, correct the name, or set create_bucket")
	}
	return passing(ctx, "create", s.bucket, func() error {
		err := s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{Region: s.cfg.RegionOrDefault()})
		if err == nil || response(err).Code == "BucketAlreadyOwnedByYou" {
			return nil // or somebody made it at the same moment
		}
		return s.failed(ctx, "create", s.bucket, err)
	})
}

// tryList asks for the first object of the bucket.
func (s *S3) tryList(ctx context.Context) error {
	for obj := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{MaxKeys: 1}) {
		return obj.Err
	}
	return ctx.Err()
}

// Close releases idle connections.
func (s *S3) Close() error {
	s.client.Transport.CloseIdleConnections()
	return nil
}

// String names the store, as a URL.
func (s *S3) String() string { return "s3://" + s.bucket + "/" + strings.TrimSuffix(s.prefix, "/") }

// begin also minds the prefix, which counts towards a key's length.
func (s *S3) begin(ctx context.Context, op, key string) error {
	if err := begin(ctx, op, key); err != nil {
		return err
	}
	if n := len(s.prefix) + len(key); n > MaxKey {
		return &Error{Op: op, Key: key, Kind: ErrInvalid, Err: fmt.Errorf("with the store's prefix the key has %d bytes; %d are allowed", n, MaxKey)}
	}
	return nil
}

// Get implements Store.
func (s *S3) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if err := s.begin(ctx, "get", key); err != nil {
		return nil, Info{}, err
	}
	if offset < 0 {
		return nil, Info{}, &Error{Op: "get", Key: key, Kind: ErrRange, Err: fmt.Errorf("the offset is %d", offset)}
	}
	if length == 0 {
		return s.getNone(ctx, key, offset)
	}
	var opts minio.GetObjectOptions
	ranged := offset > 0 || length > 0
	if ranged {
		opts.Set("Range", rangeHeader(offset, length))
	}
	body, obj, header, err := s.core.GetObject(ctx, s.bucket, s.prefix+key, opts)
	if err != nil {
		if length < 0 && s3Kind(err) == ErrRange {
			return s.getNone(ctx, key, offset) // the offset may be just the end
		}
		return nil, Info{}, s.failed(ctx, "get", key, err)
	}
	info := s.info(key, obj)
	n := obj.Size
	if ranged {
		n, info.Size, err = checkRange(header.Get("Content-Range"), offset, length)
	} else if n < 0 {
		err = &Error{Op: "get", Key: key, Err: errors.New("the server does not say how long the object is")}
	}
	if err != nil {
		_ = body.Close()
		return nil, Info{}, withKey(err, key)
	}
	return &exactReader{r: body, c: body, key: key, left: n}, info, nil
}

// getNone answers for a range of no bytes, which HTTP can not express.
func (s *S3) getNone(ctx context.Context, key string, offset int64) (io.ReadCloser, Info, error) {
	info, err := s.Stat(ctx, key)
	if err != nil {
		return nil, Info{}, err
	}
	if _, err := span(info.Size, offset, 0); err != nil {
		return nil, Info{}, &Error{Op: "get", Key: key, Kind: ErrRange, Err: err}
	}
	return io.NopCloser(strings.NewReader("")), info, nil
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, key string) (Info, error) {
	if err := s.begin(ctx, "stat", key); err != nil {
		return Info{}, err
	}
	obj, err := s.head(ctx, key)
	if err != nil {
		return Info{}, s.failed(ctx, "stat", key, err)
	}
	return s.info(key, obj), nil
}

// head asks for an object's description. A refusal of that has no body, so a key that
// has run out looks like one without rights, until something else is asked; if that
// works, the key was changed meanwhile, perhaps.
func (s *S3) head(ctx context.Context, key string) (minio.ObjectInfo, error) {
	opts := minio.StatObjectOptions{Checksum: true}
	obj, err := s.core.StatObject(ctx, s.bucket, s.prefix+key, opts)
	switch response(err).StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if why := s.tryList(ctx); s.client.Renew(why) {
			return obj, why
		}
		return s.core.StatObject(ctx, s.bucket, s.prefix+key, opts)
	}
	return obj, err
}

// info takes over only checksums of the whole object: those of many parts are
// checksums of checksums.
func (s *S3) info(key string, obj minio.ObjectInfo) Info {
	info := Info{Key: key, Size: obj.Size, ETag: obj.ETag, Modified: obj.LastModified}
	if obj.ChecksumMode == minio.ChecksumCompositeMode.String() {
		return info
	}
	info.SHA256 = decodeSum(obj.ChecksumSHA256, 32)
	info.CRC32C = decodeSum(obj.ChecksumCRC32C, 4)
	return info
}

func decodeSum(text string, size int) []byte {
	if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) == size {
		return b
	}
	return nil
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Info{}, &Error{Op: "list", Key: prefix, Kind: ErrInvalid, Err: err})
			return
		}
		owner := false
		opts := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, FetchOwner: &owner}
		if startAfter != "" {
			opts.StartAfter = s.prefix + startAfter
		}
		for obj := range s.core.ListObjectsIter(ctx, s.bucket, opts) {
			if obj.Err != nil {
				yield(Info{}, s.failed(ctx, "list", prefix, obj.Err))
				return
			}
			key := strings.TrimPrefix(obj.Key, s.prefix)
			if CheckKey(key) != nil || key <= startAfter {
				continue // a folder's marker, or what others keep there
			}
			if !yield(Info{Key: key, Size: obj.Size, ETag: obj.ETag, Modified: obj.LastModified}, nil) {
				return
			}
		}
		// minio-go ends a cancelled listing as if it were complete.
		if err := ctx.Err(); err != nil {
			yield(Info{}, err)
		}
	}
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, key string) error {
	if err := s.begin(ctx, "delete", key); err != nil {
		return err
	}
	err := s.core.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
	if err == nil {
		return nil
	}
	if err := s.failed(ctx, "delete", key, err); !IsNotFound(err) {
		return err
	}
	return nil
}
