package stream

import (
	"context"
	"io"
	"iter"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// LedgerStore is s as the ledger wants to see it.
func LedgerStore(s store.Store) ledger.Store { return ledgerStore{s} }

type ledgerStore struct{ store.Store }

func (l ledgerStore) Replace(ctx context.Context, key string, data []byte) error {
	return l.Put(ctx, key, store.BytesBody(data))
}

func (l ledgerStore) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	rc, _, err := l.Get(ctx, key, 0, -1)
	return rc, err
}

func (l ledgerStore) Head(ctx context.Context, key string) (size int64, sha256, crc32c []byte, err error) {
	i, err := l.Stat(ctx, key)
	return i.Size, i.SHA256, i.CRC32C, err
}

func (l ledgerStore) Keys(ctx context.Context, prefix, startAfter string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i, err := range l.List(ctx, prefix, startAfter) {
			if !yield(i.Key, err) {
				return
			}
		}
	}
}
