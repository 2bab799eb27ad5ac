package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
)

// steady copies what is put, as a network does: a late put must not see a buffer that is
// used again.
type steady struct{ store.Parted }

func (s steady) Put(ctx context.Context, key string, b store.Body) error {
	data, err := io.ReadAll(io.NewSectionReader(b.Data, 0, b.Size))
	if err != nil {
		return err
	}
	return s.Parted.Put(ctx, key, store.BytesBody(data))
}

// A process dies at each of its calls to the store, before it is done or after; the next
// one goes on.
func TestKilledAtEachCall(t *testing.T) {
	data := noise(3*testPart + 321)
	died := errors.New("the process is dead")
	calls := 0
	for _, chunk := range []int{700, 2*testPart + 5, len(data)} {
		for _, applied := range []bool{false, true} {
			for at := 1; ; at++ {
				dir := openDir(t)
				id := begin(t, process(t, dir), len(data))
				dead := false
				faulty := store.NewFaulty(dir, func(string, string, int) store.Fault {
					calls++
					at := at
					if dead {
						return store.Fault{Before: died}
					}
					if n := calls; n == at {
						dead = true
						if applied {
							return store.Fault{After: died}
						}
						return store.Fault{Before: died}
					}
					return store.Fault{}
				})
				calls = 0
				err := drive(t, process(t, faulty), id, data, chunk, 50)
				if !dead {
					if err != nil {
						t.Fatal(err)
					}
					break // it made fewer calls
				}
				next := process(t, dir)
				if err := drive(t, next, id, data, chunk, 50); err != nil {
					t.Fatalf("chunks of %d, killed at call %d (applied: %v): %v", chunk, at, applied, err)
				}
				checkWhole(t, next, id, data)
				if got := ends(t, dir, id); !slices.Equal(got, []string{"", doneEnd}) {
					t.Errorf("chunks of %d, killed at call %d (applied: %v): there are %q", chunk, at, applied, got)
				}
			}
		}
	}
}

// A store that fails, loses replies, breaks off, and does things late, while processes
// come and go: the object is whole in the end, and what lands afterwards changes nothing.
func TestFaultyStore(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	lost := uint64(0)
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir, data := openDir(t), noise(1+rng.IntN(6*testPart))
		rates := store.Rates{Before: 0.05, After: 0.1, Late: 0.1, MaxLate: 12, Short: 0.05}
		quiet := true
		rule := rates.Rule(seed)
		faulty := store.NewFaulty(dir, func(op, key string, n int) store.Fault {
			if quiet {
				return store.Fault{}
			}
			return rule(op, key, n)
		})
		parted, _ := store.AsParted(faulty)
		s := process(t, steady{parted})
		s.appears = 20 * time.Millisecond
		id := begin(t, s, len(data), MetaSHA256, fmt.Sprintf("%x", sha256.Sum256(data)))
		quiet = false
		done := false
		for range 2000 {
			ok, err := step(t, s, id, data, 1+rng.IntN(2*testPart))
			if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if done = ok && err == nil; done || errors.Is(err, handler.ErrNotFound) {
				break
			}
		}
		if !done { // a state landed late, between the object and the word that it is there
			lost++
			continue
		}
		quiet = true
		faulty.Settle()
		if got := object(t, s, id); !bytes.Equal(got, data) {
			t.Fatalf("seed %d: the object has other bytes", seed)
		}
		// A state that landed late says that it is not complete: whoever believes that
		// gets to the same end, and a sweep takes no object away.
		if _, err := s.Sweep(t.Context(), time.Now().Add(time.Minute), noSettle); seed%2 == 0 && err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if u, err := s.Get(as(t, "acme"), id); err == nil {
			if err := drive(t, s, id, data, testPart, 50); err != nil {
				t.Fatalf("seed %d: %+v: %v", seed, u.State, err)
			}
			checkWhole(t, s, id, data)
		}
		if got := object(t, s, id); !bytes.Equal(got, data) {
			t.Fatalf("seed %d: the object has other bytes after all", seed)
		}
	}
	if t.Logf("%d of %d uploads had to be begun anew", lost, seeds); lost > 1+seeds/50 {
		t.Errorf("%d of %d uploads had to be begun anew", lost, seeds)
	}
}

func noSettle(context.Context, *Upload) error { return nil }

