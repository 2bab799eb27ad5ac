package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/millrace/millrace/pipeline/stream"
)

// progress shows how a backfill goes: a bar on a terminal, a line now and then elsewhere.
type progress struct {
	tally *stream.Tally
	total func() (n int64, final bool) // jobs known so far
	start time.Time
	stop  chan struct{}
	done  chan struct{}
}

// How often the bar is drawn, and how often a line is written where there is no terminal.
const (
	drawEvery = 200 * time.Millisecond
	lineEvery = 10 * time.Second
)

func startProgress(w io.Writer, t *stream.Tally, total func() (int64, bool)) *progress {
	p := &progress{tally: t, total: total, start: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		go p.bar(f)
	} else {
		go p.lines(w)
	}
	return p
}

// end stops the display and waits until it is gone.
func (p *progress) end() { close(p.stop); <-p.done }

func (p *progress) bar(w io.Writer) {
	defer close(p.done)
	bars := mpb.New(mpb.WithOutput(w), mpb.WithRefreshRate(drawEvery), mpb.WithWidth(40))
	b := bars.AddBar(0,
		mpb.PrependDecorators(decor.CountersNoUnit("%d/%d jobs"), decor.Name("  "), decor.Any(func(decor.Statistics) string { return p.eta() })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.status() })))
	t := time.NewTicker(drawEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			n, _ := p.total()
			b.SetTotal(max(n, 1), false)
			b.SetCurrent(p.tally.Counts().Jobs)
		case <-p.stop:
			b.SetCurrent(p.tally.Counts().Jobs)
			b.Abort(false)
			bars.Wait()
			return
		}
	}
}

func (p *progress) lines(w io.Writer) {
	defer close(p.done)
	t := time.NewTicker(lineEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			n, final := p.total()
			more := "+"
			if final {
				more = ""
			}
			fmt.Fprintf(w, "%d/%d%s jobs, %s, %s\n", p.tally.Counts().Jobs, n, more, p.status(), p.eta())
		case <-p.stop:
			return
		}
	}
}

// status is the counts in a line, for a bar or a log.
func (p *progress) status() string {
	c := p.tally.Counts()
	seconds := time.Since(p.start).Seconds()
	s := fmt.Sprintf("%s of media (%.1fx), %d frames, %d samples (%d with those under way), %s in, %s out (%s/s)",
		time.Duration(c.MediaSeconds*1e9).Round(time.Second), c.MediaSeconds/seconds, c.Frames, c.Samples, c.Sampled,
		size(c.SourceBytes), size(c.ShardBytes), size(int64(float64(c.ShardBytes)/seconds)))
	if c.Quarantined > 0 {
		s += ", quarantined " + codeCounts(c.Codes)
	}
	return s
}

// eta is a guess from the jobs done, once the whole list is known.
func (p *progress) eta() string {
	n, final := p.total()
	done := p.tally.Counts().Jobs
	if !final || done == 0 {
		return "time left unknown"
	}
	left := time.Duration(float64(time.Since(p.start)) / float64(done) * float64(n-done))
	return left.Round(time.Second).String() + " left"
}

// codeCounts lists codes, most frequent first.
func codeCounts(codes map[string]int64) string { return strings.Join(counted(codes, "no code"), ", ") }

// size is a number of bytes for people.
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n), -1
	for f >= 1000 && u < len(units)-1 {
		f /= 1000
		u++
	}
	return fmt.Sprintf("%.1f %cB", f, units[u])
}

// counted lists names with their counts, most frequent first.
func counted(counts map[string]int64, unnamed string) []string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	lines := make([]string, len(keys))
	for i, k := range keys {
		lines[i] = fmt.Sprintf("%d %s", counts[k], cmp.Or(k, unnamed))
	}
	return lines
}
