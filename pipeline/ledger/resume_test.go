package ledger_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// A writer whose store went away in the middle of a commit goes on with the same epoch,
// whether its record has landed, lands late, or never does; and with the same bytes.
func TestResume(t *testing.T) {
	denied := store.Fault{Before: asCreate(store.ErrDenied)}
	for _, c := range []struct {
		name  string
		first store.Fault
		heir  bool
		want  error
		next  int64
	}{
		{"it never landed", store.Fault{Before: asCreate(store.ErrUnknown)}, false, nil, 105},
		{"it landed late", store.Fault{Late: 100_000}, false, nil, 105},
		{"another came", store.Fault{Before: asCreate(store.ErrUnknown)}, true, ledger.ErrFenced, 0},
		{"another came after it", store.Fault{Late: 100_000}, true, ledger.ErrFenced, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := &script{faults: []store.Fault{c.first, denied, denied}}
			memory := store.NewMemory()
			faulty := store.NewFaulty(memory, script.rule)
			s := store.Plain{Store: faulty}
			chain := take(t, s, "w")
			e := entry(t, memory, chain, 5)
			if err := chain.Commit(t.Context(), e); !errors.Is(err, ledger.ErrUnsettled) {
				t.Fatal(err)
			}
			if c.heir {
				script.faults = nil
				faulty.Settle()
				take(t, store.Plain{Store: memory}, "heir")
			} else if err := chain.Resume(t.Context()); !errors.Is(err, store.ErrDenied) || !errors.Is(chain.Commit(t.Context(), e), ledger.ErrUnsettled) {
				t.Fatalf("while the store refuses: %v; a commit gets %v", err, chain.Err())
			}
			faulty.Settle()
			if err := chain.Resume(t.Context()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want != nil {
				if err := chain.Commit(t.Context(), e); !errors.Is(err, c.want) {
					t.Errorf("a commit after that: %v", err)
				}
				return
			}
			if chain.Next() != c.next || chain.Epoch() != 1 {
				t.Fatalf("it is at %d in epoch %d", chain.Next(), chain.Epoch())
			}
			if err := chain.Commit(t.Context(), entry(t, memory, chain, 2)); err != nil {
				t.Fatal(err)
			}
			r := verify(t, store.Plain{Store: memory}, true)
			if !r.OK() || r.Streams[0].Records != 4 {
				t.Errorf("%d records, %v", r.Streams[0].Records, r.Faults)
			}
		})
	}
}

// A fence in doubt is settled as data are: it may turn out to be ours, or a late record of
// the owner before comes first.
func TestResumeFence(t *testing.T) {
	for name, late := range map[string]bool{"landed": false, "after a late record": true} {
		t.Run(name, func(t *testing.T) {
			memory := store.NewMemory()
			old := take(t, store.Plain{Store: memory}, "old")
			faults := []store.Fault{{After: asCreate(store.ErrUnknown)}}
			if late {
				faults[0] = store.Fault{Before: asCreate(store.ErrUnknown)}
			}
			script := &script{faults: faults}
			ctx, cancel := context.WithCancel(t.Context())
			script.cancel = cancel
			s := store.Plain{Store: store.NewFaulty(memory, script.rule)}
			heir, err := ledger.Open(t.Context(), s, stream, quick("heir"))
			if err != nil {
				t.Fatal(err)
			}
			if err := heir.Fence(ctx); !errors.Is(err, ledger.ErrUnsettled) {
				t.Fatal(err)
			}
			if late {
				if err := old.Commit(t.Context(), entry(t, memory, old, 3)); err != nil {
					t.Fatal(err)
				}
			}
			if err := heir.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if heir.Epoch() == 0 {
				if err := heir.Fence(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := heir.Commit(t.Context(), entry(t, memory, heir, 2)); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, s, true); !r.OK() || r.Streams[0].Epoch != 2 {
				t.Errorf("epoch %d, %v", r.Streams[0].Epoch, r.Faults)
			}
		})
	}
}

// Going on where nothing is in doubt writes nothing, and finds a stream that was taken.
func TestResumeLooks(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	one := take(t, s, "one")
	for range 3 {
		if err := one.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if two := take(t, s, "two"); two.Position().Seq != 2 {
		t.Errorf("the second fence is record %d: going on wrote something", two.Position().Seq)
	}
	if err := one.Resume(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("after another's fence: %v", err)
	}
}

// Records say of which topic their offsets are; those of older programs do not, and no
// writer goes on with another's.
func TestOrigin(t *testing.T) {
	memory := store.NewMemory()
	s := store.Plain{Store: memory}
	open := func(writer, origin string) *ledger.Chain {
		t.Helper()
		o := quick(writer)
		o.Origin, o.Start = origin, "earliest"
		c, err := ledger.Open(t.Context(), s, stream, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Begin(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		return c
	}
	of := func(c *ledger.Chain, want string) {
		t.Helper()
		if got, err := c.Origin(t.Context()); err != nil || got != want {
			t.Errorf("the origin is %q, want %q (%v)", got, want, err)
		}
	}
	of(open("old", ""), "")
	first := open("new", "topic-1")
	of(first, "")
	if err := first.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	of(first, "topic-1")
	quiet := open("quiet", "") // a broker that tells no ids
	if err := quiet.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	of(quiet, "topic-1")
	other := open("other", "topic-2")
	if err := other.Fence(t.Context()); err == nil || !strings.Contains(err.Error(), "topic-1") {
		t.Errorf("a writer of another topic got %v", err)
	}
	if r := verify(t, s, false); !r.OK() || r.Streams[0].Records != 3 {
		t.Errorf("%+v", r)
	}
}

// Writers that came one after the other and left nothing are counted.
func TestDeaths(t *testing.T) {
	memory := store.NewMemory()
	s := store.Plain{Store: memory}
	for i, want := range []int{0, 1, 2, 3} {
		c, err := ledger.Open(t.Context(), s, stream, quick(strings.Repeat("w", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.Deaths(t.Context()); err != nil || n != want {
			t.Errorf("%d deaths, want %d (%v)", n, want, err)
		}
		take(t, s, strings.Repeat("w", i+1))
	}
	last := take(t, s, "w") // one that came before, but not lately
	for range 3 {
		last = take(t, s, "w")
	}
	if n, err := last.Deaths(t.Context()); err != nil || n != 0 {
		t.Errorf("a writer counts its own fences: %d (%v)", n, err)
	}
	if err := last.Commit(t.Context(), entry(t, memory, last, 1)); err != nil {
		t.Fatal(err)
	}
	c, err := ledger.Open(t.Context(), s, stream, quick("x"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.Deaths(t.Context()); err != nil || n != 0 {
		t.Errorf("after data: %d (%v)", n, err)
	}
}
