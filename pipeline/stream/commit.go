package stream

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// commit makes batches durable, one at a time: shards and their recipes first, each
// shard verified, then the record that names them, then (advisory) the source's offset.
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
		_, ext, _ := strings.Cut(sh.Name, ".")
		key := s.parts.Chain.ShardKey(ext)
		g.Go(func() error {
			if err := s.upload(up, key, sh); err != nil {
				return fmt.Errorf("uploading shard %s: %w", key, err)
			}
			shards[i] = ledger.Shard{
				Key: key, Dataset: sh.dataset, Recipe: sh.recipe.Digest, Format: sh.format, Bytes: sh.Bytes,
				SHA256: hex.EncodeToString(sh.SHA256[:]), CRC32C: fmt.Sprintf("%08x", sh.CRC32C),
				Samples: int64(sh.Samples()), Members: sh.members, From: b.from, To: b.to,
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := s.keepRecipes(ctx, b); err != nil {
		return err
	}
	e := ledger.Entry{To: b.to, Skipped: b.skipped, Shards: shards, Outcomes: b.outcomes, Tools: s.parts.Tools}
	if err := s.parts.Chain.Commit(ctx, e); err != nil {
		return err
	}
	s.parts.Observe.Committed(&e)
	if b.fill.Packs > 0 {
		s.parts.Observe.Packed(b.fill)
	}
	if s.parts.Advise != nil {
		s.parts.Advise(b.to)
	}
	return nil
}

// upload puts a shard and what loaders expect beside it.
func (s *Stream) upload(ctx context.Context, key string, sh sealed) error {
	for _, c := range sh.Sidecars() {
		if err := store.Upload(ctx, s.parts.Store, key+c.Suffix, store.BytesBody(c.Data)); err != nil {
			return err
		}
	}
	return store.Upload(ctx, s.parts.Store, key, store.Body{Data: sh, Size: sh.Bytes, SHA256: sh.SHA256, CRC32C: sh.CRC32C})
}

// keepRecipes sees to it that each recipe which the record will name can be looked up.
func (s *Stream) keepRecipes(ctx context.Context, b *batch) error {
	for _, sh := range b.shards {
		if s.kept[sh.recipe.Digest] || s.parts.Keep == nil {
			continue
		}
		if err := s.parts.Keep(ctx, sh.recipe); err != nil {
			return err
		}
		s.kept[sh.recipe.Digest] = true
	}
	return nil
}
