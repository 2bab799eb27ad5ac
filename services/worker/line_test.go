package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// held is a mill's work that one job waits for.
func held(job string) (m *mills, release func(), given *atomic.Bool) {
	open := make(chan struct{})
	given = new(atomic.Bool)
	return &mills{do: func(ctx context.Context, id string) error {
		if id != job {
			return nil
		}
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			given.Store(true)
			return ctx.Err()
		}
	}}, func() { close(open) }, given
}

// A partition that comes back is gone on with: the same epoch, the same work, no new fence.
func TestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(20)
		m, release, given := held("job-7")
		w := start(parts(t, topic, s, m))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(10 * time.Second)
		before := time.Now()
		topic.part(queue.ErrGenerationEnded)
		if d := time.Since(before); d > 0 {
			t.Errorf("letting go took %v", d)
		}
		topic.produce(5)
		time.Sleep(20 * time.Second)
		if st := w.Status(); len(st.Partitions) != 1 || st.Partitions[0].State != Waiting {
			t.Errorf("between generations it is %+v", st)
		}
		topic.deal(true)
		release()
		time.Sleep(10 * time.Second)
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		sound(t, s, 25)
		if kinds, _, _ := chain(t, s); kinds != "gfdd" && kinds != "gfddd" {
			t.Errorf("the chain is %s", kinds)
		}
		if m.most() != 1 || given.Load() {
			t.Errorf("a job ran %d times, or was given up (%v)", m.most(), given.Load())
		}
	})
}

// What is under way when the generation ends is committed all the same: the ledger decides.
func TestCommitsBetweenGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(3)
		m, release, _ := held("job-2")
		w := start(parts(t, topic, s, m))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(5 * time.Second)
		topic.part(queue.ErrGenerationEnded)
		release()
		time.Sleep(5 * time.Second)
		sound(t, s, 3)
		if err := w.kill(); err != nil {
			t.Fatal(err)
		}
	})
}

// A partition that is lost is dropped at once, its mills' work too; and so is one that does
// not come back.
func TestDropped(t *testing.T) {
	for name, drop := range map[string]func(*topic){
		"lost":         func(tp *topic) { tp.deal(false); synctest.Wait() },
		"not returned": func(tp *topic) { tp.part(queue.ErrGenerationEnded); time.Sleep(31 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, topic := store.NewMemory(), newTopic(20)
				m, release, given := held("job-0")
				w := start(parts(t, topic, s, m))
				synctest.Wait()
				topic.deal(true)
				time.Sleep(5 * time.Second)
				drop(topic)
				if !given.Load() || len(w.Status().Partitions) != 0 {
					t.Errorf("its work was given up: %v; %+v", given.Load(), w.Status())
				}
				release()
				topic.deal(true)
				time.Sleep(5 * time.Second)
				if err := w.stop(); err != nil {
					t.Fatal(err)
				}
				sound(t, s, 20)
				if kinds, _, _ := chain(t, s); kinds[:3] != "gff" {
					t.Errorf("the chain is %s", kinds)
				}
			})
		})
	}
}

// A zombie that fences does not leave the partition without an owner: this member asks for a
// new generation, and fences once more in it, never twice in one.
func TestFencedWhileOwning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(1)
		w := start(parts(t, topic, s, &mills{}))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(5 * time.Second)
		last := time.Duration(0)
		for range 3 {
			seize(t, s)
			begun := time.Now()
			topic.produce(1)
			gen := <-topic.renewed
			if gen != topic.gen {
				t.Fatalf("generation %d is to end, in generation %d", gen, topic.gen)
			}
			took := time.Since(begun)
			if took < w.restMin/2 || took > time.Minute {
				t.Errorf("a new generation was asked for after %v", took)
			}
			if st := w.Status(); len(st.Partitions) != 1 || st.Partitions[0].State != Fenced {
				t.Errorf("meanwhile it is %+v", st)
			}
			if took < last*3/4 { // of pauses that double and vary by half
				t.Errorf("the pauses are %v and %v", last, took)
			}
			last = took
			topic.deal(true)
			time.Sleep(time.Minute)
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		sound(t, s, 4)
		if kinds, _, _ := chain(t, s); kinds != "gfdffdffdffd" {
			t.Errorf("the chain is %s", kinds)
		}
	})
}

// A line from an earlier generation that finds another's fence is out of date, no rival: a
// fence of the new generation follows at once.
func TestOutOfDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(1)
		w := start(parts(t, topic, s, &mills{}))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(5 * time.Second)
		topic.part(queue.ErrGenerationEnded)
		seize(t, s)
		topic.produce(1)
		topic.deal(true)
		time.Sleep(5 * time.Second)
		sound(t, s, 2)
		if len(topic.renewed) != 0 {
			t.Error("it asked for another generation")
		}
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// A store that is away for an hour costs no fence and no work but what was under way.
func TestOutage(t *testing.T) {
	for name, fault := range map[string]error{
		"uploads refused": &store.Error{Op: "put", Kind: store.ErrDenied},
		"nothing answers": errors.New("no route to host"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory, topic := store.NewMemory(), newTopic(3)
				var down atomic.Bool
				s := store.NewFaulty(memory, func(op, key string, _ int) store.Fault {
					if down.Load() {
						return store.Fault{Before: fault}
					}
					return store.Fault{}
				})
				w := start(parts(t, topic, s, &mills{}))
				synctest.Wait()
				topic.deal(true)
				time.Sleep(5 * time.Second)
				down.Store(true)
				topic.produce(5)
				time.Sleep(time.Hour)
				topic.deal(true)
				time.Sleep(time.Hour)
				if err := w.Status().Ready(); err != nil {
					t.Errorf("an outage of the store makes it not ready: %v", err)
				}
				down.Store(false)
				time.Sleep(10 * time.Minute)
				if err := w.stop(); err != nil {
					t.Fatal(err)
				}
				sound(t, memory, 8)
				if kinds, _, _ := chain(t, memory); kinds != "gfdd" {
					t.Errorf("the chain is %s", kinds)
				}
			})
		})
	}
}

