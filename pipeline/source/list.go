package source

import (
	"context"
	"fmt"
	"iter"

	"github.com/minio/minio-go/v7"

	"github.com/millrace/millrace/codecs"
)

// Object is one entry of an S3 listing.
type Object struct {
	Key  string
	Size int64
	ETag string // without quotes
}

// List gives the objects of a bucket whose keys begin with prefix, in the order of
// their keys' bytes, a page at a time as they are asked for. Transient failures are
// retried. An error ends the listing.
func (f *Fetcher) List(ctx context.Context, bucket, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel() // an iterator of minio-go that is left early leaks without it
		var err error
		after, more := "", true
		for more && err == nil {
			err = f.retry(ctx, func() (err error) {
				start := after
				more, err = f.list(ctx, bucket, prefix, &after, yield)
				if err != nil && after != start {
					return nil // what came counts: the tries begin anew behind it
				}
				return err
			})
		}
		if err != nil {
			yield(Object{}, listError(bucket, prefix, err))
		}
	}
}

// list goes on behind *after. more is false at the end, or when yield wants no more.
func (f *Fetcher) list(ctx context.Context, bucket, prefix string, after *string, yield func(Object, error) bool) (more bool, err error) {
	if err := f.s3.check(f.cfg.Dataset, bucket, prefix); err != nil {
		return false, err
	}
	opts := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, StartAfter: *after}
	for o := range f.s3.ListObjectsIter(ctx, bucket, opts) {
		if o.Err != nil {
			return true, f.s3.fault(o.Err)
		}
		if *after = o.Key; !yield(Object{Key: o.Key, Size: o.Size, ETag: o.ETag}, nil) {
			return false, nil
		}
	}
	return false, ctx.Err() // minio-go ends a cancelled listing as if it were complete
}

func listError(bucket, prefix string, err error) error {
	if e := codecs.AsError(err); e != nil {
		return fmt.Errorf("list s3://%s/%s: %s (%s)", bucket, prefix, e.Detail, e.Code)
	}
	return fmt.Errorf("list s3://%s/%s: %w", bucket, prefix, err)
}
