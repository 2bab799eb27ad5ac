package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// TestRivals lets writers fight over one stream for real: each takes it again and
// again, commits what it can, and is thrown out by the next.
func TestRivals(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return store.NewMemory() },
		"dir": func(t *testing.T) store.Store {
			d, err := store.OpenDir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = d.Close() })
			return d
		},
		"s3": func(t *testing.T) store.Store { return s3test.Start(t).Open(t) },
	} {
		t.Run(name, func(t *testing.T) { rivals(t, store.Plain{Store: open(t)}) })
	}
}

func rivals(t *testing.T, s ledger.Store) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	for w := range 4 {
		wg.Go(func() {
			for turn := range 5 {
				writer := fmt.Sprintf("writer %d, turn %d", w, turn)
				c, err := ledger.Open(t.Context(), s, stream, quick(writer))
				if err == nil {
					err = c.Begin(t.Context(), 7)
				}
				if err == nil {
					err = c.Fence(t.Context())
				}
				for n := 0; n < 3 && err == nil; n++ {
					id := fmt.Sprintf("%s, commit %d", writer, n)
					err = c.Commit(t.Context(), ledger.Entry{To: c.Next() + 1, Outcomes: []ledger.Outcome{{Offset: c.Next(), ID: id, Status: ledger.OK}}})
					if err == nil {
						mu.Lock()
						acked[id] = true
						mu.Unlock()
					}
				}
				if err != nil && !errors.Is(err, ledger.ErrFenced) {
					t.Errorf("%s: %v", writer, err)
				}
			}
		})
	}
	wg.Wait()
	r := verify(t, s, true)
	if !r.OK() {
		t.Error(r.Faults)
	}
	var committed int
	for item, err := range ledger.Read(t.Context(), s, stream, 0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range item.Record.Outcomes {
			committed++
			if !acked[o.ID] {
				t.Errorf("%s is in the chain, but its writer was not told so", o.ID)
			}
		}
	}
	if committed != len(acked) || committed == 0 {
		t.Errorf("%d commits are in the chain, %d were acknowledged", committed, len(acked))
	}
}
