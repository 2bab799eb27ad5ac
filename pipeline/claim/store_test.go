package claim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/storetest"
)

// TestSuite holds a store that ignores conditional writes, with a claim log, to what
// every store is held to.
func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return process(t, overwriting{store.NewMemory()}, claim.NewMemory(4, nil))
	})
}

// TestSuiteTwice has every append written twice.
func TestSuiteTwice(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return process(t, overwriting{store.NewMemory()}, claim.NewMemory(1, func(int) claim.Fate { return claim.Fate{Twice: true} }))
	})
}

func TestFirstInTheLogWins(t *testing.T) {
	s, log := store.NewMemory(), claim.NewMemory(4, nil)
	a, b := process(t, s, log), process(t, s, log)
	if err := a.Create(t.Context(), number(0), []byte("a")); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.Create(t.Context(), number(0), []byte("b")), store.ErrExists)
	wantKind(t, b.Create(t.Context(), number(0), []byte("a")), store.ErrExists) // equal bytes of another
	wantObject(t, s, number(0), "a")
	wantKind(t, a.Create(t.Context(), "_log/cluster-1~ingest~4/00000000000000000000", nil), store.ErrInvalid)
	wantKind(t, a.Create(t.Context(), "_claim/topic.json", nil), store.ErrInvalid)
}

// TestDiedBeforePut: a writer appends its record and dies. Whoever creates next in that
// partition brings the record to the store.
func TestDiedBeforePut(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(4, nil)
	ctx, cancel := context.WithCancel(t.Context())
	dying := store.NewFaulty(memory, func(op, key string, _ int) store.Fault {
		if op == "put" && key == number(0) {
			cancel()
			return store.Fault{Before: context.Canceled}
		}
		return store.Fault{}
	})
	wantKind(t, process(t, dying, log).Create(ctx, number(0), []byte("dead")), store.ErrUnknown)
	if object(t, memory, number(0)) != nil {
		t.Fatal("it put the object before it died")
	}
	wantKind(t, process(t, memory, log).Create(t.Context(), number(0), []byte("heir")), store.ErrExists)
	wantObject(t, memory, number(0), "dead")
}

// TestPutLandsLate: the put of a winner comes after others have built on it.
func TestPutLandsLate(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(4, nil)
	late := store.NewFaulty(memory, func(op, key string, _ int) store.Fault {
		if op == "put" && key == number(0) {
			return store.Fault{Late: 1000}
		}
		return store.Fault{}
	})
	wantKind(t, process(t, late, log).Create(t.Context(), number(0), []byte("a")), store.ErrUnknown)
	b := process(t, memory, log)
	wantKind(t, b.Create(t.Context(), number(0), []byte("b")), store.ErrExists)
	if err := b.Create(t.Context(), number(1), []byte("next")); err != nil {
		t.Fatal(err)
	}
	late.Settle()
	wantObject(t, memory, number(0), "a")
	wantObject(t, memory, number(1), "next")
}

// TestZombie: the record of a writer that was asleep comes after the winner.
func TestZombie(t *testing.T) {
	memory := store.NewMemory()
	log := claim.NewMemory(4, func(n int) claim.Fate {
		if n == 2 { // the first is the binding
			return claim.Fate{Late: 2}
		}
		return claim.Fate{}
	})
	a, b := process(t, memory, log), process(t, memory, log)
	wantKind(t, a.Create(t.Context(), number(0), []byte("zombie")), store.ErrUnknown)
	if err := b.Create(t.Context(), number(0), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), number(1), []byte("b1")); err != nil { // behind the zombie's record
		t.Fatal(err)
	}
	wantKind(t, a.Create(t.Context(), number(0), []byte("zombie")), store.ErrExists)
	c := process(t, memory, log)
	if err := c.Create(t.Context(), number(2), []byte("c")); err != nil { // reads all of it anew
		t.Fatal(err)
	}
	wantObject(t, memory, number(0), "b")
}

// TestRepeatMeetsItself: the reply to an append is lost; the same bytes again meet the
// first ones.
func TestReplyLost(t *testing.T) {
	memory := store.NewMemory()
	log := claim.NewMemory(4, func(n int) claim.Fate { return claim.Fate{Reply: n == 2, Lost: n == 3} })
	a := process(t, memory, log)
	if err := a.Create(t.Context(), number(0), []byte("x")); err != nil {
		t.Fatalf("a lost reply is settled by reading: %v", err)
	}
	wantKind(t, a.Create(t.Context(), number(1), []byte("y")), store.ErrUnknown)
	if err := a.Create(t.Context(), number(1), []byte("y")); err != nil {
		t.Fatal(err)
	}
	wantObject(t, memory, number(1), "y")
}

func TestDeletedStaysDeleted(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(1, nil)
	a, b := process(t, memory, log), process(t, memory, log)
	if err := errors.Join(b.Create(t.Context(), "_snap/0", []byte("0")), a.Create(t.Context(), "_snap/1", []byte("1")), a.Delete(t.Context(), "_snap/1")); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(t.Context(), "_snap/2", []byte("2")); err != nil { // goes over the create and the delete
		t.Fatal(err)
	}
	if object(t, memory, "_snap/1") != nil {
		t.Fatal("a writer that was behind put a deleted object again")
	}
}

func TestLargeObjects(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(1, nil)
	large := bytes.Repeat([]byte("large"), claim.MaxInline/4)
	a, b := process(t, memory, log), process(t, memory, log)
	if err := a.Create(t.Context(), "_snap/0", large); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.Create(t.Context(), "_snap/0", append(large, 'x')), store.ErrExists)
	if !bytes.Equal(object(t, memory, "_snap/0"), large) {
		t.Fatal("another object stands there")
	}
}

