package worker

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/mill"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/stream"
)

// backlog is a feed of so many jobs, from some time on.
type backlog struct {
	name   string
	jobs   int
	after  time.Duration
	given  int
	offset int64
}

func (b *backlog) Next(ctx context.Context) (*pipeline.Delivery, error) {
	if b.given == 0 {
		select {
		case <-time.After(b.after):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if b.given == b.jobs {
		return nil, io.EOF
	}
	b.given++
	d := &pipeline.Delivery{Offset: b.offset, Parts: []pipeline.Part{{Job: pipeline.Job{ID: fmt.Sprintf("%s-%d", b.name, b.given), Dataset: b.name, Text: "x"}}}}
	b.offset++
	return d, nil
}

// slowMills are count mills; a dataset's jobs take as long as it says.
type slowMills struct {
	mills
	places chan struct{}
	takes  map[string]time.Duration
}

func (m *slowMills) Do(ctx context.Context, a *mill.Assignment, sink mill.Sink) (pipeline.Verdict, error) {
	m.places <- struct{}{}
	defer func() { <-m.places }()
	time.Sleep(m.takes[a.Job.Dataset])
	return m.mills.Do(ctx, a, sink)
}

// A partition with a backlog does not starve another of the same worker: places are given
// in turn, one job of each. Where the jobs of one take much longer they come to hold all
// places, and then each job of the other waits for one of them to end, but for no more.
func TestPartitionsTakeTurns(t *testing.T) {
	const count, few = 2, 20
	for _, c := range []struct {
		name string
		long time.Duration // a job of the backlog; the other's take a second
		most time.Duration // until the other partition is through
	}{
		// The other's half of two mills does a job a second; what is ahead of it goes first.
		{"equal jobs", time.Second, (few + 2*count + 1) * time.Second},
		{"long jobs", time.Minute, (few + 2*count + 1) * time.Minute / count},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &slowMills{places: make(chan struct{}, count), takes: map[string]time.Duration{"hot": c.long, "cold": time.Second}}
				p, s, ahead := parts(t, nil, store.NewMemory(), m), store.NewMemory(), make(chan struct{}, 2*count+1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var g, cold errgroup.Group
				run := func(g *errgroup.Group, b *backlog) {
					chain, known, err := stream.Take(ctx, s, ledger.NamedStream(b.name), stream.Options{})
					if err != nil {
						t.Fatal(err)
					}
					b.offset = chain.Next()
					g.Go(func() error {
						return stream.New(p.Window, stream.Parts{Recipes: p.Recipes, Mills: p.Mills, Chain: chain, Store: s, Known: known, Ahead: ahead, Observe: p.Observe}).Run(ctx, b)
					})
				}
				begun := time.Now()
				run(&g, &backlog{name: "hot", jobs: 2000})
				run(&cold, &backlog{name: "cold", jobs: few, after: 10 * time.Minute})
				if err := cold.Wait(); err != nil {
					t.Fatal(err)
				}
				took := time.Since(begun) - 10*time.Minute
				t.Logf("%d jobs of a second were through after %v, beside a backlog of jobs of %v", few, took, c.long)
				if took > c.most {
					t.Errorf("they took %v; want at most %v", took, c.most)
				}
				cancel()
				_ = g.Wait() // the backlog is given up
			})
		})
	}
}
