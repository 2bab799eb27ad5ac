package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// BeginParts implements Parted.
func (s *S3) BeginParts(ctx context.Context, key string) (string, error) {
	if err := s.begin(ctx, "begin", key); err != nil {
		return "", err
	}
	var opts minio.PutObjectOptions
	if !s.cfg.NoChecksums {
		opts.UserMetadata = map[string]string{headerAlgorithm: "CRC32C", headerType: "FULL_OBJECT"}
	}
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, s.prefix+key, opts)
	if err != nil {
		return "", s.failed(ctx, "begin", key, err)
	}
	return id, nil
}

// PutPart implements Parted. The server checks the part against its digests.
func (s *S3) PutPart(ctx context.Context, key, upload string, p Part) error {
	if err := s.begin(ctx, "put a part of", key); err != nil {
		return err
	}
	if err := checkNumber("put a part of", key, p); err != nil {
		return err
	}
	sum := sha256.Sum256(p.Data)
	opts := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true}
	if !s.cfg.NoChecksums {
		crc := base64.StdEncoding.EncodeToString(crcBytes(crc32.Checksum(p.Data, castagnoli)))
		opts.CustomHeader = http.Header{http.CanonicalHeaderKey(headerCRC32C): {crc}}
	}
	_, err := s.core.PutObjectPart(ctx, s.bucket, s.prefix+key, upload, p.Number, bytes.NewReader(p.Data), int64(len(p.Data)), opts)
	return s.partFailed(ctx, "put a part of", key, err)
}

// CompleteParts implements Parted. The server has the parts' names and checksums; it
// is asked for them, so that nobody has to carry them from process to process.
func (s *S3) CompleteParts(ctx context.Context, key, upload string, count int, whole Body) error {
	if err := s.begin(ctx, "complete", key); err != nil {
		return err
	}
	parts, err := s.partsOf(ctx, key, upload, count)
	if err == nil {
		var opts minio.PutObjectOptions
		if !s.cfg.NoChecksums {
			opts.UserMetadata = map[string]string{headerCRC32C: base64.StdEncoding.EncodeToString(crcBytes(whole.CRC32C)), headerType: "FULL_OBJECT"}
		}
		_, err = s.core.CompleteMultipartUpload(ctx, s.bucket, s.prefix+key, upload, parts, opts)
	}
	if response(err).Code == "NoSuchUpload" && complete(ctx, s, key, whole) {
		return nil // an earlier reply was lost
	}
	return s.partFailed(ctx, "complete", key, err)
}

// partsOf lists the parts 1 to count; others are left out.
func (s *S3) partsOf(ctx context.Context, key, upload string, count int) ([]minio.CompletePart, error) {
	var parts []minio.CompletePart
	for after := 0; len(parts) < count; {
		page, err := s.core.ListObjectParts(ctx, s.bucket, s.prefix+key, upload, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, p := range page.ObjectParts {
			if p.PartNumber == len(parts)+1 && len(parts) < count {
				parts = append(parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumCRC32C: p.ChecksumCRC32C})
			}
			after = max(after, p.PartNumber)
		}
		if len(parts) < count && (!page.IsTruncated || len(page.ObjectParts) == 0) {
			return nil, &Error{Op: "complete", Key: key, Kind: ErrInvalid, Err: fmt.Errorf("part %d of %d is missing", len(parts)+1, count)}
		}
	}
	return parts, nil
}

// AbortParts implements Parted.
func (s *S3) AbortParts(ctx context.Context, key, upload string) error {
	if err := s.begin(ctx, "abort", key); err != nil {
		return err
	}
	if err := s.abort(ctx, key, upload); err != nil {
		return s.failed(ctx, "abort", key, err)
	}
	return nil
}

// partFailed knows an upload that is gone.
func (s *S3) partFailed(ctx context.Context, op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case response(err).Code == "NoSuchUpload":
		return &Error{Op: op, Key: key, Kind: ErrNotFound, Err: errNoUpload}
	}
	return s.withKind(ctx, op, key, err)
}

// withKind leaves an error that has its kind already.
func (s *S3) withKind(ctx context.Context, op, key string, err error) error {
	if e, ok := err.(*Error); ok {
		return e
	}
	return s.failed(ctx, op, key, err)
}
