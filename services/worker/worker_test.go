package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// A partition that is given to a worker while it drains is not begun, and does not race
// with the wait for those that were.
func TestGivenWhileDraining(t *testing.T) {
	for range 100 {
		w := New(parts(t, newTopic(0), store.NewMemory(), &mills{}))
		w.work = t.Context()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { w.own(ctx, queue.Assignment{}) })
		w.mu.Lock()
		w.drain()
		w.mu.Unlock()
		if !w.wait(t.Context(), time.Minute) {
			t.Fatal("the drain does not end")
		}
		cancel()
		all.Wait()
		w.own(t.Context(), queue.Assignment{}) // would work on it if it were begun
	}
}

// The first word to stop lets what was taken be committed; what takes too long is left.
func TestDrain(t *testing.T) {
	for name, wait := range map[string]time.Duration{"in time": 5 * time.Second, "too long": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, topic := store.NewMemory(), newTopic(1)
				m := &mills{do: func(ctx context.Context, _ string) error {
					select {
					case <-time.After(wait):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}}
				w := start(parts(t, topic, s, m))
				synctest.Wait()
				topic.deal(true)
				synctest.Wait()
				begun := time.Now()
				if err := w.stop(); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begun); took > DrainWithin+time.Second {
					t.Errorf("it took %v", took)
				}
				_, ends, _ := chain(t, s)
				if want := map[bool]int{true: 1, false: 0}[wait < DrainWithin]; len(ends) != want {
					t.Errorf("%d offsets are committed, want %d", len(ends), want)
				}
			})
		})
	}
}

// Work that hangs ends the process, where there is work; nothing else does.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(3)
		m, release, _ := held("job-3")
		hang := m.do
		m.do = func(_ context.Context, id string) error { return hang(context.Background(), id) } // deaf
		p := parts(t, topic, s, m)
		p.Config.Stalled = time.Minute
		w := start(p)
		synctest.Wait()
		topic.deal(true)
		time.Sleep(time.Hour)
		sound(t, s, 3)
		topic.produce(1)
		begun := time.Now()
		err := w.end()
		if took := time.Since(begun); !errors.Is(err, ErrStalled) || took < time.Minute || took > 2*time.Minute {
			t.Errorf("after %v: %v", took, err)
		}
		release()
		synctest.Wait()
	})
}

// Work that is deaf does not hold up the end, and is told of.
func TestDeafWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, release, _ := held("job-0")
		hang := m.do
		m.do = func(_ context.Context, id string) error { return hang(context.Background(), id) }
		topic := newTopic(1)
		w := start(parts(t, topic, store.NewMemory(), m))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(time.Second)
		begun := time.Now()
		err := w.stop()
		if took := time.Since(begun); !errors.Is(err, ErrStalled) || took > DrainWithin+2*leaveWithin {
			t.Errorf("after %v: %v", took, err)
		}
		release()
		synctest.Wait()
	})
}

// A job that takes longer than a drain may costs only itself and what came after it: what
// was finished before is committed, though its shard is young.
func TestDrainCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(6)
		m, release, given := held("job-3")
		defer release()
		p := parts(t, topic, s, m)
		r := *p.Recipes("d")
		r.Outputs = slices.Clone(r.Outputs)
		r.Outputs[0].ShardAge = time.Hour
		p.Recipes = func(string) *pipeline.Recipe { return &r }
		w := start(p)
		synctest.Wait()
		topic.deal(true)
		time.Sleep(5 * time.Second)
		if _, ends, _ := chain(t, s); len(ends) != 0 {
			t.Fatalf("%d offsets are committed before the drain", len(ends))
		}
		begun := time.Now()
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < cutAfter || took >= DrainWithin {
			t.Errorf("it took %v", took)
		}
		if !given.Load() {
			t.Error("the long job was not given up")
		}
		sound(t, s, 3)
	})
}
