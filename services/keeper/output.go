package keeper

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
)

// Recipes gives the recipe of a digest, as it was kept.
type Recipes func(ctx context.Context, digest string) (*pipeline.Recipe, error)

// outputOf says how a shard was written, so that what takes its place is written alike:
// compressed the same way, with the same columns, packed by the same rule. Where the recipe
// is not to be had, a shard whose name tells enough is still answered for.
func outputOf(ctx context.Context, recipes Recipes, sh ledger.Shard) (shard.Options, *pipeline.Pack, error) {
	var o shard.Options
	r, err := recipes(ctx, sh.Recipe)
	if err == nil {
		for _, out := range r.Outputs {
			ext, extErr := shard.Ext(out.Format, out.Compression)
			if extErr == nil && out.Format == sh.Format && ext == extOf(sh.Key) && (out.Pack != nil) == (sh.Members > 0) {
				return shard.Options{Compression: out.Compression, Fields: r.FieldNames(out)}, out.Pack, nil
			}
		}
		err = fmt.Errorf("its recipe %.12s has no such output", sh.Recipe)
	}
	if ctx.Err() != nil {
		return o, nil, ctx.Err()
	}
	if sh.Format == shard.Parquet { // its columns are all that the recipe can give
		return o, nil, fmt.Errorf("shard %s can not be written anew: %w", sh.Key, err)
	}
	if ext, extErr := shard.Ext(sh.Format, shard.Zstd); extErr == nil && ext == extOf(sh.Key) {
		o.Compression = shard.Zstd
	}
	return o, nil, nil
}
