package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var stream = ledger.KafkaStream("cluster-1", "ingest", 3)

// quick settles unknown outcomes without waiting for long.
func quick(writer string) ledger.Options {
	return ledger.Options{
		Writer: writer, Wait: time.Microsecond, MaxWait: 10 * time.Microsecond,
		Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) },
	}
}

// take opens a stream and fences it.
func take(t testing.TB, s ledger.Store, writer string) *ledger.Chain {
	t.Helper()
	c, err := ledger.Open(t.Context(), s, stream, quick(writer))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	if err := c.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// entry accounts for n offsets from the chain's end with one sample each, in a shard
// that it stores.
func entry(t testing.TB, s store.Store, c *ledger.Chain, n int64) ledger.Entry {
	t.Helper()
	from := c.Next()
	e := ledger.Entry{To: from + n, Tools: map[string]string{"millrace": "test"}}
	for o := from; o < e.To; o++ {
		e.Outcomes = append(e.Outcomes, ledger.Outcome{Offset: o, Dataset: "set", ID: fmt.Sprintf("id-%d", o), Status: ledger.OK, Samples: 1})
	}
	body := store.BytesBody(fmt.Appendf(nil, "shard of %d to %d", from, e.To))
	key := c.ShardKey("tar")
	if err := store.Upload(t.Context(), s, key, body); err != nil {
		t.Fatal(err)
	}
	e.Shards = []ledger.Shard{{
		Key: key, Dataset: "set", Recipe: strings.Repeat("ab", 32), Format: "webdataset", Bytes: body.Size, SHA256: fmt.Sprintf("%x", body.SHA256), CRC32C: fmt.Sprintf("%08x", body.CRC32C),
		Samples: n, From: from, To: e.To,
	}}
	return e
}

func verify(t testing.TB, s ledger.Store, deep bool) *ledger.Report {
	t.Helper()
	r, err := ledger.Verify(t.Context(), s, ledger.VerifyOptions{Deep: deep}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestChain goes through a chain's life on each kind of store.
func TestChain(t *testing.T) {
	t.Run("memory", func(t *testing.T) { chainLife(t, store.NewMemory()) })
	t.Run("dir", func(t *testing.T) {
		d, err := store.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		chainLife(t, d)
	})
	t.Run("s3", func(t *testing.T) {
		chainLife(t, store.NewRetry(s3test.Start(t).Open(t), store.Policy{}))
	})
}

func chainLife(t *testing.T, st store.Store) {
	ctx := t.Context()
	s := store.Plain{Store: st}
	first := take(t, s, "first")
	if first.Next() != 100 || first.Epoch() != 1 {
		t.Fatalf("starts at %d in epoch %d", first.Next(), first.Epoch())
	}
	for range 3 {
		if err := first.Commit(ctx, entry(t, st, first, 10)); err != nil {
			t.Fatal(err)
		}
	}
	second := take(t, s, "second")
	if second.Next() != 130 || second.Epoch() != 2 {
		t.Fatalf("the second goes on at %d in epoch %d", second.Next(), second.Epoch())
	}
	err := first.Commit(ctx, entry(t, st, first, 5)) // leaves an orphan
	var fenced *ledger.FencedError
	if !errors.As(err, &fenced) || fenced.By.Writer != "second" {
		t.Fatalf("the first, fenced, got %v", err)
	}
	if err := first.Commit(ctx, ledger.Entry{To: 200}); !errors.Is(err, ledger.ErrFenced) {
		t.Fatalf("after that it got %v", err)
	}
	if err := second.Commit(ctx, entry(t, st, second, 7)); err != nil {
		t.Fatal(err)
	}
	report := verify(t, s, true)
	if !report.OK() || len(report.Orphans) != 1 {
		t.Errorf("verify: faults %v, orphans %v", report.Faults, report.Orphans)
	}
	want := ledger.StreamReport{
		Stream: "cluster-1~ingest~3", Records: 7, Epoch: 2, From: 100, To: 137, Shards: 4, Samples: 37, OK: 37,
		Bytes: report.Streams[0].Bytes,
	}
	if len(report.Streams) != 1 || report.Streams[0] != want {
		t.Errorf("verify counts %+v, want %+v", report.Streams, want)
	}
	var kinds []string
	for item, err := range ledger.Read(ctx, s, stream, 0) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, string(item.Record.Kind))
	}
	if got := strings.Join(kinds, " "); got != "genesis fence data data data fence data" {
		t.Errorf("the chain is %s", got)
	}
}

func ids(ctx context.Context, t testing.TB, s ledger.Store, c *ledger.Chain, limit int) *ledger.IDs {
	t.Helper()
	got, err := ledger.LoadIDs(ctx, s, c.Stream(), c.Position(), limit, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
