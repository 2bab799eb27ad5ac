package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/millrace/millrace/pipeline/ledger"
)

// checkBar shows how a check goes: a bar on a terminal, a line now and then elsewhere.
type checkBar struct {
	now   atomic.Pointer[ledger.Progress]
	start time.Time
	stop  chan struct{}
	done  chan struct{}
}

func startCheck(w io.Writer) *checkBar {
	b := &checkBar{start: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	b.now.Store(&ledger.Progress{})
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		go b.bar(f)
	} else {
		go b.lines(w)
	}
	return b
}

// tell is what ledger.Verify calls.
func (b *checkBar) tell(p ledger.Progress) { b.now.Store(&p) }

// end stops the display and waits until it is gone.
func (b *checkBar) end() { close(b.stop); <-b.done }

func (b *checkBar) bar(w io.Writer) {
	defer close(b.done)
	bars := mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(drawEvery), mpb.WithWidth(40))
	bar := bars.AddBar(0, mpb.PrependDecorators(decor.CountersNoUnit("%d/%d records")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.status() })))
	t := time.NewTicker(drawEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p := b.now.Load()
			bar.SetTotal(max(p.Known, 1), false)
			bar.SetCurrent(p.Records)
		case <-b.stop:
			bar.SetCurrent(b.now.Load().Records)
			bar.Abort(false)
			bars.Wait()
			return
		}
	}
}

func (b *checkBar) lines(w io.Writer) {
	defer close(b.done)
	t := time.NewTicker(lineEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p := b.now.Load()
			fmt.Fprintf(w, "%d/%d records, %s\n", p.Records, p.Known, b.status())
		case <-b.stop:
			return
		}
	}
}

func (b *checkBar) status() string {
	p := b.now.Load()
	rate := size(int64(float64(p.Bytes) / time.Since(b.start).Seconds()))
	return fmt.Sprintf("%d shards, %s (%s/s), %d streams done, now %s, %d faults", p.Shards, size(p.Bytes), rate, p.Streams, p.Stream, p.Faults)
}
