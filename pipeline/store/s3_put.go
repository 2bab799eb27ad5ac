package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

const (
	headerAlgorithm = "x-amz-checksum-algorithm"
	headerType      = "x-amz-checksum-type"
	headerSHA256    = "x-amz-checksum-sha256"
	headerCRC32C    = "x-amz-checksum-crc32c"
)

// Create implements Store.
func (s *S3) Create(ctx context.Context, key string, data []byte) error {
	if err := s.begin(ctx, "create", key); err != nil {
		return err
	}
	body := BytesBody(data)
	opts := s.putOptions(body)
	opts.SetMatchETagExcept("*") // If-None-Match: *
	_, err := s.core.PutObject(ctx, s.bucket, s.prefix+key, bytes.NewReader(data), body.Size, "", hex.EncodeToString(body.SHA256[:]), opts)
	if s.client.Renew(err) {
		return &Error{Op: "create", Key: key, Err: err} // refused unread
	}
	if err != nil {
		return createError(ctx, key, err)
	}
	return nil
}

// Put implements Store. Up to the part size it is one request, which the server
// checks against the body's SHA-256; above, parts in parallel, each checked and the
// whole checked against the body's CRC-32C.
func (s *S3) Put(ctx context.Context, key string, body Body) error {
	if err := s.begin(ctx, "put", key); err != nil {
		return err
	}
	if body.Size > s.cfg.partSize() {
		return s.putParts(ctx, key, body)
	}
	_, err := s.core.PutObject(ctx, s.bucket, s.prefix+key, body.Open(), body.Size, "", hex.EncodeToString(body.SHA256[:]), s.putOptions(body))
	if err != nil {
		return s.failed(ctx, "put", key, err)
	}
	return nil
}

// putOptions signs the body's SHA-256 into the request, so that the server refuses
// any other bytes, and has it keep the digest.
func (s *S3) putOptions(body Body) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{DisableContentSha256: true, DisableMultipart: true}
	if !s.cfg.NoChecksums {
		opts.UserMetadata = map[string]string{headerSHA256: base64.StdEncoding.EncodeToString(body.SHA256[:])}
	}
	return opts
}

// abortTime bounds the clean-up after a failed upload, which must go on when the
// upload's own context is done.
const abortTime = 15 * time.Second

// putParts uploads in parts, itself: minio-go's version aborts on the caller's
// context, and takes the lost reply of a completion for a failure.
func (s *S3) putParts(ctx context.Context, key string, body Body) error {
	var opts minio.PutObjectOptions
	if !s.cfg.NoChecksums {
		opts.UserMetadata = map[string]string{headerAlgorithm: "CRC32C", headerType: "FULL_OBJECT"}
	}
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, s.prefix+key, opts)
	if err != nil {
		return s.failed(ctx, "put", key, err)
	}
	err = s.sendAndComplete(ctx, key, id, body)
	if err == nil || response(err).Code == "NoSuchUpload" && s.arrived(ctx, key, body) {
		return nil
	}
	return s.failed(ctx, "put", key, errors.Join(err, s.abort(ctx, key, id)))
}

// abort frees the parts of an upload that failed.
func (s *S3) abort(ctx context.Context, key, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	err := s.core.AbortMultipartUpload(ctx, s.bucket, s.prefix+key, id)
	if err == nil || response(err).Code == "NoSuchUpload" {
		return nil
	}
	return fmt.Errorf("and its parts stay, since the upload %s could not be aborted: %w", id, err)
}

func (s *S3) sendAndComplete(ctx context.Context, key, id string, body Body) error {
	size := s.partSizeFor(body.Size)
	parts := make([]minio.CompletePart, (body.Size+size-1)/size)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.cfg.parts())
	for i := range parts {
		group.Go(func() (err error) {
			offset := int64(i) * size
			parts[i], err = s.sendPart(groupCtx, key, id, i+1, body, offset, min(size, body.Size-offset))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var opts minio.PutObjectOptions
	if !s.cfg.NoChecksums {
		opts.UserMetadata = map[string]string{headerCRC32C: base64.StdEncoding.EncodeToString(crcBytes(body.CRC32C)), headerType: "FULL_OBJECT"}
	}
	_, err := s.core.CompleteMultipartUpload(ctx, s.bucket, s.prefix+key, id, parts, opts)
	return err
}

// maxParts is S3's.
const maxParts = 10_000

func (s *S3) partSizeFor(size int64) int64 {
	return max(s.cfg.partSize(), (size+maxParts-1)/maxParts)
}

// sendPart reads a part twice: first to know its digests, so that what is sent is
// what was digested, then to send it.
func (s *S3) sendPart(ctx context.Context, key, id string, number int, body Body, offset, size int64) (minio.CompletePart, error) {
	part := io.NewSectionReader(body.Data, offset, size)
	d := newDigest()
	if _, err := io.Copy(d, readerOf(ctx, part)); err != nil {
		return minio.CompletePart{}, fmt.Errorf("read the body: %w", err)
	}
	if _, err := part.Seek(0, io.SeekStart); err != nil {
		return minio.CompletePart{}, err
	}
	sum := d.sum()
	opts := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true}
	done := minio.CompletePart{PartNumber: number}
	if !s.cfg.NoChecksums {
		done.ChecksumCRC32C = base64.StdEncoding.EncodeToString(crcBytes(d.crc.Sum32()))
		opts.CustomHeader = http.Header{http.CanonicalHeaderKey(headerCRC32C): {done.ChecksumCRC32C}}
	}
	sent, err := s.core.PutObjectPart(ctx, s.bucket, s.prefix+key, id, number, part, size, opts)
	done.ETag = sent.ETag
	return done, err
}

// arrived settles a completion whose first reply was lost: the upload is gone, so
// either it became the object or somebody aborted it.
func (s *S3) arrived(ctx context.Context, key string, body Body) bool {
	return Verify(ctx, s, key, body) == nil
}
