package settings

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// TestPublishEvery: a worker that is to publish does, until it is closed; others do not.
func TestPublishEvery(t *testing.T) {
	for every, want := range map[time.Duration]bool{0: false, 10 * time.Minute: true} {
		synctest.Test(t, func(t *testing.T) {
			s := store.NewMemory()
			end := Publish{Every: every}.start(t.Context(), s, slog.New(slog.DiscardHandler))
			time.Sleep(time.Hour)
			end()
			synctest.Wait()
			if _, err := ledger.Latest(t.Context(), store.Plain{Store: s}); (err == nil) != want {
				t.Errorf("every %v: %v", every, err)
			}
		})
	}
	for every, good := range map[time.Duration]bool{0: true, time.Second: false, -1: false, time.Minute: true} {
		if err := (Publish{Every: every}).Validate(); (err == nil) != good {
			t.Errorf("every %v: %v", every, err)
		}
	}
}
