package catalog

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// TestPublishers: of several, one publishes what is new, about as often as asked; where
// nothing is new, none does.
func TestPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		ctx, stop := context.WithCancel(t.Context())
		for range 3 {
			p := &Publisher{Store: s, Every: 10 * time.Minute, Log: slog.New(slog.DiscardHandler)}
			go p.Run(ctx)
		}
		for range 12 {
			commit(t, s, "one", true, tars("cats")...)
			time.Sleep(10 * time.Minute)
		}
		synctest.Wait()
		last, err := ledger.Latest(t.Context(), store.Plain{Store: s})
		if err != nil || last.N < 6 || last.N > 24 {
			t.Errorf("in two hours, snapshot %+v, %v", last, err)
		}
		time.Sleep(20 * time.Minute) // the last commit is published
		synctest.Wait()
		if last, err = ledger.Latest(t.Context(), store.Plain{Store: s}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		again, err := ledger.Latest(t.Context(), store.Plain{Store: s})
		if err != nil || again.N != last.N {
			t.Errorf("with nothing new, snapshot %d follows %d: %v", again.N, last.N, err)
		}
		if r, err := CheckIndexes(t.Context(), s, again); err != nil || !r.Complete || len(r.Faults) > 0 || r.Shards != 12 {
			t.Errorf("its indexes: %+v, %v", r, err)
		}
		stop()
		synctest.Wait()
	})
}
