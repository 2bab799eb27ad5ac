package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// TestAcross: what two streams both hold is found, whatever the memory that may be used.
func TestAcross(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	write := func(name string, ids ...string) {
		t.Helper()
		c, err := ledger.Open(t.Context(), s, ledger.NamedStream(name), quick("w"))
		if err == nil {
			err = errors.Join(c.Begin(t.Context(), 0), c.Fence(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
		e := entry(t, m, c, int64(len(ids)))
		for i, id := range ids {
			e.Outcomes[i].ID = id
		}
		if err := c.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprint(i))
	}
	write("a", many...)
	first, err := ledger.Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	write("b", "x", "7", "y", "150")
	for _, most := range []int{1000, 60, 7} {
		r, err := ledger.Across(t.Context(), s, nil, most, false)
		if err != nil || r.IDs != 202 || r.Repeated != 2 || len(r.Examples) != 2 || r.Partial {
			t.Fatalf("holding %d: %+v, %v", most, r, err)
		}
		for _, x := range r.Examples {
			if x.Dataset != "set" || x.First.Stream != "a" || x.Again.Stream != "b" || fmt.Sprint(x.First.Offset) != x.ID || x.Again.Offset%2 != 1 {
				t.Errorf("holding %d: %+v", most, x)
			}
		}
	}
	if r, err := ledger.Across(t.Context(), s, nil, 100, true); err != nil || !r.Partial || r.IDs != 100 {
		t.Errorf("once: %+v, %v", r, err)
	}
	if r, err := ledger.Across(t.Context(), s, first, 1000, true); err != nil || r.IDs != 200 || r.Repeated != 0 || r.Partial {
		t.Errorf("at the first snapshot: %+v, %v", r, err)
	}
}
