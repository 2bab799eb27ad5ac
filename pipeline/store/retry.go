package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"time"
)

// Retry is a Store that tries again what failed for the moment. All retry policy is
// here. What is permanent is not repeated, nor is anything once the context is
// done: a cancelled operation is no failure and is not reported.
//
// A download that breaks off goes on where it was, provided the object is still the
// same. A Create is passed on as it is: only its caller can tell what a second
// attempt would mean.
type Retry struct {
	Store
	policy Policy
}

// Policy says how often and how fast a Retry tries. Zero values mean the defaults.
type Policy struct {
	Attempts int           // in all; 8
	Base     time.Duration // the wait after the first failure, doubled each time; 100 ms
	Max      time.Duration // the longest wait; 10 s
	// Jitter gives some duration from 0 to most; nil takes it by chance.
	Jitter func(most time.Duration) time.Duration
	// Report, if set, hears of each failure that is followed by another attempt after
	// wait. It may be called from several goroutines.
	Report func(op, key string, err error, wait time.Duration)
}

// NewRetry wraps a store.
func NewRetry(s Store, p Policy) *Retry {
	if p.Attempts < 1 {
		p.Attempts = 8
	}
	if p.Base <= 0 {
		p.Base = 100 * time.Millisecond
	}
	if p.Max <= 0 {
		p.Max = 10 * time.Second
	}
	if p.Report == nil {
		p.Report = func(string, string, error, time.Duration) {}
	}
	if p.Jitter == nil {
		p.Jitter = func(most time.Duration) time.Duration { return rand.N(most + 1) }
	}
	return &Retry{Store: s, policy: p}
}

// Unwrap returns the store that is wrapped.
func (r *Retry) Unwrap() Store { return r.Store }

// Put implements Store.
func (r *Retry) Put(ctx context.Context, key string, body Body) error {
	return r.do(ctx, "put", key, func() error { return r.Store.Put(ctx, key, body) })
}

// Stat implements Store.
func (r *Retry) Stat(ctx context.Context, key string) (info Info, err error) {
	err = r.do(ctx, "stat", key, func() error { info, err = r.Store.Stat(ctx, key); return err })
	return info, err
}

// Delete implements Store.
func (r *Retry) Delete(ctx context.Context, key string) error {
	return r.do(ctx, "delete", key, func() error { return r.Store.Delete(ctx, key) })
}

// List implements Store. After a failure it goes on behind the last object given.
func (r *Retry) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		stopped := false
		err := r.do(ctx, "list", prefix, func() error {
			for info, err := range r.Store.List(ctx, prefix, startAfter) {
				if err != nil {
					return err
				}
				startAfter = info.Key
				if !yield(info, nil) {
					stopped = true
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Info{}, err)
		}
	}
}

// Get implements Store.
func (r *Retry) Get(ctx context.Context, key string, offset, length int64) (rc io.ReadCloser, info Info, err error) {
	err = r.do(ctx, "get", key, func() error { rc, info, err = r.Store.Get(ctx, key, offset, length); return err })
	if err != nil {
		return nil, Info{}, err
	}
	if length < 0 {
		length = info.Size - offset
	}
	return &resumingReader{r: r, ctx: ctx, key: key, info: info, rc: rc, offset: offset, left: length}, info, nil
}

// do runs f until it succeeds, fails for good, or has had its attempts.
func (r *Retry) do(ctx context.Context, op, key string, f func() error) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f()
		if err == nil {
			return nil
		}
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		if IsPermanent(err) || n >= r.policy.Attempts {
			return err
		}
		if err := r.policy.wait(ctx, n, func(d time.Duration) { r.policy.Report(op, key, err, d) }); err != nil {
			return err
		}
	}
}

// wait sleeps after the n-th failure: from half of Base doubled n-1 times to all of it.
func (p Policy) wait(ctx context.Context, n int, report func(time.Duration)) error {
	d := p.Max
	if shift := n - 1; shift < 30 && p.Base<<shift < p.Max {
		d = p.Base << shift
	}
	d = d/2 + p.Jitter(d/2)
	report(d)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// resumingReader opens the rest of an object again when a download breaks off.
type resumingReader struct {
	r            *Retry
	ctx          context.Context
	key          string
	info         Info
	rc           io.ReadCloser
	offset, left int64
	failures     int // since the last byte that came
}

func (r *resumingReader) Read(p []byte) (int, error) {
	for {
		n, err := r.rc.Read(p)
		r.offset += int64(n)
		r.left -= int64(n)
		if n > 0 {
			r.failures = 0
		}
		if err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return n, err
		}
		if n > 0 {
			return n, nil // the next Read meets the failure, or gets past it
		}
		if err := r.reopen(err); err != nil {
			return 0, err
		}
	}
}

// reopen follows a failure of the reader.
func (r *resumingReader) reopen(cause error) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.failures++
	if IsPermanent(cause) || r.failures >= r.r.policy.Attempts {
		return cause
	}
	if err := r.r.policy.wait(r.ctx, r.failures, func(d time.Duration) { r.r.policy.Report("get", r.key, cause, d) }); err != nil {
		return err
	}
	_ = r.rc.Close()
	r.rc = io.NopCloser(failingReader{cause})
	var info Info
	err := r.r.do(r.ctx, "get", r.key, func() (err error) {
		var rc io.ReadCloser
		rc, info, err = r.r.Store.Get(r.ctx, r.key, r.offset, r.left)
		if err == nil {
			r.rc = rc
		}
		return err
	})
	replaced := err == nil && (info.ETag != r.info.ETag || info.Size != r.info.Size)
	if replaced || errors.Is(err, ErrRange) {
		err = &Error{Op: "get", Key: r.key, Kind: ErrCorrupt, Err: errors.New("the object was replaced while it was read")}
		_ = r.rc.Close()
		r.rc = io.NopCloser(failingReader{err})
	}
	return err
}

func (r *resumingReader) Close() error { return r.rc.Close() }

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
