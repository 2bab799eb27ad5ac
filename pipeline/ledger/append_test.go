package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// script faults the creates of record 2, the first data record, one after the other.
type script struct {
	faults  []store.Fault
	creates int
	reads   int
	cancel  context.CancelFunc // called when the faults are used up, if set
}

func (s *script) rule(op, key string, _ int) store.Fault {
	if !strings.HasSuffix(key, "/00000000000000000002") {
		return store.Fault{}
	}
	if op == "get" {
		s.reads++
	}
	if op != "create" {
		return store.Fault{}
	}
	s.creates++
	if s.creates > len(s.faults) {
		return store.Fault{}
	}
	if s.cancel != nil && s.creates == len(s.faults) {
		s.cancel()
	}
	return s.faults[s.creates-1]
}

func asCreate(kind error) *store.Error { return &store.Error{Op: "create", Kind: kind} }

// TestCommitOutcomes walks through all that a store can answer to a commit.
func TestCommitOutcomes(t *testing.T) {
	lost := store.Fault{After: asCreate(store.ErrUnknown)}
	nothing := store.Fault{Before: asCreate(store.ErrUnknown)}
	busy := store.Fault{Before: asCreate(store.ErrConflict)}
	odd := store.Fault{Before: errors.New("what is this?")}
	denied := store.Fault{Before: asCreate(store.ErrDenied)}
	late := store.Fault{Late: 4}
	never := store.Fault{Late: 1000}
	echo := store.Fault{After: asCreate(store.ErrExists)} // a hidden retry met its own success
	for _, c := range []struct {
		name    string
		faults  []store.Fault
		cancel  bool
		creates int
		want    error // nil for done
		sticky  bool
	}{
		{"done", nil, false, 1, nil, false},
		{"lost reply, ours is there", []store.Fault{lost}, false, 1, nil, false},
		{"told that it exists, it is ours", []store.Fault{echo}, false, 1, nil, false},
		{"timeout, nothing landed, same bytes again", []store.Fault{nothing, nothing, nothing}, false, 4, nil, false},
		{"conflict, same bytes again", []store.Fault{busy, busy}, false, 3, nil, false},
		{"an error nobody knows is an unknown outcome", []store.Fault{odd}, false, 2, nil, false},
		{"landing late, meets itself", []store.Fault{late, nothing, nothing}, false, 3, nil, false},
		{"refused, nothing landed", []store.Fault{denied}, false, 1, store.ErrDenied, false},
		{"conflict, then refused", []store.Fault{busy, denied}, false, 2, store.ErrDenied, false},
		{"unknown, then refused", []store.Fault{never, denied}, false, 2, ledger.ErrUnsettled, true},
		{"unknown, then the end of the context", []store.Fault{never}, true, 1, ledger.ErrUnsettled, true},
		{"conflict, then the end of the context", []store.Fault{busy}, true, 1, context.Canceled, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := &script{faults: c.faults}
			memory := store.NewMemory()
			s := store.Plain{Store: store.NewFaulty(memory, script.rule)}
			chain := take(t, s, "w")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.cancel {
				script.cancel = cancel
			}
			e := entry(t, memory, chain, 3)
			before := chain.Position()
			err := chain.Commit(ctx, e)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if script.creates != c.creates {
				t.Errorf("it took %d creates, want %d", script.creates, c.creates)
			}
			if got := chain.Err() != nil; got != c.sticky {
				t.Errorf("after it the chain says %v", chain.Err())
			}
			if c.sticky {
				if err := chain.Commit(t.Context(), e); !errors.Is(err, c.want) {
					t.Errorf("a commit after that: got %v", err)
				}
				return
			}
			if err != nil {
				if chain.Position() != before {
					t.Errorf("nothing landed, yet the chain moved to %+v", chain.Position())
				}
				err = chain.Commit(t.Context(), e)
			}
			if err != nil || chain.Next() != 103 {
				t.Fatalf("the chain does not go on: %v at %d", err, chain.Next())
			}
			if r := verify(t, store.Plain{Store: memory}, true); !r.OK() {
				t.Error(r.Faults)
			}
		})
	}
}

