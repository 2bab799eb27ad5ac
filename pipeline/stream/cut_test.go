package stream

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/mill"
)

// endless holds one job for as long as its context lives; the others' ends are counted.
type endless struct {
	*mills
	id    string
	ended atomic.Int64
	all   chan struct{} // closed once others have ended
	wait  int64
}

func (m *endless) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	if a.Job.ID == m.id {
		<-ctx.Done()
		return pipeline.Verdict{}, ctx.Err()
	}
	v, err := m.mills.Do(ctx, a, sink)
	if m.ended.Add(1) == m.wait {
		close(m.all)
	}
	return v, err
}

// idle is a feed that stays open after its last delivery, or ends like a drained one.
type idle struct {
	*jobs
	drained bool
}

func (f idle) Next(ctx context.Context) (*pipeline.Delivery, error) {
	d, err := f.jobs.Next(ctx)
	if err == io.EOF && !f.drained {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d, err
}

// A stream that is cut while a job takes for ever commits what is finished before it, and
// gives up the job and what came after; taken again, it goes on there.
func TestCut(t *testing.T) {
	for _, drained := range []bool{true, false} {
		for _, held := range []int{0, 5, 9} {
			t.Run(fmt.Sprint("drained ", drained, ", job ", held), func(t *testing.T) {
				b := newBench(t)
				b.cut = make(chan struct{})
				e := &endless{mills: b.mills, id: fmt.Sprint("job-", held), all: make(chan struct{}), wait: 9}
				b.work = e
				name := func(o int64) string { return fmt.Sprint("job-", o) }
				go func() {
					<-e.all
					close(b.cut)
				}()
				if err := b.run(t.Context(), func(next int64) Feed {
					return idle{&jobs{next: next, end: 10, id: name}, drained}
				}); err != nil {
					t.Fatal(err)
				}
				want := map[string]ledger.Status{}
				for o := range int64(held) {
					want[fmt.Sprint(o, " ", name(o))] = ledger.OK
				}
				// What ended at the very moment of the cut may be packed or not; what was
				// before the held job had ended, but its goroutine may not have said so yet.
				b.checkPrefix(want, held)
				b.cut, b.work = nil, b.mills
				for o := range int64(10) {
					want[fmt.Sprint(o, " ", name(o))] = ledger.OK
				}
				if err := b.run(t.Context(), func(next int64) Feed { return &jobs{next: next, end: 10, id: name} }); err != nil {
					t.Fatal(err)
				}
				b.check(want)
			})
		}
	}
}

// checkPrefix wants a committed prefix of at most so many offsets, and all but the last
// two of them.
func (b *bench) checkPrefix(want map[string]ledger.Status, most int) {
	b.t.Helper()
	chain, _, err := Take(b.t.Context(), b.store, ledger.NamedStream("s"), Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	next := int(chain.Next())
	if next > most || next < most-2 {
		b.t.Fatalf("%d offsets are committed, want %d", next, most)
	}
	for o := next; o < most; o++ {
		delete(want, fmt.Sprint(o, " job-", o))
	}
	b.check(want)
}
