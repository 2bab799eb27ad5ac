package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

func TestSnapshots(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	if _, err := ledger.Latest(t.Context(), s); !errors.Is(err, ledger.ErrNoSnapshot) {
		t.Errorf("before the first: %v", err)
	}
	empty, err := ledger.Publish(t.Context(), s)
	if err != nil || empty.N != 0 || len(empty.Streams) != 0 {
		t.Fatalf("of nothing: %+v, %v", empty, err)
	}
	chain := take(t, s, "w")
	if err := chain.Commit(t.Context(), entry(t, m, chain, 3)); err != nil {
		t.Fatal(err)
	}
	one, err := ledger.Publish(t.Context(), s)
	if err != nil || one.N != 1 || !slices.Equal(one.Recipes, []string{strings.Repeat("ab", 32)}) {
		t.Fatalf("got %+v, %v", one, err)
	}
	if at, ok := one.At(stream); !ok || at != chain.Position() {
		t.Errorf("it pins %+v, the chain is at %+v", at, chain.Position())
	}
	if _, ok := one.At(ledger.NamedStream("none")); ok {
		t.Error("it pins a stream that is not there")
	}
	again, err := ledger.Publish(t.Context(), s)
	if err != nil || again.N != 1 {
		t.Errorf("nothing new, yet snapshot %d, %v", again.N, err)
	}
	if err := chain.Commit(t.Context(), entry(t, m, chain, 3)); err != nil {
		t.Fatal(err)
	}
	two, err := ledger.Publish(t.Context(), s)
	if err != nil || two.N != 2 || !slices.Equal(two.Recipes, one.Recipes) {
		t.Errorf("got %+v, %v", two, err)
	}
	back, err := ledger.ReadSnapshot(t.Context(), s, 1)
	if err != nil || !slices.Equal(back.Streams, one.Streams) {
		t.Errorf("snapshot 1 is read as %+v, %v", back, err)
	}
	latest, err := ledger.Latest(t.Context(), s)
	if err != nil || latest.N != 2 {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
}

// TestPublishRace: publishers at the same moment, over a store that loses replies,
// never overwrite each other's snapshots.
func TestPublishRace(t *testing.T) {
	m := store.NewMemory()
	f := store.NewFaulty(m, store.Rates{Before: 0.1, After: 0.2, Late: 0.2, MaxLate: 20}.Rule(3))
	s := store.Plain{Store: store.NewRetry(f, store.Policy{Attempts: 50, Base: 1, Max: 1})}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := ledger.NamedStream(fmt.Sprintf("s%d", i))
			opts := quick(fmt.Sprint("writer", i))
			c, err := ledger.Open(t.Context(), s, name, opts)
			if err == nil {
				err = errors.Join(c.Begin(t.Context(), 0), c.Fence(t.Context()))
			}
			for n := int64(1); n <= 5 && err == nil; n++ {
				err = c.Commit(t.Context(), ledger.Entry{To: n, Outcomes: []ledger.Outcome{{Offset: n - 1, Status: ledger.None}}})
				if err == nil {
					_, err = ledger.Publish(t.Context(), s)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	f.Settle()
	r := verify(t, store.Plain{Store: m}, false)
	if !r.OK() || r.Snapshots < 2 {
		t.Errorf("got %d snapshots, faults %v", r.Snapshots, r.Faults)
	}
}

func TestStreams(t *testing.T) {
	s := store.Plain{Store: store.NewMemory()}
	want := []ledger.Stream{ledger.KafkaStream("c", "t", 0), ledger.KafkaStream("c", "t", 1), ledger.KafkaStream("c", "t", 10), ledger.NamedStream("c.t"), ledger.NamedStream("z")}
	for _, stream := range want {
		c, err := ledger.Open(t.Context(), s, stream, quick("w"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Begin(t.Context(), 0), c.Fence(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	var got []ledger.Stream
	for stream, err := range ledger.Streams(t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, stream)
	}
	slices.SortFunc(want, func(a, b ledger.Stream) int { return strings.Compare(a.Path(), b.Path()) })
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestIDs(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	c := take(t, s, "w")
	commit := func(outcomes ...ledger.Outcome) {
		t.Helper()
		e := ledger.Entry{To: c.Next() + int64(len(outcomes))}
		for i, o := range outcomes {
			o.Offset = c.Next() + int64(i)
			e.Outcomes = append(e.Outcomes, o)
		}
		if err := c.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	bad := ledger.Outcome{ID: "bad", Dataset: "d", Status: ledger.Quarantined, Code: "x"}
	commit(ledger.Outcome{ID: "a", Dataset: "d", Status: ledger.OK}, bad, ledger.Outcome{Status: ledger.None})
	commit(ledger.Outcome{ID: "a", Dataset: "d", Status: ledger.DupOf}, ledger.Outcome{ID: "bad", Dataset: "d", Status: ledger.OK}, ledger.Outcome{ID: "gap", Dataset: "d", Status: ledger.Gap, Code: "x"})
	commit(ledger.Outcome{ID: "b", Dataset: "d", Status: ledger.OK}, ledger.Outcome{ID: "a", Dataset: "e", Status: ledger.OK})
	type found struct {
		offset int64
		status ledger.Status
		ok     bool
	}
	for _, limit := range []int{0, 1, 3, 100} {
		set := ids(t.Context(), t, s, c, limit)
		for _, w := range []struct {
			dataset, id string
			want        found
			age         int // how many ids are later
		}{
			{"e", "a", found{107, ledger.OK, true}, 0}, {"d", "b", found{106, ledger.OK, true}, 1},
			{"d", "bad", found{104, ledger.OK, true}, 2}, {"d", "a", found{100, ledger.OK, true}, 3},
			{"d", "gap", found{}, 0}, {"x", "a", found{}, 0}, {"", "da", found{}, 0},
		} {
			offset, status, ok := set.Find(w.dataset, w.id)
			got := found{offset, status, ok}
			if !ok {
				got = found{}
			}
			if limit > 0 && w.age >= limit && !ok {
				continue // it may have been forgotten
			}
			if got != w.want {
				t.Errorf("limit %d: %s/%s is %+v, want %+v", limit, w.dataset, w.id, got, w.want)
			}
		}
	}
	none, err := ledger.LoadIDs(t.Context(), s, stream, c.Position(), 0, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil || none.Len() != 0 {
		t.Errorf("none is that young, yet %d, %v", none.Len(), err)
	}
	forge(t, m, ledger.RecordKey(stream, 2), `"status":"ok"`, `"status":"ok" `)
	if _, err := ledger.LoadIDs(t.Context(), s, stream, c.Position(), 0, time.Time{}); !errors.Is(err, ledger.ErrBroken) {
		t.Errorf("over a forged record: %v", err)
	}
}

// TestIDsWindow: at least the last limit ids are known, and at most twice as many.
func TestIDsWindow(t *testing.T) {
	set := ledger.NewIDs(10)
	for i := range 1000 {
		set.Add("d", fmt.Sprint(i), int64(i), ledger.OK)
		for back := range min(i+1, 10) {
			if offset, _, ok := set.Find("d", fmt.Sprint(i-back)); !ok || offset != int64(i-back) {
				t.Fatalf("after %d, %d is found at %d, %v", i, i-back, offset, ok)
			}
		}
		if set.Len() > 20 {
			t.Fatalf("it holds %d", set.Len())
		}
	}
}

func TestOrphans(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	first := take(t, s, "first")
	e := entry(t, m, first, 2)
	if err := first.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	dead := entry(t, m, first, 2).Shards[0].Key // never committed
	for _, key := range []string{e.Shards[0].Key, dead} {
		if err := s.Replace(t.Context(), key+".idx", []byte("beside a shard")); err != nil {
			t.Fatal(err)
		}
	}
	second := take(t, s, "second")
	if err := second.Commit(t.Context(), entry(t, m, second, 2)); err != nil {
		t.Fatal(err)
	}
	live := entry(t, m, second, 2).Shards[0].Key
	got := map[string]bool{}
	for o, err := range ledger.Orphans(t.Context(), s, stream) {
		if err != nil {
			t.Fatal(err)
		}
		got[o.Key] = o.Dead
	}
	if isDead, ok := got[dead]; !ok || !isDead {
		t.Errorf("%s, of a dead epoch, is %v, %v", dead, isDead, ok)
	}
	if isDead, ok := got[live]; !ok || isDead {
		t.Errorf("%s, of the current epoch, is %v, %v", live, isDead, ok)
	}
	if !got[dead+".idx"] || len(got) != 3 { // that of the committed shard belongs to it
		t.Errorf("got %v", got)
	}
}

// FuzzReadSnapshot: whatever is accepted has streams that can be read and found.
func FuzzReadSnapshot(f *testing.F) {
	f.Add([]byte(`{"v":1,"n":0,"previous":"","streams":[{"stream":"a","seq":3,"sha256":"` + strings.Repeat("0f", 32) + `","next":9}],"time":"2026-11-24T12:00:00Z"}`))
	f.Add([]byte(`{"v":1,"n":0,"streams":[]}`))
	edit := strings.Repeat("0f", 32)
	f.Add([]byte(`{"v":2,"n":0,"previous":"","streams":[],"edits":[{"key":"_edit/` + edit + `.json","sha256":"` + edit + `","bytes":9}],"time":"2026-11-24T12:00:00Z"}`))
	f.Add([]byte(`{"v":2,"n":0,"streams":[],"edits":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := store.Plain{Store: store.NewMemory()}
		if err := s.Create(t.Context(), ledger.SnapshotKey(0), data); err != nil {
			t.Fatal(err)
		}
		snap, err := ledger.ReadSnapshot(t.Context(), s, 0)
		if err != nil {
			return
		}
		for _, p := range snap.Streams {
			stream, err := ledger.ParseStream(p.Stream)
			if at, ok := snap.At(stream); err != nil || !ok || at != p.Position {
				t.Fatalf("%s is accepted, but pinned at %+v, %v: %s", p.Stream, at, err, data)
			}
		}
		// Who does not know of edits refuses version 2, so none may hide in version 1.
		if (len(snap.Edits) > 0) != (snap.Version == 2) {
			t.Fatalf("version %d has %d edits: %s", snap.Version, len(snap.Edits), data)
		}
		for _, e := range snap.Edits {
			if e.Key != "_edit/"+e.SHA256+".json" || store.CheckKey(e.Key) != nil {
				t.Fatalf("the edit %+v is accepted: %s", e, data)
			}
		}
	})
}
