package ledger_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// longChain is a store that holds one stream's chain and its shards' sizes, with the
// records in one file on disk, so that what a test measures is the ledger's memory and
// not the store's. It takes no writes but those of the chain.
type longChain struct {
	store.Plain
	file  *os.File
	at    []int64 // where each record begins in the file, and where the last ends
	asked atomic.Int64
}

func (c *longChain) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	c.asked.Add(1)
	if seq, ok := c.seq(key); ok {
		return io.NopCloser(io.NewSectionReader(c.file, c.at[seq], c.at[seq+1]-c.at[seq])), nil
	}
	return c.Plain.Open(ctx, key)
}

func (c *longChain) Head(ctx context.Context, key string) (int64, []byte, []byte, error) {
	c.asked.Add(1)
	if seq, ok := c.seq(key); ok {
		return c.at[seq+1] - c.at[seq], nil, nil, nil
	}
	if strings.HasPrefix(key, "data/") {
		return 1000, nil, nil, nil
	}
	return c.Plain.Head(ctx, key)
}

func (c *longChain) Keys(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if !strings.HasPrefix(prefix, "_log/") {
			c.Plain.Keys(ctx, prefix, after)(yield)
			return
		}
		first := int64(0)
		if seq, ok := c.seq(after); ok {
			first = seq + 1
		} else if strings.HasSuffix(after, "0") {
			return // beyond the stream
		}
		for seq := first; seq < int64(len(c.at))-1; seq++ {
			if !yield(ledger.RecordKey(stream, seq), nil) {
				return
			}
		}
	}
}

func (c *longChain) seq(key string) (int64, bool) {
	text, ok := strings.CutPrefix(key, "_log/"+stream.Path()+"/")
	var seq int64
	if !ok {
		return 0, false
	}
	if _, err := fmt.Sscanf(text, "%d", &seq); err != nil || seq >= int64(len(c.at))-1 {
		return 0, false
	}
	return seq, true
}

// newLongChain makes a chain of n records of one shard and one job each.
func newLongChain(t testing.TB, n int64) *longChain {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "records"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	c := &longChain{Plain: store.Plain{Store: store.NewMemory()}, file: f}
	r := ledger.Record{Version: 1, Stream: stream.Path(), Writer: "w", Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	at := int64(0)
	for r.Seq = range n {
		r.Token = fmt.Sprint(r.Seq)
		switch r.Seq {
		case 0:
			r.Kind = ledger.Genesis
		case 1:
			r.Kind, r.Epoch = ledger.Fence, 1
		default:
			r.Kind, r.From, r.To = ledger.Data, r.Seq-2, r.Seq-1
			r.Time = r.Time.Add(time.Minute)
			r.Shards = []ledger.Shard{{Key: fmt.Sprintf("%s%026d.tar", ledger.DataPrefix(stream, 1), r.Seq), Dataset: "set", Format: "webdataset", Bytes: 1000,
				SHA256: strings.Repeat("ab", 32), CRC32C: "00000000", Samples: 1, From: r.From, To: r.To}}
			r.Outcomes = []ledger.Outcome{{Offset: r.From, ID: fmt.Sprintf("s3://bucket/films/%d.mp4", r.From), Dataset: "set", Status: ledger.OK, Samples: 1}}
		}
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
		c.at = append(c.at, at)
		at += int64(len(data))
		r.Previous = fmt.Sprintf("%x", store.BytesBody(data).SHA256)
	}
	c.at = append(c.at, at)
	return c
}

// peak runs f and gives the most that the heap grew by meanwhile.
func peak(f func()) (most int64, took time.Duration) {
	before := heap()
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		var m runtime.MemStats
		top := uint64(0)
		for {
			select {
			case <-stop:
				done <- int64(top)
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapAlloc)
			}
		}
	}()
	start := time.Now()
	f()
	took = time.Since(start)
	close(stop)
	return <-done - before, took
}

// TestScale: the parts of the ledger on a long chain: requests, time and memory. The
// number of records is MILLRACE_RECORDS, or a small one; the figures in README.md are of
// a million.
func TestScale(t *testing.T) {
	n := int64(2_000)
	if text := os.Getenv("MILLRACE_RECORDS"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(err)
		}
	}
	c := newLongChain(t, n)
	for _, hint := range []string{"", "{}", fmt.Sprintf(`{"seq":%d}`, n-1), `{"seq":3}`, fmt.Sprintf(`{"seq":%d}`, n*3)} {
		if hint != "" {
			if err := c.Replace(t.Context(), "_hint/"+stream.Path(), []byte(hint)); err != nil {
				t.Fatal(err)
			}
		}
		asked := c.asked.Load()
		chain, err := ledger.Open(t.Context(), c, stream, quick("w"))
		if err != nil || chain.Next() != n-2 {
			t.Fatal(chain, err)
		}
		got := c.asked.Load() - asked
		t.Logf("the tail, hint %q: %d requests", hint, got)
		if got >= 30 {
			t.Errorf("finding the tail takes %d requests", got)
		}
	}
	chain, err := ledger.Open(t.Context(), c, stream, quick("w"))
	if err != nil {
		t.Fatal(err)
	}
	var r *ledger.Report
	most, took := peak(func() {
		if r, err = ledger.Verify(t.Context(), c, ledger.VerifyOptions{}, nil); err != nil {
			t.Fatal(err)
		}
	})
	if !r.OK() || r.Streams[0].Records != n {
		t.Errorf("verify: %+v", r)
	}
	t.Logf("verify: %v, peak heap %d KB", took, most>>10)
	last := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).Add(time.Duration(n-2) * time.Minute)
	for _, w := range []struct {
		name  string
		limit int
		since time.Time
		want  int64
	}{{"the last 100 minutes", 10_000_000, last.Add(-100 * time.Minute), 101}, {"1000 ids", 1000, time.Time{}, 1000}, {"all", 0, time.Time{}, n - 2}} {
		var ids *ledger.IDs
		asked := c.asked.Load()
		most, took := peak(func() {
			if ids, err = ledger.LoadIDs(t.Context(), c, stream, chain.Position(), w.limit, w.since); err != nil {
				t.Fatal(err)
			}
		})
		got := c.asked.Load() - asked
		t.Logf("loading the ids of %s: %d ids, %d requests, %v, peak heap %d KB", w.name, ids.Len(), got, took, most>>10)
		if got > w.want+100 || int64(ids.Len()) != w.want {
			t.Errorf("%s: %d ids in %d requests, want %d", w.name, ids.Len(), got, w.want)
		}
	}
	var snap *ledger.Snapshot
	most, took = peak(func() {
		if snap, err = ledger.Publish(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("publish, the first: %v, peak heap %d KB", took, most>>10)
	shards := int64(0)
	most, took = peak(func() {
		for _, err := range ledger.Shards(t.Context(), c, snap, "set") {
			if err != nil {
				t.Fatal(err)
			}
			shards++
		}
	})
	if shards != n-2 {
		t.Errorf("there are %d shards", shards)
	}
	t.Logf("its shards: %v, peak heap %d KB", took, most>>10)
}
