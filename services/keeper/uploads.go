package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// StaleUpload is how old an upload in parts is, at least, that is taken for one of a writer
// that died. A living writer's that is aborted all the same fails, and is sent again.
const StaleUpload = 48 * time.Hour

// Upload is an upload in parts that was begun, and neither completed nor aborted.
type Upload struct {
	store.PartedUpload
	Verdict Verdict `json:"verdict"` // Deleted, Deletable or Young
}

// SweepUploads aborts uploads in parts of shards that were begun more than [StaleUpload]
// ago. They are no objects: no listing shows them, and they are paid for. There are none
// in stores other than S3. What people upload over days lies elsewhere, and is left alone.
// MinAge is not minded.
func SweepUploads(ctx context.Context, s store.Store, o SweepOptions) ([]Upload, error) {
	uploads := []Upload{}
	p, ok := store.AsUnfinished(s)
	if !ok {
		return uploads, nil
	}
	limit := o.now().Add(-StaleUpload)
	for _, prefix := range []string{"data/", ledger.EditedPrefix} {
		for u, err := range p.Unfinished(ctx, prefix) {
			if err != nil {
				return uploads, fmt.Errorf("list the uploads in parts: %w", err)
			}
			x := Upload{u, Deletable}
			if u.Begun.After(limit) {
				x.Verdict = Young
			}
			uploads = append(uploads, x)
		}
	}
	var failed error
	for i := range uploads {
		x := &uploads[i]
		if x.Verdict != Deletable || o.DryRun {
			continue
		}
		if err := p.AbortParts(ctx, x.Key, x.ID); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		x.Verdict = Deleted
	}
	return uploads, failed
}
