package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Store is what the ledger needs of an object store. Reads, Replace and Keys are
// expected to retry faults of the moment; Create must not repeat its request.
//
// The ledger asks errors for the methods NotFound, Exists, Conflict and Permanent,
// each returning a bool. What a create returned that answers none of them with true
// is taken as an unknown outcome.
type Store interface {
	// Create stores data under key if there is no such object. Exists: another
	// object is there. Conflict: ours did not land, try again. Permanent: refused,
	// and nothing landed.
	Create(ctx context.Context, key string, data []byte) error
	// Replace stores data under key, in place of what is there.
	Replace(ctx context.Context, key string, data []byte) error
	// Open opens an object. The caller closes it.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// Head gives an object's size, and its SHA-256 and CRC-32C (big endian), each nil
	// where the store does not know it.
	Head(ctx context.Context, key string) (size int64, sha256, crc32c []byte, err error)
	// Keys gives the keys with a prefix that sort after startAfter, in byte order. An
	// error is the last pair.
	Keys(ctx context.Context, prefix, startAfter string) iter.Seq2[string, error]
}

// answer is what a create came to.
type answer int

const (
	landed answer = iota
	exists
	conflict
	refused
	unknown
)

// judge reads a create's error. It is the one place that decides what an error means
// for the chain, so in doubt it says unknown.
func judge(err error) answer {
	var e interface{ Exists() bool }
	var c interface{ Conflict() bool }
	var p interface{ Permanent() bool }
	switch {
	case err == nil:
		return landed
	case errors.As(err, &e) && e.Exists():
		return exists
	case errors.As(err, &c) && c.Conflict():
		return conflict
	case errors.As(err, &p) && p.Permanent():
		return refused
	}
	return unknown
}

func notFound(err error) bool {
	var n interface{ NotFound() bool }
	return errors.As(err, &n) && n.NotFound()
}

// load reads a small object whole; one larger than most is an error.
func load(ctx context.Context, s Store, key string, most int64) ([]byte, error) {
	rc, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rc.Close() }()
	data, err := io.ReadAll(io.LimitReader(rc, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes, the most that such an object may have", key, most)
	}
	return data, nil
}
