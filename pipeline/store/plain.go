package store

import (
	"context"
	"io"
	"iter"
)

// Plain is a Store's Create together with the rest of it in plain types, for
// packages that declare what they need and do not import this one (the ledger).
// Their errors keep their methods: NotFound, Exists, Conflict, Permanent.
type Plain struct{ Store Store }

// Create is the store's.
func (p Plain) Create(ctx context.Context, key string, data []byte) error {
	return p.Store.Create(ctx, key, data)
}

// Replace puts data in place of what is at key.
func (p Plain) Replace(ctx context.Context, key string, data []byte) error {
	return p.Store.Put(ctx, key, BytesBody(data))
}

// Open opens a whole object; the caller closes it.
func (p Plain) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, _, err := p.Store.Get(ctx, key, 0, -1)
	return rc, err
}

// Head gives an object's size and such digests as the store knows: SHA-256 (32
// bytes) and CRC-32C (4 bytes, big endian), or nil.
func (p Plain) Head(ctx context.Context, key string) (size int64, sha256, crc32c []byte, err error) {
	info, err := p.Store.Stat(ctx, key)
	return info.Size, info.SHA256, info.CRC32C, err
}

// Keys gives the keys with a prefix that sort after startAfter, in order. An error is
// the last pair.
func (p Plain) Keys(ctx context.Context, prefix, startAfter string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range p.Store.List(ctx, prefix, startAfter) {
			if !yield(info.Key, err) {
				return
			}
		}
	}
}

// Delete is the store's.
func (p Plain) Delete(ctx context.Context, key string) error { return p.Store.Delete(ctx, key) }
