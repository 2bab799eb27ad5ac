package stream

import (
	"context"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// commit makes batches durable, one at a time: shards first, each verified, then the
// record that names them, then (advisory) the source's offset.
func (s *Stream) commit(ctx context.Context, batches <-chan *batch) error {
	for b := range batches {
		if err := s.commitBatch(ctx, b); err != nil {
			b.abort()
			return err
		}
		b.abort() // what is committed needs no local copy
	}
	return nil
}

// uploads is how many shards travel at a time.
const uploads = 2

func (s *Stream) commitBatch(ctx context.Context, b *batch) error {
	shards := make([]ledger.Shard, len(b.shards))
	g, up := errgroup.WithContext(ctx)
	g.SetLimit(uploads)
	for i, sh := range b.shards {
		g.Go(func() error {
			key := s.parts.Chain.ShardKey(strings.TrimPrefix(path.Ext(sh.Name), "."))
			if err := store.Upload(up, s.parts.Store, key, store.Body{Data: sh, Size: sh.Bytes, SHA256: sh.SHA256, CRC32C: sh.CRC32C}); err != nil {
				return fmt.Errorf("uploading shard %s: %w", key, err)
			}
			shards[i] = ledger.Shard{
				Key: key, Dataset: sh.dataset, Recipe: sh.recipe, Format: sh.format, Bytes: sh.Bytes,
				SHA256: hex.EncodeToString(sh.SHA256[:]), CRC32C: fmt.Sprintf("%08x", sh.CRC32C),
				Samples: int64(sh.Samples()), From: b.from, To: b.to,
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	e := ledger.Entry{To: b.to, Skipped: b.skipped, Shards: shards, Outcomes: b.outcomes, Tools: s.parts.Tools}
	if err := s.parts.Chain.Commit(ctx, e); err != nil {
		return err
	}
	s.parts.Observe.Committed(&e)
	if s.parts.Advise != nil {
		s.parts.Advise(b.to)
	}
	return nil
}