// TestUnsettledThenHeir: what one writer left unsettled lands under another's eyes,
// either before its fence (adopted) or after (void).
func TestUnsettledThenHeir(t *testing.T) {
	for _, landsFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("lands first %v", landsFirst), func(t *testing.T) {
			script := &script{faults: []store.Fault{{Late: 100000}}}
			memory := store.NewMemory()
			faulty := store.NewFaulty(memory, script.rule)
			s := store.Plain{Store: faulty}
			old := take(t, s, "old")
			ctx, cancel := context.WithCancel(t.Context())
			script.cancel = cancel
			if err := old.Commit(ctx, entry(t, memory, old, 5)); !errors.Is(err, ledger.ErrUnsettled) {
				t.Fatal(err)
			}
			heir, err := ledger.Open(t.Context(), s, stream, quick("heir"))
			if err != nil {
				t.Fatal(err)
			}
			if landsFirst {
				faulty.Settle() // after the heir has seen the tail, before its fence
			}
			if err := heir.Fence(t.Context()); err != nil {
				t.Fatal(err)
			}
			faulty.Settle()
			want := int64(100)
			if landsFirst {
				want = 105
			}
			if heir.Next() != want {
				t.Errorf("the heir reads from %d, want %d", heir.Next(), want)
			}
			if err := heir.Commit(t.Context(), entry(t, memory, heir, 4)); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, s, true); !r.OK() {
				t.Error(r.Faults)
			}
		})
	}
}