// TestNotesBoundWhatIsRead: who comes late reads the log from a note on, and one who
// comes without a log reads the store.
func TestNotesBoundWhatIsRead(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(4, nil)
	a := process(t, memory, log)
	for n := range 200 {
		if err := a.Create(t.Context(), number(n), fmt.Append(nil, n)); err != nil {
			t.Fatal(err)
		}
	}
	counted := &reading{Log: log}
	stats := 0
	watched := store.NewFaulty(memory, func(op, _ string, _ int) store.Fault {
		if op == "stat" {
			stats++
		}
		return store.Fault{}
	})
	if err := process(t, watched, counted).Create(t.Context(), number(200), []byte("late")); err != nil {
		t.Fatal(err)
	}
	if counted.from[0] < 128 || stats > 64+2 {
		t.Errorf("it read from %v and asked %d times for objects", counted.from, stats)
	}
}

// reading notes where a log is read from.
type reading struct {
	claim.Log
	from []int64
}

func (r *reading) Read(partition int, from int64) claim.Reader {
	r.from = append(r.from, from)
	return r.Log.Read(partition, from)
}

func TestLostLogHalts(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, s *store.Memory, log *claim.Memory)
		want string
	}{
		"made anew": {func(_ *testing.T, _ *store.Memory, log *claim.Memory) { log.Recreate() }, "bound to the topic"},
		"cut":       {func(_ *testing.T, _ *store.Memory, log *claim.Memory) { log.Cut(3, 60) }, "it was cut"},
		"the store's other end is gone": {func(t *testing.T, s *store.Memory, _ *claim.Memory) {
			if err := s.Delete(t.Context(), "_claim/topic.json"); err != nil {
				t.Fatal(err)
			}
		}, "of another store"},
	} {
		t.Run(name, func(t *testing.T) {
			memory, log := store.NewMemory(), claim.NewMemory(4, nil)
			a := process(t, memory, log)
			for n := range 100 {
				if err := a.Create(t.Context(), number(n), fmt.Append(nil, n)); err != nil {
					t.Fatal(err)
				}
			}
			c.harm(t, memory, log)
			err := process(t, memory, log).Create(t.Context(), number(100), []byte("x"))
			wantKind(t, err, claim.ErrLost)
			if !strings.Contains(err.Error(), c.want) || !store.IsPermanent(err) {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
			if err := a.Create(t.Context(), number(100), []byte("x")); name != "the store's other end is gone" && !errors.Is(err, claim.ErrLost) {
				t.Errorf("a writer under way got %v", err)
			}
			if object(t, memory, number(100)) != nil && name != "the store's other end is gone" {
				t.Error("a record was written all the same")
			}
		})
	}
}

func TestLogOfAnotherStore(t *testing.T) {
	log := claim.NewMemory(4, nil)
	if err := process(t, store.NewMemory(), log).Create(t.Context(), number(0), nil); err != nil {
		t.Fatal(err)
	}
	wantKind(t, process(t, store.NewMemory(), log).Create(t.Context(), number(0), nil), claim.ErrLost)
}

// TestRecordFromNowhere: a record whose predecessor the store has not is no writer's of
// this store.
func TestRecordFromNowhere(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(4, nil)
	a := process(t, memory, log)
	if err := a.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := claim.Record{Op: claim.Create, Key: number(7), Token: "t", SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	if _, err := log.Append(t.Context(), 3, r); err != nil {
		t.Fatal(err)
	}
	wantKind(t, a.Create(t.Context(), number(0), []byte("x")), claim.ErrLost)
}

func TestRebind(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(4, nil)
	if err := process(t, memory, log).Create(t.Context(), number(0), []byte("0")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := claim.Rebind(t.Context(), memory, log, "test:"); err == nil {
		t.Fatal("it was bound anew to the topic that it is bound to")
	}
	log.Recreate()
	was, is, err := claim.Rebind(t.Context(), memory, log, "test:")
	if err != nil || was.TopicID == is.TopicID {
		t.Fatal(was, is, err)
	}
	b := process(t, memory, log)
	wantKind(t, b.Create(t.Context(), number(0), []byte("other")), store.ErrExists)
	if err := b.Create(t.Context(), number(1), []byte("1")); err != nil {
		t.Fatal(err)
	}
	wantObject(t, memory, number(0), "0")
}

// TestModesDoNotMix: a writer that knows of no claim log is kept out of a store that
// has one, and the other way round.
func TestModesDoNotMix(t *testing.T) {
	memory, log := store.NewMemory(), claim.NewMemory(4, nil)
	guarded := claim.NewGuard(memory)
	if err := guarded.Create(t.Context(), "free", nil); err != nil {
		t.Fatal(err)
	}
	if err := store.WriteMode(t.Context(), memory, store.Mode{Mode: store.Conditional}); err != nil {
		t.Fatal(err)
	}
	a := process(t, memory, log)
	if err := a.Create(t.Context(), number(0), nil); !store.IsPermanent(err) || !strings.Contains(err.Error(), "--switch-mode") {
		t.Fatalf("got %v", err)
	}
	if err := store.WriteMode(t.Context(), memory, store.Mode{Mode: store.Claims}); err != nil {
		t.Fatal(err)
	}
	if err := a.Create(t.Context(), number(0), nil); err != nil {
		t.Fatal(err)
	}
	err := claim.NewGuard(memory).Create(t.Context(), number(1), nil)
	if !store.IsPermanent(err) || !strings.Contains(err.Error(), "store.claim_log.topic") {
		t.Fatalf("got %v", err)
	}
	if err := claim.Release(t.Context(), memory); err != nil {
		t.Fatal(err)
	}
	if err := claim.NewGuard(memory).Create(t.Context(), number(1), nil); err != nil {
		t.Fatal(err)
	}
}
