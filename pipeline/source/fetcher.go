package source

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Fetcher fetches media. Safe for concurrent use.
type Fetcher struct {
	cfg       Config
	root      *os.Root // nil without Config.Root
	policy    policy
	transport *http.Transport
	client    *http.Client
	dialer    *net.Dialer // its Control is set for each connection
	userAgent string
	s3        *s3Client
	origins   *origins
	optOuts   tallied
	log       *slog.Logger
}

// New makes a Fetcher and sees that its spool folder can be written to. It opens no
// connection. Close it after use.
func New(cfg Config) (*Fetcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := tryDir(cfg.dir()); err != nil {
		return nil, fmt.Errorf("source.dir: %w", err)
	}
	f := &Fetcher{cfg: cfg, origins: newOrigins(), log: cfg.Log}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.openHTTP()
	var err error
	if f.s3, err = newS3Client(cfg.S3); err != nil {
		return nil, err
	}
	if cfg.Root != "" {
		if f.root, err = os.OpenRoot(cfg.Root); err != nil {
			return nil, fmt.Errorf("source.root: %w", err)
		}
	}
	return f, nil
}

func tryDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	w, r, err := spoolFile(dir)
	if err != nil {
		return err
	}
	return errors.Join(w.Close(), r.Close())
}

// Close frees idle connections and the root folder. It may be called twice; files
// that were fetched stay open.
func (f *Fetcher) Close() error {
	f.transport.CloseIdleConnections()
	f.s3.Transport.CloseIdleConnections()
	if f.root != nil {
		return f.root.Close()
	}
	return nil
}

// Fetch brings one medium to a local file, which the caller closes. A fault of the
// medium is a *[codecs.Error]; with [pipeline.CodeSourceTransient] it was tried as
// often as the settings say and may work later. Other errors, among them ctx's, say
// nothing about the medium.
func (f *Fetcher) Fetch(ctx context.Context, m pipeline.Media) (*Spooled, error) {
	s, err := f.fetch(ctx, m, math.MaxInt64)
	if err != nil {
		return nil, f.about(m, err)
	}
	return s, nil
}