// A connection hangs, and its sender goes on at another process. What the first one
// writes when it gives up hides nothing and harms nothing.
func TestOvertaken(t *testing.T) {
	for name, c := range map[string]struct{ before, hung int }{
		"a tail":                {0, 300},
		"a part":                {0, testPart},
		"a part and a tail":     {0, testPart + 300},
		"all but one byte":      {0, 3*testPart + 49},
		"from a tail on":        {500, 400},
		"from a tail, all":      {500, 2*testPart + 549},
		"all, and it completes": {0, 3*testPart + 50},
	} {
		t.Run(name, func(t *testing.T) {
			dir, data := openDir(t), noise(3*testPart+50)
			a, b := process(t, dir), process(t, dir)
			id := begin(t, a, len(data))
			if c.before > 0 {
				if _, err := step(t, a, id, data, c.before); err != nil {
					t.Fatal(err)
				}
			}
			u, err := a.Get(as(t, "acme"), id)
			if err != nil {
				t.Fatal(err)
			}
			first, err := b.Get(as(t, "acme"), id) // b reads the state as a does
			if err != nil {
				t.Fatal(err)
			}
			if _, err := first.WriteChunk(as(t, "acme"), int64(c.before), bytes.NewReader(data[c.before:c.before+100])); err != nil {
				t.Fatal(err)
			}
			if err := drive(t, b, id, data, 900, 20); err != nil {
				t.Fatal(err)
			}
			at := int64(c.before)
			_, err = u.WriteChunk(as(t, "acme"), at, bytes.NewReader(data[at:at+int64(c.hung)]))
			var e handler.Error
			if err != nil && !errors.As(err, &e) && !store.IsNotFound(err) {
				t.Errorf("the one that was overtaken: %v", err)
			}
			if got := object(t, a, id); !bytes.Equal(got, data) {
				t.Fatal("the object has other bytes")
			}
			n, err := a.Sweep(t.Context(), time.Now().Add(-time.Hour), noSettle)
			if n != (Swept{}) || err != nil {
				t.Errorf("a sweep of what is young: %+v, %v", n, err)
			}
			if err := drive(t, a, id, data, 900, 20); err != nil {
				t.Fatal(err)
			}
			checkWhole(t, a, id, data)
			if got := ends(t, dir, id); !slices.Equal(got, []string{"", doneEnd}) {
				t.Errorf("there are %q", got)
			}
		})
	}
}

// Two processes write one upload at once.
func TestTwoAtOnce(t *testing.T) {
	for seed := range 20 {
		dir, data := openDir(t), noise(4*testPart+seed)
		id := begin(t, process(t, dir), len(data))
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() {
				s := process(t, dir)
				for range 60 {
					if done, err := step(t, s, id, data, 300+400*i+seed); done || errors.Is(err, handler.ErrNotFound) {
						return
					}
				}
			})
		}
		wg.Wait()
		s := process(t, dir)
		if err := drive(t, s, id, data, 700, 50); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		checkWhole(t, s, id, data)
	}
}

// A sender gives two processes different bytes for one part: there is no object that is
// not what its digest says.
func TestTwoMinds(t *testing.T) {
	for _, last := range []bool{false, true} {
		dir, data := openDir(t), noise(2*testPart)
		a, b, ctx := process(t, dir), process(t, dir), as(t, "acme")
		id := begin(t, a, len(data))
		other := append([]byte("other"), data[5:]...)
		slow, err := b.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := step(t, a, id, data, testPart); err != nil {
			t.Fatal(err)
		}
		if last { // the other bytes are put when all have come, before they are put together
			u, err := a.Get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.WriteChunk(ctx, testPart, bytes.NewReader(data[testPart:])); err != nil {
				t.Fatal(err)
			}
			if _, err := slow.WriteChunk(ctx, 0, bytes.NewReader(other[:testPart])); err != nil {
				t.Fatal(err)
			}
			err = u.FinishUpload(ctx)
			if !errors.Is(err, ErrDamaged) || len(ends(t, dir, id)) > 0 {
				t.Errorf("%v, left are %q", err, ends(t, dir, id))
			}
			continue
		}
		if _, err := slow.WriteChunk(ctx, 0, bytes.NewReader(other[:testPart])); err != nil {
			t.Fatal(err)
		}
		if err := drive(t, a, id, data, testPart, 3); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, a, id, append(other[:testPart:testPart], data[testPart:]...)) // the last word counts
	}
}
