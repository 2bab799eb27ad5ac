package store

import (
	"context"
	"errors"
	"fmt"
)

// Parted is a Store that takes an object in parts: over days, from several processes,
// and without any of it being there for readers until it is complete. Whoever begins
// such an object ends it with CompleteParts or AbortParts; what nobody ends stays and
// costs space.
type Parted interface {
	Store

	// BeginParts begins an object and names the attempt.
	BeginParts(ctx context.Context, key string) (upload string, err error)

	// PutPart stores a part, in place of an earlier one of its number.
	PutPart(ctx context.Context, key, upload string, part Part) error

	// CompleteParts makes an object of the parts 1 to count. whole tells what it must
	// be; its Data is not read. To complete again what is complete succeeds.
	CompleteParts(ctx context.Context, key, upload string, count int, whole Body) error

	// AbortParts frees the parts. That there are none is no error.
	AbortParts(ctx context.Context, key, upload string) error
}

// Part is a part of an object. All but the last have one size, on S3 of 5 MiB or more.
type Part struct {
	Number int   // from 1 on
	Offset int64 // of its first byte in the object
	Data   []byte
}

// MaxParts is how many parts an object may have (S3's limit).
const MaxParts = maxParts

// AsParted finds a store that takes parts in s, or in what s wraps.
func AsParted(s Store) (Parted, bool) {
	for s != nil {
		if r, ok := s.(*Retry); ok {
			if p, ok := AsParted(r.Store); ok {
				return &retryParts{Retry: r, parts: p}, true
			}
			return nil, false
		}
		if f, ok := s.(*Faulty); ok {
			if p, ok := AsParted(f.store); ok {
				return &faultyParts{Faulty: f, parts: p}, true
			}
			return nil, false
		}
		if p, ok := s.(Parted); ok {
			return p, true
		}
		u, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return nil, false
		}
		s = u.Unwrap()
	}
	return nil, false
}

// retryParts repeats what failed for the moment. Each of these requests may be
// repeated: a part takes its own place again, and a completion finds itself done.
type retryParts struct {
	*Retry
	parts Parted
}

func (r *retryParts) BeginParts(ctx context.Context, key string) (upload string, err error) {
	err = r.do(ctx, "begin", key, func() error { upload, err = r.parts.BeginParts(ctx, key); return err })
	return upload, err
}

func (r *retryParts) PutPart(ctx context.Context, key, upload string, p Part) error {
	return r.do(ctx, "put a part of", key, func() error { return r.parts.PutPart(ctx, key, upload, p) })
}

func (r *retryParts) CompleteParts(ctx context.Context, key, upload string, count int, whole Body) error {
	return r.do(ctx, "complete", key, func() error { return r.parts.CompleteParts(ctx, key, upload, count, whole) })
}

func (r *retryParts) AbortParts(ctx context.Context, key, upload string) error {
	return r.do(ctx, "abort", key, func() error { return r.parts.AbortParts(ctx, key, upload) })
}

// checkNumber refuses what no store could take.
func checkNumber(op, key string, p Part) error {
	if p.Number < 1 || p.Number > MaxParts || p.Offset < 0 || len(p.Data) == 0 {
		return &Error{Op: op, Key: key, Kind: ErrInvalid, Err: fmt.Errorf("part %d of %d bytes at %d", p.Number, len(p.Data), p.Offset)}
	}
	return nil
}

// complete reports whether the object is there as it should be, as far as the store
// can tell without reading it.
func complete(ctx context.Context, s Store, key string, whole Body) bool {
	info, err := s.Stat(ctx, key)
	if err != nil || info.Size != whole.Size {
		return false
	}
	return (info.CRC32C == nil || string(info.CRC32C) == string(crcBytes(whole.CRC32C))) &&
		(info.SHA256 == nil || string(info.SHA256) == string(whole.SHA256[:]))
}

var errNoUpload = errors.New("there is no such upload in parts; it was completed, or given up")

// Sum is a Body's size and digests, gathered as its bytes come.
type Sum struct{ d *digest }

// NewSum begins with no bytes.
func NewSum() *Sum { return &Sum{newDigest()} }

// Write never fails.
func (s *Sum) Write(p []byte) (int, error) { return s.d.Write(p) }

// Body is what was written so far, without Data.
func (s *Sum) Body() Body {
	return Body{Size: s.d.n, SHA256: s.d.sum(), CRC32C: s.d.crc.Sum32()}
}

// sumSize is how long a state may be; it is the two digests' own.
const sumSize = 1 << 10

// State is where the sum stands, for another process to go on from.
func (s *Sum) State() (sha, crc []byte, err error) {
	type marshaler interface{ MarshalBinary() ([]byte, error) }
	sha, err1 := s.d.sha.(marshaler).MarshalBinary()
	crc, err2 := s.d.crc.(marshaler).MarshalBinary()
	return sha, crc, errors.Join(err1, err2)
}

// RestoreSum goes on from a State after n bytes.
func RestoreSum(n int64, sha, crc []byte) (*Sum, error) {
	if len(sha) > sumSize || len(crc) > sumSize {
		return nil, errors.New("the state of a sum is too long")
	}
	type unmarshaler interface{ UnmarshalBinary([]byte) error }
	s := NewSum()
	s.d.n = n
	err := errors.Join(s.d.sha.(unmarshaler).UnmarshalBinary(sha), s.d.crc.(unmarshaler).UnmarshalBinary(crc))
	if err != nil {
		return nil, fmt.Errorf("the state of a sum: %w", err)
	}
	return s, nil
}