// What only people can help halts, says so, writes nothing, and is seen when it is over.
func TestHalts(t *testing.T) {
	for name, c := range map[string]struct{ spoil, mend func(*topic) }{
		"made anew":   {func(tp *topic) { tp.id = "topic-2" }, func(tp *topic) { tp.id = "topic-1" }},
		"truncated":   {func(tp *topic) { tp.values = tp.values[:1] }, func(tp *topic) { tp.produce(2) }},
		"below start": {func(tp *topic) { tp.produce(4); tp.first = 5 }, func(tp *topic) { tp.first = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, topic := store.NewMemory(), newTopic(3)
				first := start(parts(t, topic, s, &mills{}))
				synctest.Wait()
				topic.deal(true)
				time.Sleep(5 * time.Second)
				if err := first.stop(); err != nil {
					t.Fatal(err)
				}
				before, _, _ := chain(t, s)
				c.spoil(topic)
				second := start(parts(t, topic, s, &mills{}))
				synctest.Wait()
				for range 3 {
					topic.deal(true)
					time.Sleep(10 * time.Minute)
				}
				if kinds, _, _ := chain(t, s); kinds != before {
					t.Errorf("a halted stream gathers records: %s", kinds)
				}
				if st := second.Status(); st.Ready() == nil || len(st.Partitions) != 1 || st.Partitions[0].State != Halted {
					t.Errorf("it is %+v", st)
				}
				c.mend(topic)
				topic.produce(1)
				time.Sleep(10 * time.Minute)
				if err := second.Status().Ready(); err != nil {
					t.Errorf("after it was mended: %v", err)
				}
				if err := second.stop(); err != nil {
					t.Fatal(err)
				}
				sound(t, s, len(topic.values))
			})
		})
	}
}

// With the policy "gap" what retention removed is on record, as lost, and the stream goes on.
func TestRetentionGap(t *testing.T) {
	for name, running := range map[string]bool{"while stopped": false, "while running": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, topic := store.NewMemory(), newTopic(3)
				p := parts(t, topic, s, &mills{})
				p.RetentionGap = true
				w := start(p)
				synctest.Wait()
				topic.deal(true)
				time.Sleep(5 * time.Second)
				if !running {
					if err := w.stop(); err != nil {
						t.Fatal(err)
					}
				}
				topic.mu.Lock()
				topic.first = 8
				topic.mu.Unlock()
				topic.produce(7)
				if !running {
					w = start(p)
					synctest.Wait()
					topic.deal(true)
				}
				time.Sleep(5 * time.Second)
				if err := w.stop(); err != nil {
					t.Fatal(err)
				}
				_, ends, all := chain(t, s)
				last := all[len(all)-1]
				if len(ends) != 5 || len(last.Skipped) != 1 || last.Skipped[0] != (ledger.Skip{From: 3, To: 8, Reason: "retention"}) || last.To != 10 {
					t.Errorf("%d outcomes; the last record skips %+v and ends at %d", len(ends), last.Skipped, last.To)
				}
				if w.Status().Lost != 5 {
					t.Errorf("%d offsets are said to be lost", w.Status().Lost)
				}
			})
		})
	}
}

// Records say of which topic they are and how the first offset was found.
func TestGenesis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, topic := store.NewMemory(), newTopic(1)
		p := parts(t, topic, s, &mills{})
		p.StartPolicy = "timestamp 24h"
		w := start(p)
		synctest.Wait()
		topic.deal(true)
		time.Sleep(5 * time.Second)
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		_, _, all := chain(t, s)
		if all[0].Start != "timestamp 24h" || all[0].Origin != "topic-1" || all[len(all)-1].Origin != "topic-1" {
			t.Errorf("genesis is %+v", all[0])
		}
	})
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{nil, done},
		{errDrained, done},
		{errShut, again},
		{fmt.Errorf("commit: %w", &ledger.FencedError{By: &ledger.Record{}}), fenced},
		{fmt.Errorf("x: %w", ledger.ErrBroken), halt},
		{fmt.Errorf("x: %w", &queue.BelowStartError{}), halt},
		{fmt.Errorf("x: %w", &queue.AboveEndError{}), halt},
		{fmt.Errorf("x: %w", &queue.RecreatedError{}), halt},
		{fmt.Errorf("x: %w", ledger.ErrUnsettled), failed},
		{fmt.Errorf("x: %w", io.EOF), failed}, // of some connection
		{context.Canceled, failed},            // of something below; the line's own is seen before
		{store.ErrDenied, failed},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("%v is judged %d, want %d", c.err, got, c.want)
		}
	}
}
