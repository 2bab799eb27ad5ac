package ledger_test

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// Every offset is found in the record that a walk over the chain finds it in, whatever the
// sizes of the records and wherever the fences are.
func TestFind(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	if f, err := ledger.Find(t.Context(), s, stream, 7); err != nil || !f.Empty || f.Record != nil {
		t.Errorf("in a store without the stream: %+v, %v", f, err)
	}
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // replayable
	c := take(t, s, "w")
	for range 60 {
		if rng.IntN(4) == 0 {
			c = take(t, s, "w")
		}
		if err := c.Commit(t.Context(), entry(t, m, c, 1+rng.Int64N(5))); err != nil {
			t.Fatal(err)
		}
	}
	want := map[int64]int64{} // offset to record
	for item, err := range ledger.Read(t.Context(), s, stream, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for o := item.Record.From; o < item.Record.To; o++ {
			want[o] = item.Record.Seq
		}
	}
	for o := int64(95); o < c.Next()+5; o++ {
		f, err := ledger.Find(t.Context(), s, stream, o)
		if err != nil || f.First != 100 || f.Next != c.Next() {
			t.Fatalf("offset %d: %+v, %v", o, f, err)
		}
		seq, there := want[o]
		if there != (f.Record != nil) || there && f.Record.Seq != seq {
			t.Errorf("offset %d is found in %+v; it is in record %d (%v)", o, f.Record, seq, there)
		}
	}
}

// A long chain costs few reads.
func TestFindCost(t *testing.T) {
	m := store.NewMemory()
	c := take(t, store.Plain{Store: m}, "w")
	for range 1000 {
		if err := c.Commit(t.Context(), ledger.Entry{To: c.Next() + 1, Outcomes: []ledger.Outcome{{Offset: c.Next(), Status: ledger.None}}}); err != nil {
			t.Fatal(err)
		}
	}
	requests := 0
	counted := store.Plain{Store: store.NewMetered(m, func(store.Event) { requests++ })}
	if f, err := ledger.Find(t.Context(), counted, stream, 250); err != nil || f.Record == nil || f.Record.From != 250 {
		t.Fatalf("%+v, %v", f, err)
	}
	if requests > 30 {
		t.Errorf("%d requests for one offset in a chain of %d records", requests, c.Position().Seq+1)
	}
}

// What bisection lands on is held against the offset, so that a damaged log gives no
// false answer.
func TestFindInDamage(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	c := take(t, s, "w")
	for range 8 {
		if err := c.Commit(t.Context(), entry(t, m, c, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Delete(t.Context(), ledger.RecordKey(stream, 4)); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for o := int64(100); o < c.Next(); o++ {
		f, err := ledger.Find(t.Context(), s, stream, o)
		if err == nil && f.Record != nil && (o < f.Record.From || o >= f.Record.To) {
			t.Errorf("offset %d is said to be in [%d, %d)", o, f.Record.From, f.Record.To)
		}
		if err != nil {
			wrong++
		}
	}
	if wrong == 0 {
		t.Error("a missing record was never met")
	}
}
