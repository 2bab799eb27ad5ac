package store

import (
	"context"
	"io"
	"iter"
	"time"
)

// Store keeps objects by key (see [CheckKey]). All methods may be called from any
// number of goroutines. An error is an [*Error], or what ctx's Err says once ctx is
// done.
type Store interface {
	// Put stores body under key, in place of what is there. The body's size and
	// digests are checked on the way. Put may read the body more than once and in
	// parallel; it keeps no reference to it.
	Put(ctx context.Context, key string, body Body) error

	// Create stores data under key if there is no such object, in one indivisible
	// request that is never repeated here. It returns:
	//
	//	nil          the object is ours
	//	ErrExists    another object is there; ours did not land
	//	ErrConflict  ours did not land; another write was under way, try again
	//	ErrUnknown   ours may have landed, or may still land
	//
	// and any other error if ours did not land and will not. Once ctx is done the
	// outcome is ErrUnknown too, unless nothing was sent.
	Create(ctx context.Context, key string, data []byte) error

	// Get opens length bytes of an object from offset on; a length below zero means
	// all to the end. A range that is not wholly inside the object is ErrRange. The
	// reader gives exactly the bytes asked for, or an error; the caller closes it.
	// The Info tells the size of the whole object; its checksums may be absent even
	// where Stat has them.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error)

	// Stat describes an object, with such checksums as the store keeps.
	Stat(ctx context.Context, key string) (Info, error)

	// List gives the objects whose keys begin with prefix and sort after startAfter,
	// in the order of their keys' bytes. Checksums are not filled in. An error is the
	// last pair.
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error]

	// Delete removes an object. That there is none is no error.
	Delete(ctx context.Context, key string) error
}

// Info describes a stored object.
type Info struct {
	Key      string
	Size     int64     // bytes
	ETag     string    // opaque; empty where the store has none
	Modified time.Time // by the store's clock
	SHA256   []byte    // 32 bytes, or nil where the store does not know it
	CRC32C   []byte    // 4 bytes, big endian, or nil likewise
}
