package store_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
	"github.com/millrace/millrace/pipeline/store/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(crewEnv) != "" {
		if err := serveCrew(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory() })
}

func TestDir(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openDir(t) })
}

func openDir(t *testing.T) *store.Dir {
	t.Helper()
	d, err := store.OpenDir(t.TempDir() + "/made/on/the/way")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestS3(t *testing.T) {
	server := s3test.Start(t)
	storetest.Run(t, func(t *testing.T) store.Store { return server.Open(t) })
}

// A store that fails one call in five, in every way but to a create, is as good as
// any behind a Retry.
func TestRetryOverFaulty(t *testing.T) {
	rates := store.Rates{Before: 0.1, After: 0.1, Short: 0.3}.Rule(1)
	rule := func(op, key string, n int) store.Fault {
		if op == "create" {
			return store.Fault{}
		}
		return rates(op, key, n)
	}
	storetest.Run(t, func(*testing.T) store.Store {
		f := store.NewFaulty(store.NewMemory(), rule)
		return store.NewRetry(f, store.Policy{Attempts: 30, Base: time.Microsecond, Max: time.Microsecond})
	})
}

func TestMetered(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		return store.NewMetered(store.NewMemory(), func(store.Event) {})
	})
}
