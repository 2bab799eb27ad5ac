package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// marks are the attempts that are on the store.
func marks(t testing.TB, s store.Store) (keys []string) {
	t.Helper()
	for info, err := range s.List(context.Background(), "_attempt/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, strings.TrimPrefix(info.Key, "_attempt/cluster~ingest~0/"))
	}
	return keys
}

// doomed runs a worker that dies, with nothing done any more from then on, when a mill gets
// the job; or until it has come to the end of the topic.
func doomed(t *testing.T, memory store.Store, topic *topic, job string) (died bool) {
	var dead atomic.Bool
	s := store.NewFaulty(memory, func(op, _ string, _ int) store.Fault {
		if dead.Load() {
			return store.Fault{Before: &store.Error{Op: op, Kind: store.ErrDenied, Err: errors.New("there is no process any more")}}
		}
		return store.Fault{}
	})
	w := start(parts(t, topic, s, &mills{do: func(ctx context.Context, id string) error {
		if id == job {
			dead.Store(true)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}))
	synctest.Wait()
	topic.deal(true)
	time.Sleep(500 * time.Millisecond) // less than a shard's age
	if !dead.Load() {
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		return false
	}
	if err := w.kill(); err != nil {
		t.Fatal(err)
	}
	return true
}

// A message that kills the worker is found by the marks that its deaths leave, and given
// up; those beside it are not, however often they were in hand before.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, topic := store.NewMemory(), newTopic(20)
		deaths := 0
		for doomed(t, memory, topic, "job-7") {
			if deaths++; deaths > 10 {
				t.Fatal("it dies for ever")
			}
			left := marks(t, memory)
			if want := max(deaths-unclean, 0); len(left) != want || want > 0 && !strings.HasPrefix(left[0], "00000000000000000007/") {
				t.Errorf("after %d deaths the marks are %q", deaths, left)
			}
		}
		if deaths != unclean+mostAttempts-1 {
			t.Errorf("it died %d times", deaths)
		}
		_, ends, _ := chain(t, memory)
		if len(ends) != 20 {
			t.Fatalf("%d offsets have ended", len(ends))
		}
		for i, o := range ends {
			want := ledger.OK
			if i == 7 {
				want = ledger.Quarantined
			}
			if o.Status != want || (i == 7) != (o.Code == string(pipeline.CodePoison) && o.Attempts == mostAttempts-1) {
				t.Errorf("offset %d ended as %+v", i, o)
			}
		}
		if left := marks(t, memory); len(left) != 0 {
			t.Errorf("marks that are left: %q", left)
		}
	})
}

// An offset that was in hand when the worker was stopped, or its store failed, has done
// nothing: its mark goes.
func TestCareIsNoTrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, topic := store.NewMemory(), newTopic(20)
		for range unclean {
			doomed(t, memory, topic, "job-3")
		}
		for range 5 {
			m, release, given := held("job-3")
			w := start(parts(t, topic, memory, m))
			synctest.Wait()
			topic.deal(true)
			time.Sleep(500 * time.Millisecond)
			if got := marks(t, memory); len(got) != 1 {
				t.Fatalf("in hand are %q", got)
			}
			if m.times("job-4") != 0 {
				t.Error("the next offset was taken before this one was worked on")
			}
			if err := w.kill(); err != nil || !given.Load() {
				t.Fatal(err, given.Load())
			}
			release()
			if got := marks(t, memory); len(got) != 0 {
				t.Fatalf("marks that are left: %q", got)
			}
		}
		if doomed(t, memory, topic, "") {
			t.Fatal("nobody was to die")
		}
		sound(t, memory, 20)
	})
}

// Care ends with the window.
func TestCareEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, topic := store.NewMemory(), newTopic(300)
		for range unclean {
			doomed(t, memory, topic, "job-0")
		}
		created := 0
		s := store.NewFaulty(memory, func(op, key string, _ int) store.Fault {
			if op == "create" && strings.HasPrefix(key, "_attempt/") {
				created++
			}
			return store.Fault{}
		})
		w := start(parts(t, topic, s, &mills{}))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(5 * time.Second)
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		sound(t, memory, 300)
		if created != 256 {
			t.Errorf("%d offsets were marked", created)
		}
	})
}

// Workers that are killed from outside leave marks at innocent messages. One attempt that
// is outlived clears them all: only deaths one after the other count.
func TestCareForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, topic := store.NewMemory(), newTopic(20)
		for range unclean + mostAttempts - 2 { // one death more would be the last
			doomed(t, memory, topic, "job-3")
		}
		if got := marks(t, memory); len(got) != mostAttempts-2 {
			t.Fatalf("the marks are %q", got)
		}
		for range 3 { // it is worked on, and the next one dies before the commit
			doomed(t, memory, topic, "job-4")
			if got := marks(t, memory); slices.ContainsFunc(got, func(k string) bool { return strings.Contains(k, "03/") }) {
				t.Fatalf("an attempt that was outlived leaves %q", got)
			}
			clearMarks(t, memory, 4)
		}
		if doomed(t, memory, topic, "") {
			t.Fatal("nobody was to die")
		}
		sound(t, memory, 20)
	})
}

// clearMarks removes an offset's marks, so that it is never given up.
func clearMarks(t *testing.T, s store.Store, offset int) {
	t.Helper()
	for _, k := range marks(t, s) {
		if strings.Contains(k, fmt.Sprintf("%020d/", offset)) {
			if err := s.Delete(t.Context(), "_attempt/cluster~ingest~0/"+k); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A store that refuses marks for a while costs attempts, not the stream.
func TestCareWithoutMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, topic := store.NewMemory(), newTopic(20)
		for range unclean {
			doomed(t, memory, topic, "job-0")
		}
		refused := 0
		s := store.NewFaulty(memory, func(op, key string, _ int) store.Fault {
			if op == "create" && strings.HasPrefix(key, "_attempt/") && refused < 5 {
				refused++
				return store.Fault{Before: &store.Error{Op: op, Key: key, Kind: store.ErrConflict, Err: errors.New("another write of that key was under way")}}
			}
			return store.Fault{}
		})
		w := start(parts(t, topic, s, &mills{}))
		synctest.Wait()
		topic.deal(true)
		time.Sleep(3 * time.Second)
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		sound(t, memory, 20)
		if kinds, _, _ := chain(t, memory); refused != 5 || strings.Count(kinds, "f") != unclean+1 {
			t.Errorf("%d marks were refused, and the chain is %s", refused, kinds)
		}
	})
}
