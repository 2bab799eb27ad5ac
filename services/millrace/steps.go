package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// steps shows how far a command is that goes over things one by one: a bar on a terminal,
// a line now and then elsewhere. It belongs to one goroutine.
type steps struct {
	w     io.Writer
	what  string // "shards"
	bars  *mpb.Progress
	bar   *mpb.Bar
	text  string // behind the bar
	start time.Time
	last  time.Time // of the last line
}

func newSteps(w io.Writer, what string) *steps {
	now := time.Now()
	s := &steps{w: w, what: what, start: now, last: now}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.bars = mpb.New(mpb.WithOutput(f), mpb.WithRefreshRate(drawEvery), mpb.WithWidth(40))
		s.bar = s.bars.AddBar(0, mpb.PrependDecorators(decor.CountersNoUnit("%d/%d "+what)), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return s.text })))
	}
	return s
}

// at says that done of so many things are done; text says more.
func (s *steps) at(done, of int64, text string) {
	if s.bar != nil {
		s.text = text
		s.bar.SetTotal(max(of, 1), false)
		s.bar.SetCurrent(done)
		return
	}
	if time.Since(s.last) >= lineEvery {
		s.last = time.Now()
		fmt.Fprintf(s.w, "%d/%d %s, %s\n", done, of, s.what, text)
	}
}

// end takes the bar away.
func (s *steps) end() {
	if s.bar != nil {
		s.bar.Abort(true)
		s.bars.Wait()
	}
}

// rate is how many bytes came in a second, for people.
func (s *steps) rate(n int64) string {
	return size(n) + " read, " + size(int64(float64(n)/max(time.Since(s.start).Seconds(), 1e-3))) + "/s"
}
