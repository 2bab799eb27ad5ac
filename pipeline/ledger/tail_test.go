package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// longLog pretends that a stream has n records, of which only the last two are real.
type longLog struct {
	store.Plain
	n        int64
	requests int
}

func (l *longLog) Head(ctx context.Context, key string) (int64, []byte, []byte, error) {
	l.requests++
	var seq int64
	if _, err := fmt.Sscanf(key[strings.LastIndexByte(key, '/')+1:], "%d", &seq); err == nil && seq < l.n {
		return 1, nil, nil, nil
	}
	return l.Plain.Head(ctx, key)
}

func (l *longLog) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	l.requests++
	return l.Plain.Open(ctx, key)
}

func (l *longLog) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	l.requests++
	return l.Plain.Keys(ctx, prefix, after)
}

// newLongLog moves the records of a chain of one data record up to the end of a long
// log.
func newLongLog(t *testing.T, n int64) *longLog {
	t.Helper()
	memory := store.NewMemory()
	s := store.Plain{Store: memory}
	fence := &ledger.Record{Version: 1, Kind: ledger.Fence, Stream: stream.Path(), Seq: n - 2, Epoch: 5, Previous: strings.Repeat("00", 32), Writer: "w", Token: "t", From: 7, To: 7}
	data, err := fence.Encode()
	if err != nil {
		t.Fatal(err)
	}
	last := *fence
	last.Kind, last.Seq, last.To, last.Previous = ledger.Data, n-1, 8, fmt.Sprintf("%x", store.BytesBody(data).SHA256)
	last.Outcomes = []ledger.Outcome{{Offset: 7, Status: ledger.None}}
	lastData, err := last.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(s.Create(t.Context(), ledger.RecordKey(stream, n-2), data), s.Create(t.Context(), ledger.RecordKey(stream, n-1), lastData))
	if err != nil {
		t.Fatal(err)
	}
	return &longLog{Plain: s, n: n}
}

func TestOpenFindsTail(t *testing.T) {
	hints := map[string]func(n int64) string{
		"none":         func(int64) string { return "" },
		"right":        func(n int64) string { return fmt.Sprintf(`{"seq":%d}`, n-1) },
		"stale":        func(int64) string { return `{"seq":2}` },
		"a little old": func(n int64) string { return fmt.Sprintf(`{"seq":%d}`, max(0, n-20)) },
		"too high":     func(n int64) string { return fmt.Sprintf(`{"seq":%d}`, n+1000) },
		"huge":         func(int64) string { return `{"seq":9223372036854775807}` },
		"negative":     func(int64) string { return `{"seq":-5}` },
		"garbage":      func(int64) string { return `]]` },
		"long":         func(int64) string { return strings.Repeat("x", 5000) },
	}
	for name, hint := range hints {
		for _, n := range []int64{3, 4, 33, 34, 1000, 1056, 1057, 65536, 1_000_000} {
			log := newLongLog(t, n)
			if text := hint(n); text != "" {
				if err := log.Replace(t.Context(), "_hint/"+stream.Path(), []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			c, err := ledger.Open(t.Context(), log, stream, quick("w"))
			if err != nil {
				t.Fatalf("%d records, hint %s: %v", n, name, err)
			}
			if c.Position().Seq != n-1 || c.Next() != 8 {
				t.Errorf("%d records, hint %s: found %+v", n, name, c.Position())
			}
			most := 30
			if name == "right" || name == "a little old" {
				most = 14
			}
			if log.requests >= most {
				t.Errorf("%d records, hint %s: %d requests, want fewer than %d", n, name, log.requests, most)
			}
		}
	}
}

// TestOpenEmpty: no records, no chain, nothing written.
func TestOpenEmpty(t *testing.T) {
	memory := store.NewMemory()
	c, err := ledger.Open(t.Context(), store.Plain{Store: memory}, stream, ledger.Options{})
	if err != nil || !c.Empty() || c.Next() != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
	for info := range memory.List(t.Context(), "", "") {
		t.Errorf("it wrote %s", info.Key)
	}
}

// TestOpenReportsTrouble: an error of the store is not taken for the end of the chain.
func TestOpenReportsTrouble(t *testing.T) {
	memory := store.NewMemory()
	_ = take(t, store.Plain{Store: memory}, "w")
	down := errors.New("the store is down")
	for n := 1; n <= 8; n++ {
		calls := 0
		f := store.NewFaulty(memory, func(op, key string, _ int) store.Fault {
			if strings.HasPrefix(key, "_hint") {
				return store.Fault{}
			}
			if calls++; calls == n {
				return store.Fault{Before: down}
			}
			return store.Fault{}
		})
		c, err := ledger.Open(t.Context(), store.Plain{Store: f}, stream, quick("x"))
		if calls < n {
			return // it needs fewer calls than that, and all were tried
		}
		if !errors.Is(err, down) {
			t.Errorf("call %d failed: got %v, %v", n, c, err)
		}
	}
	t.Error("opening two records takes over 8 calls")
}
