package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

// Listing is a stream of jobs. It belongs to one goroutine, but for Estimate, which
// belongs to the same.
type Listing struct {
	env
	entries []entry
	index   int
	current reader
	seen    Estimate
	total   Summary
	closed  bool
}

// env is what every reader needs.
type env struct {
	opt  Options
	far  *source.Fetcher // of lists and archives
	skim bool            // count only: unpack nothing
}

// item is one job on its way out of a reader.
type item struct {
	part    pipeline.Part
	bytes   int64 // of its media; -1 where it is not known
	skipped bool  // Options.Skip knows it
}

// reader gives the jobs of one source in order. Its errors, other than io.EOF, end the
// listing; what is wrong with one row or member is in its item.
type reader interface {
	next(ctx context.Context) (*item, error)
	progress() progress
	close() error
}

// progress is how far a reader is.
type progress struct {
	share float64 // of the source, 0 to 1
	left  int64   // jobs still to come; -1 where it is not known
}

// Estimate is what is known of a listing so far.
type Estimate struct {
	// Jobs and Bytes were listed or are known to come; bytes only where a size is known
	// without fetching.
	Jobs, Bytes int64
	// Share of the sources that has been passed, 0 to 1, each counting alike.
	Share float64
	// Final says that Jobs will not grow any more.
	Final bool
}

// Open checks all sources: that files, folders and objects are there, and that lists
// and archives can be read at their beginning. Of those that a folder, glob or prefix
// holds it checks that there is at least one. Nothing is unpacked yet. Close the
// Listing after use.
func Open(ctx context.Context, srcs []string, opt Options) (*Listing, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	if len(srcs) == 0 {
		return nil, errors.New("backfill: no source was named; want files, folders, globs, URLs, lists or archives")
	}
	cfg := opt.Source
	cfg.MaxBytes, cfg.S3.MaxBytes = opt.Archive.MaxBytes, opt.Archive.MaxBytes
	cfg.HTTP.Total, cfg.S3.Total = max(cfg.HTTP.Total, archiveTime), max(cfg.S3.Total, archiveTime)
	cfg.Dataset = opt.Dataset
	far, err := source.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	l := &Listing{env: env{opt: opt, far: far}}
	for _, src := range srcs {
		e, err := resolve(ctx, &l.env, src)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("backfill %s: %w", source.Redact(src), err), l.Close())
		}
		l.entries = append(l.entries, e)
	}
	return l, nil
}

// Next gives the next job, or io.EOF. A Part with a Fault stands for a bad row or
// member; it has an id like any other. Whoever gets a Part closes its Files. Any other
// error ends the listing: the disk, a source that is away.
func (l *Listing) Next(ctx context.Context) (pipeline.Part, error) {
	for {
		it, err := l.next(ctx)
		if err != nil {
			return pipeline.Part{}, err
		}
		l.count(it)
		if !it.skipped {
			return it.part, nil
		}
	}
}

func (l *Listing) next(ctx context.Context) (*item, error) {
	for {
		switch err := ctx.Err(); {
		case err != nil:
			return nil, context.Cause(ctx)
		case l.closed || l.index == len(l.entries) || l.opt.Limit > 0 && l.seen.Jobs >= l.opt.Limit:
			return nil, io.EOF
		}
		if l.current == nil {
			r, err := l.entries[l.index].openAnyway(ctx, &l.env)
			if err != nil {
				return nil, fmt.Errorf("backfill %s: %w", l.entries[l.index], err)
			}
			l.current = r
		}
		it, err := l.current.next(ctx)
		if err == nil {
			return l.sift(it), nil
		}
		if err != io.EOF {
			return nil, fmt.Errorf("backfill %s: %w", l.entries[l.index], err)
		}
		if err := l.current.close(); err != nil {
			return nil, err
		}
		l.current = nil
		l.index++
	}
}

// sift asks Skip about jobs that no reader asked about.
func (l *Listing) sift(it *item) *item {
	if !it.skipped && it.part.Files == nil {
		it.skipped = l.skip(it.part.Job.ID)
	}
	return it
}

func (e *env) skip(id string) bool { return e.opt.Skip != nil && e.opt.Skip(id) }

func (l *Listing) count(it *item) {
	l.seen.Jobs++
	l.seen.Bytes += max(it.bytes, 0)
	l.total.add(it)
}

// Estimate says how much is known so far, for progress bars.
func (l *Listing) Estimate() Estimate {
	e := l.seen
	share, known := float64(l.index), true
	if l.current != nil {
		p := l.current.progress()
		share += p.share
		e.Jobs += max(p.left, 0)
		known = p.left >= 0
	}
	for _, next := range l.entries[min(len(l.entries), l.index+bit(l.current != nil)):] {
		if n := next.jobs(); n >= 0 {
			e.Jobs += n
		} else {
			known = false
		}
	}
	e.Share = share / float64(len(l.entries))
	if limit := l.opt.Limit; limit > 0 {
		known = known || e.Jobs >= limit
		e.Jobs = min(e.Jobs, limit)
		e.Share = max(e.Share, float64(l.seen.Jobs)/float64(limit))
	}
	e.Final = known
	return e
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Close frees what is open. It may be called twice; Next then gives io.EOF.
func (l *Listing) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	if l.current != nil {
		errs = append(errs, l.current.close())
	}
	for _, e := range l.entries {
		errs = append(errs, e.close())
	}
	return errors.Join(append(errs, l.far.Close())...)
}