// fetch does not fetch what is announced with large bytes or more: that is errLarge.
func (f *Fetcher) fetch(ctx context.Context, m pipeline.Media, large int64) (*Spooled, error) {
	if err := checkMedia(m); err != nil {
		return nil, err
	}
	if m.URI == "" {
		return f.inline(m)
	}
	loc, err := locate(m.URI)
	if err != nil {
		return nil, err
	}
	var s *Spooled
	if loc.scheme == "file" {
		err = f.retry(ctx, func() (err error) {
			s, err = f.file(ctx, loc.path, m)
			return err
		})
		return s, err
	}
	err = f.remote(ctx, loc, m, func(b *body) (err error) {
		if b.size >= large {
			return errLarge
		}
		if s, err = spool(f.cfg.dir(), b.r, b.max); err != nil {
			return err
		}
		if err := b.whole(s.ID.Bytes); err != nil {
			s.Close()
			return err
		}
		s.ID.URI, s.ID.Version = Redact(m.URI), b.version
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.expect(m.SHA256)
}

// Peek returns the first bytes of a medium, n or all if it has fewer, without
// fetching the rest. Errors are as Fetch's.
func (f *Fetcher) Peek(ctx context.Context, m pipeline.Media, n int) ([]byte, error) {
	loc, err := locate(m.URI)
	if err != nil {
		return nil, f.about(m, err)
	}
	head := make([]byte, n)
	take := func(r io.Reader) error {
		k, err := io.ReadFull(r, head[:n])
		if head = head[:k]; err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		return err
	}
	if loc.scheme == "file" {
		var file *os.File
		if file, _, err = f.openFile(loc.path); err == nil {
			err = errors.Join(take(file), file.Close())
		}
	} else {
		err = f.remote(ctx, loc, m, func(b *body) error { return take(b.r) })
	}
	if err != nil {
		return nil, f.about(m, err)
	}
	return head, nil
}

func checkMedia(m pipeline.Media) error {
	if (m.URI == "") == (len(m.Data) == 0) {
		if m.URI == "" {
			return refuse(pipeline.CodeSourceEmpty, "the medium has neither a URI nor bytes")
		}
		return refuse(pipeline.CodeMsgInvalid, "the medium has both a URI and inline bytes")
	}
	if b, err := hex.DecodeString(m.SHA256); err != nil || len(b) != 32 && len(b) != 0 {
		return refuse(pipeline.CodeMsgInvalid, "the expected sha256 is not 64 hexadecimal digits")
	}
	return nil
}

func (f *Fetcher) inline(m pipeline.Media) (*Spooled, error) {
	s, err := SpoolBytes(f.cfg.dir(), m.Data, f.cfg.MaxBytes)
	if err != nil {
		return nil, err
	}
	return s.expect(m.SHA256)
}

// about names the medium in an error, once, and not its secrets.
func (f *Fetcher) about(m pipeline.Media, err error) error {
	name := "the inline medium"
	if m.URI != "" {
		name = fmt.Sprintf("%.300s", Redact(m.URI))
	}
	e := codecs.AsError(err)
	if e == nil {
		return fmt.Errorf("fetch %s: %w", name, err)
	}
	return &codecs.Error{Code: e.Code, Stage: codecs.StageFetch, Detail: name + ": " + e.Detail, Err: e.Err, Attempts: e.Attempts}
}

// remote opens a medium that is elsewhere and hands its body to use, again for as
// long as the failure is transient and tries are left, and anew after an outage.
func (f *Fetcher) remote(ctx context.Context, loc location, m pipeline.Media, use func(*body) error) error {
	return f.persist(ctx, loc, func(ctx context.Context) (*body, error) {
		if loc.scheme == "s3" {
			return f.s3.get(ctx, f.object(loc, m))
		}
		return f.get(ctx, loc.url, m)
	}, use)
}

// persist tries to open and use as often as the settings say. What is left of an outage
// is waited for.
func (f *Fetcher) persist(ctx context.Context, loc location, open func(context.Context) (*body, error), use func(*body) error) error {
	total, most := f.cfg.HTTP.Total, f.cfg.MaxBytes
	if loc.scheme == "s3" {
		total, most = f.cfg.S3.Total, f.cfg.S3.MaxBytes
	}
	for {
		fail := failure{loc: loc, began: time.Now(), err: refuse(pipeline.CodeSourceTransient, "it is known to be down")}
		if since := f.origins.downSince(fail.origin()); !since.IsZero() && f.dead(fail) == nil { // spare it the tries
			if err := f.waitFor(ctx, fail); err != nil {
				return err
			}
		}
		err := f.retry(ctx, func() error {
			w, err := f.attempt(ctx, total, most, use, open)
			fail.asked, fail.status = w.last()
			return err
		})
		if fail.err = codecs.AsError(err); fail.err == nil || fail.err.Code != pipeline.CodeSourceTransient {
			if loc.scheme == "s3" && (err == nil || fail.err != nil) {
				f.origins.answered(s3Origin, http.StatusOK)
			}
			return err
		}
		own, err := f.judge(ctx, fail)
		if err != nil {
			return err
		}
		if own != nil {
			return own
		}
		if err := f.waitFor(ctx, fail); err != nil {
			return err
		}
	}
}

func (f *Fetcher) retry(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		var renewed renewedError
		e := codecs.AsError(err)
		if e != nil && n > 1 {
			e.Attempts = n
		}
		if again := e != nil && e.Code == pipeline.CodeSourceTransient || errors.As(err, &renewed) && n < f.cfg.Tries; !again {
			return err
		}
		wait, worth := f.wait(n, err)
		if e != nil && (n == f.cfg.Tries || !worth) {
			last := refuse(pipeline.CodeSourceTransient, "%s, in try %d of %d", e.Detail, n, f.cfg.Tries)
			last.Attempts = e.Attempts
			return last
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// maxBackoff bounds the wait that nobody asked for.
const maxBackoff = 30 * time.Second

// wait is the pause after the n-th failure: what the other side asked for, or an
// exponential one with jitter. It is not worth waiting longer than the settings allow.
func (f *Fetcher) wait(n int, err error) (time.Duration, bool) {
	var later *laterError
	if errors.As(err, &later) {
		return later.wait, later.wait <= f.cfg.MaxRetryAfter
	}
	d := min(f.cfg.Backoff<<(n-1), maxBackoff)
	return d/2 + rand.N(d/2+1), true
}

// laterError carries a Retry-After.
type laterError struct {
	error
	wait time.Duration
}

func (e *laterError) Unwrap() error { return e.error }
