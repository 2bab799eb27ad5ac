package source

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// body is what one attempt opened.
type body struct {
	r       io.Reader
	c       io.Closer
	size    int64 // as announced; -1 where it was not
	version string
	max     int64
	span    *span // of a range
}

// whole compares what came with what was announced.
func (b *body) whole(n int64) error {
	if b.size >= 0 && n != b.size {
		return refuse(pipeline.CodeSourceTransient, "%d bytes came where %d were announced", n, b.size)
	}
	return nil
}

var (
	errSlow  = errors.New("too slow")
	errTotal = errors.New("out of time")
)

// attempt opens once and lets use read, within total and at no less than the least
// rate. Both end the request by cancelling it, so that a read that hangs returns.
func (f *Fetcher) attempt(ctx context.Context, total time.Duration, maxBytes int64, use func(*body) error, open func(context.Context) (*body, error)) (*watch, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWatch(total, func() { cancel(errTotal) })
	defer w.timer.Stop()
	ctx = w.in(ctx)

	err := func() error {
		b, err := open(ctx)
		if err != nil {
			return err
		}
		defer b.c.Close()
		if b.max = maxBytes; b.size > b.max {
			return refuse(pipeline.CodeSourceLimit, "it has %d bytes; %d are allowed", b.size, b.max)
		}
		pace := &pacer{r: b.r, least: int64(float64(f.cfg.MinRate) * f.cfg.RateWindow.Seconds()), window: f.cfg.RateWindow}
		pace.start(cancel)
		defer pace.stop()
		b.r = pace
		return use(b)
	}()
	switch cause := context.Cause(ctx); {
	case err == nil:
		return w, nil
	case cause == errSlow:
		return w, refuse(pipeline.CodeSourceLimit, "less than %d bytes a second came for %v", f.cfg.MinRate, f.cfg.RateWindow)
	case cause == errTotal:
		return w, refuse(pipeline.CodeSourceLimit, "it was not read within %v", total)
	}
	return w, err
}

// pacer counts what is read and cancels a request that falls below the least rate.
// Its errors are the sender's: they become transient faults, unlike those of the
// spool that is written to.
type pacer struct {
	r      io.Reader
	least  int64 // bytes a window
	window time.Duration
	n      atomic.Int64
	done   atomic.Bool // the end was seen: what is left is the local disk's work
	timer  *time.Timer
}

func (p *pacer) start(cancel context.CancelCauseFunc) {
	var seen int64
	set := make(chan struct{}) // the first run waits until timer is set
	p.timer = time.AfterFunc(p.window, func() {
		<-set
		n := p.n.Load()
		switch {
		case p.done.Load():
		case n-seen < p.least:
			cancel(errSlow)
		default:
			seen = n
			p.timer.Reset(p.window)
		}
	})
	close(set)
}

func (p *pacer) stop() {
	p.done.Store(true) // for a run that is just about to set the timer again
	p.timer.Stop()
}

func (p *pacer) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n.Add(int64(n))
	if err == nil {
		return n, nil
	}
	p.done.Store(true)
	if err == io.EOF || codecs.AsError(err) != nil {
		return n, err
	}
	return n, refuse(pipeline.CodeSourceTransient, "the bytes broke off after %d: %w", p.n.Load(), plain(err))
}
