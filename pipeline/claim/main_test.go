package claim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/pipeline/claim"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/store"
)

func TestMain(m *testing.M) {
	code := m.Run()
	kafkatest.StopShared()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// overwriting takes a create for a put, as servers do that ignore If-None-Match.
type overwriting struct{ store.Store }

func (o overwriting) Create(ctx context.Context, key string, data []byte) error {
	return o.Put(ctx, key, store.BytesBody(data))
}

var stream = ledger.KafkaStream("cluster-1", "ingest", 3)

func quick(writer string) ledger.Options {
	return ledger.Options{Writer: writer, Wait: time.Microsecond, MaxWait: 10 * time.Microsecond}
}

// process is a writer's view: a claim store of its own on what all share.
func process(t testing.TB, s store.Store, log claim.Log) *claim.Store {
	t.Helper()
	c := claim.New(s, log, claim.Options{Location: "test:"})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func object(t testing.TB, s store.Store, key string) []byte {
	t.Helper()
	rc, _, err := s.Get(context.Background(), key, 0, -1)
	if store.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rc.Close() }()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wantKind(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func wantObject(t testing.TB, s store.Store, key, want string) {
	t.Helper()
	if got := object(t, s, key); !bytes.Equal(got, []byte(want)) {
		t.Fatalf("%s is %q, want %q", key, got, want)
	}
}

func number(n int) string { return fmt.Sprintf("_log/cluster-1~ingest~3/%020d", n) }