func TestFenceDuel(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	_ = take(t, s, "owner")
	one, err1 := ledger.Open(t.Context(), s, stream, quick("one"))
	two, err2 := ledger.Open(t.Context(), s, stream, quick("two"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := one.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.Fence(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the second at the same position: got %v", err)
	}
	if err := two.Fence(t.Context()); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("and it may not try again: got %v", err)
	}
	if err := one.Fence(t.Context()); err == nil {
		t.Error("a chain took a second fence")
	}
}

func TestBegin(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	one, err1 := ledger.Open(t.Context(), s, stream, quick("one"))
	two, err2 := ledger.Open(t.Context(), s, stream, quick("two"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !one.Empty() || one.Fence(t.Context()) == nil {
		t.Error("a stream that has not begun can be fenced")
	}
	if err := one.Commit(t.Context(), ledger.Entry{To: 1}); err == nil {
		t.Error("a chain without a fence took a commit")
	}
	if err := one.Begin(t.Context(), -1); err == nil {
		t.Error("a stream began at -1")
	}
	if err := one.Begin(t.Context(), 41); err != nil {
		t.Fatal(err)
	}
	if err := two.Begin(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	if one.Next() != 41 || two.Next() != 41 || two.Position() != one.Position() {
		t.Errorf("two writers begin at %+v and %+v", one.Position(), two.Position())
	}
	if err := two.Begin(t.Context(), 7); err != nil || two.Next() != 41 {
		t.Errorf("to begin again moved it to %d, %v", two.Next(), err)
	}
}

// TestCommitRefuses: an entry that does not account for its offsets never gets as far
// as the store, and leaves the chain as it was.
func TestCommitRefuses(t *testing.T) {
	memory := store.NewMemory()
	s := store.Plain{Store: memory}
	c := take(t, s, "w")
	for name, spoil := range map[string]func(*ledger.Entry){
		"no offsets":         func(e *ledger.Entry) { e.To = c.Next() },
		"backwards":          func(e *ledger.Entry) { e.To = c.Next() - 1 },
		"too few outcomes":   func(e *ledger.Entry) { e.Outcomes = e.Outcomes[:2] },
		"too many outcomes":  func(e *ledger.Entry) { e.To-- },
		"outcomes swapped":   func(e *ledger.Entry) { o := e.Outcomes; o[0], o[1] = o[1], o[0] },
		"outcome twice":      func(e *ledger.Entry) { e.Outcomes[1].Offset-- },
		"unknown status":     func(e *ledger.Entry) { e.Outcomes[0].Status = "fine" },
		"samples of a dup":   func(e *ledger.Entry) { e.Outcomes[0].Status = ledger.DupOf },
		"no code":            func(e *ledger.Entry) { e.Outcomes[0] = ledger.Outcome{Offset: 100, Status: ledger.Quarantined} },
		"code of ok":         func(e *ledger.Entry) { e.Outcomes[0].Code = "x" },
		"skip and outcome":   func(e *ledger.Entry) { e.Skipped = []ledger.Skip{{From: 101, To: 102, Reason: "control"}} },
		"skip out of range":  func(e *ledger.Entry) { e.Skipped = []ledger.Skip{{From: 99, To: 100, Reason: "control"}} },
		"foreign shard":      func(e *ledger.Entry) { e.Shards[0].Key = "data/other/00000000000000000001/x.tar" },
		"shard of old epoch": func(e *ledger.Entry) { e.Shards[0].Key = ledger.DataPrefix(stream, 0) + "x.tar" },
		"shard twice":        func(e *ledger.Entry) { e.Shards = append(e.Shards, e.Shards[0]) },
		"digest":             func(e *ledger.Entry) { e.Shards[0].SHA256 = "ABC" },
		"shard's offsets":    func(e *ledger.Entry) { e.Shards[0].To++ },
		"part without first": func(e *ledger.Entry) { e.Outcomes[0].Part = 1 },
	} {
		e := entry(t, memory, c, 3)
		spoil(&e)
		if err := c.Commit(t.Context(), e); err == nil || c.Err() != nil || c.Next() != 100 {
			t.Errorf("%s: got %v; the chain says %v and is at %d", name, err, c.Err(), c.Next())
		}
	}
	if err := c.Commit(t.Context(), entry(t, memory, c, 3)); err != nil {
		t.Error(err)
	}
}

// TestBrokenLog: garbage where the next record should stand is not passed over.
func TestBrokenLog(t *testing.T) {
	memory := store.NewMemory()
	s := store.Plain{Store: memory}
	c := take(t, s, "w")
	if err := memory.Create(t.Context(), ledger.RecordKey(stream, 2), []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(t.Context(), entry(t, memory, c, 1)); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("commit: got %v", err)
	}
	if _, err := ledger.Open(t.Context(), s, stream, quick("x")); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("open: got %v", err)
	}
}

// TestLargeRecord: outcomes that do not fit a record go into a table.
func TestLargeRecord(t *testing.T) {
	memory := store.NewMemory()
	s := store.Plain{Store: memory}
	c := take(t, s, "w")
	const n = 3000
	e := ledger.Entry{To: c.Next() + n}
	for o := c.Next(); o < e.To; o++ {
		e.Outcomes = append(e.Outcomes, ledger.Outcome{
			Offset: o, ID: fmt.Sprint(o), Status: ledger.Quarantined, Code: "decode.invalid", Stage: "decode", Detail: strings.Repeat("é\xff", 2000),
			Sources: []ledger.Source{{URI: "https://example.org/" + strings.Repeat("x", 8000), Bytes: 5}},
		})
	}
	if err := c.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for item, err := range ledger.Read(t.Context(), s, stream, 2) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Bytes > ledger.MaxRecord || item.Record.Table == nil || len(item.Record.Outcomes) != 0 {
			t.Errorf("the record has %d bytes and %d outcomes", item.Bytes, len(item.Record.Outcomes))
		}
		got, err := ledger.Outcomes(t.Context(), s, item.Record)
		if err != nil || len(got) != n || len(got[7].Detail) > ledger.MaxText || len(got[7].Sources[0].URI) > ledger.MaxURI {
			t.Errorf("got %d outcomes, %v", len(got), err)
		}
	}
	if len(e.Outcomes[0].Detail) != 6000 {
		t.Error("the caller's texts were changed")
	}
	if r := verify(t, s, true); !r.OK() || len(r.Orphans) != 0 || r.Streams[0].Quarantined != n {
		t.Errorf("verify: %+v", r)
	}
	if got := ids(t.Context(), t, s, c, 0); got.Len() != n {
		t.Errorf("%d ids are known", got.Len())
	}
	table := "data/" + stream.Path() + "/"
	for info := range memory.List(t.Context(), table, "") {
		if err := memory.Put(t.Context(), info.Key, store.BytesBody([]byte("[]"))); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, s, true); len(r.Faults) != 1 || !strings.HasSuffix(r.Faults[0].Object, ".outcomes.json") {
		t.Errorf("a table that was replaced: %+v", r.Faults)
	}
}
