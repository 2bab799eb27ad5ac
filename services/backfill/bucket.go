package backfill

import (
	"context"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/source"
)

// bucket lists a prefix, page by page as it is read.
type bucket struct {
	v            *env
	name, prefix string
	glob         []string
	cancel       context.CancelFunc
	pull         func() (source.Object, error, bool)
	stop         func()
	done         bool
}

func newBucket(v *env, e entry) *nested {
	b := &bucket{v: v, glob: e.glob}
	b.name, b.prefix, _ = strings.Cut(strings.TrimPrefix(e.uri, "s3://"), "/")
	if e.glob != nil { // what stands before the first glob is the prefix
		b.prefix = b.prefix[:strings.IndexAny(b.prefix, "*?[")]
	}
	return &nested{v: v, find: b}
}

func (b *bucket) find(ctx context.Context) (entry, error) {
	if b.pull == nil {
		// The listing outlives this call, and pages are asked for in later ones; ctx is
		// looked at in each of them by Next.
		list, cancel := context.WithCancel(context.WithoutCancel(ctx))
		b.cancel = cancel
		b.pull, b.stop = iter.Pull2(b.v.far.List(list, b.name, b.prefix))
	}
	stop := context.AfterFunc(ctx, b.cancel)
	defer stop()
	for {
		o, err, ok := b.pull()
		switch {
		case ctx.Err() != nil:
			return entry{}, context.Cause(ctx)
		case !ok:
			b.done = true
			return entry{}, io.EOF
		case err != nil:
			return entry{}, err
		}
		if b.wants(o.Key) {
			return objectEntry(b.name, o), nil
		}
	}
}

func (b *bucket) wants(key string) bool {
	parts := strings.Split(key, "/")
	if strings.HasSuffix(key, "/") { // a folder's marker
		return false
	}
	if b.glob != nil {
		return matches(b.glob, parts, false) && wanted(b.glob, kindOf(key))
	}
	below := strings.Split(strings.TrimPrefix(key, b.prefix), "/")
	if slices.ContainsFunc(below, func(s string) bool { return strings.HasPrefix(s, ".") }) {
		return false
	}
	return wanted(nil, kindOf(key))
}

func (b *bucket) share() float64 { return float64(bit(b.done)) }

func (b *bucket) close() error {
	if b.pull != nil {
		b.stop()
		b.cancel()
	}
	return nil
}
