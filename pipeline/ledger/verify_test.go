package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

func read(t testing.TB, s store.Store, key string) []byte {
	t.Helper()
	rc, _, err := s.Get(t.Context(), key, 0, -1)
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

// forge replaces an object, as no program of ours does.
func forge(t testing.TB, s store.Store, key, old, new string) {
	t.Helper()
	data := read(t, s, key)
	changed := bytes.Replace(data, []byte(old), []byte(new), 1)
	if bytes.Equal(changed, data) {
		t.Fatalf("%s has no %q", key, old)
	}
	if err := s.Put(t.Context(), key, store.BytesBody(changed)); err != nil {
		t.Fatal(err)
	}
}

// blind is a store that knows no digests, as a directory.
type blind struct{ store.Plain }

func (b blind) Head(ctx context.Context, key string) (int64, []byte, []byte, error) {
	size, _, _, err := b.Plain.Head(ctx, key)
	return size, nil, nil, err
}

// TestVerifyFinds spoils a dataset in one way at a time.
func TestVerifyFinds(t *testing.T) {
	record := func(seq int64) string { return ledger.RecordKey(stream, seq) }
	shards := func(t *testing.T, m *store.Memory) (keys []string) {
		for info := range m.List(t.Context(), "data/", "") {
			keys = append(keys, info.Key)
		}
		return keys
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, m *store.Memory)
		want  []string // each fault's object and text have these, in order
		deep  bool     // only a deep check sees it where the store knows no digests
	}{
		{"nothing", func(*testing.T, *store.Memory) {}, nil, false},
		{"a record is missing", func(t *testing.T, m *store.Memory) { _ = m.Delete(t.Context(), record(2)) }, []string{record(2) + ": it is missing", "_snap/00000000000000000000: it names record 2"}, false},
		{"the last record is missing", func(t *testing.T, m *store.Memory) { _ = m.Delete(t.Context(), record(3)) }, []string{"_snap/00000000000000000001: it names record 3"}, false},
		{"the first record is missing", func(t *testing.T, m *store.Memory) { _ = m.Delete(t.Context(), record(0)) }, []string{record(0) + ": it is missing"}, false},
		{"a record is garbage", func(t *testing.T, m *store.Memory) { forge(t, m, record(2), "{", "[") }, []string{record(2) + ": ", "_snap/00000000000000000000: it names"}, false},
		{"a record was changed", func(t *testing.T, m *store.Memory) { forge(t, m, record(2), `"status":"ok"`, `"status":"ok" `) }, []string{record(3) + ": it follows a record of SHA-256", "_snap/00000000000000000000: it names"}, false},
		{"a record of another stream", func(t *testing.T, m *store.Memory) { forge(t, m, record(1), "ingest~3", "ingest~4") }, []string{record(1) + ": it belongs to the stream cluster-1~ingest~4", record(2) + ": it follows"}, false},
		{"a stranger in the log", func(t *testing.T, m *store.Memory) {
			_ = m.Create(t.Context(), "_log/"+stream.Path()+"/readme", []byte("hello"))
		}, []string{"/readme: it is no record's name"}, false},
		{"a shard is missing", func(t *testing.T, m *store.Memory) { _ = m.Delete(t.Context(), shards(t, m)[1]) }, []string{".tar: it is missing, though a record names it"}, false},
		{"a shard is cut", func(t *testing.T, m *store.Memory) { forge(t, m, shards(t, m)[1], "shard", "") }, []string{" bytes; its record says "}, false},
		{"a shard has rotted", func(t *testing.T, m *store.Memory) { forge(t, m, shards(t, m)[1], "shard", "shart") }, []string{"SHA-256"}, true},
		{"a snapshot is garbage", func(t *testing.T, m *store.Memory) { forge(t, m, "_snap/00000000000000000000", "{", "") }, []string{"_snap/00000000000000000000: "}, false},
		{"a snapshot was changed", func(t *testing.T, m *store.Memory) {
			forge(t, m, "_snap/00000000000000000000", `"time":"`, `"time": "`)
		}, []string{"_snap/00000000000000000001: it follows a snapshot"}, false},
	} {
		for _, deep := range []bool{false, true} {
			for _, knows := range []bool{true, false} {
				m := store.NewMemory()
				plain := store.Plain{Store: m}
				chain := take(t, plain, "w")
				for range 2 {
					if err := chain.Commit(t.Context(), entry(t, m, chain, 4)); err != nil {
						t.Fatal(err)
					}
					if _, err := ledger.Publish(t.Context(), plain); err != nil {
						t.Fatal(err)
					}
				}
				c.spoil(t, m)
				var s ledger.Store = plain
				if !knows {
					s = blind{plain}
				}
				r := verify(t, s, deep)
				want := c.want
				if c.deep && !deep && !knows {
					want = nil
				}
				match := len(r.Faults) == len(want)
				for i := range want {
					match = match && strings.Contains(r.Faults[i].String(), want[i])
				}
				if !match || r.OK() != (len(want) == 0) {
					t.Errorf("%s (deep %v, digests known %v): got the faults %q, want %q", c.name, deep, knows, r.Faults, want)
				}
			}
		}
	}
}

// TestVerifyForgedChain: records that are linked right but contradict each other.
func TestVerifyForgedChain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *ledger.Record)
		want   string
	}{
		"overlap": {func(r *ledger.Record) {
			r.From--
			r.Outcomes = append([]ledger.Outcome{{Offset: r.From, Status: ledger.None}}, r.Outcomes...)
		}, "it accounts for offsets from 103 on, but the one before ends at 104"},
		"hole": {func(r *ledger.Record) {
			r.From++
			r.Outcomes = r.Outcomes[1:]
			r.Shards[0].From++
			r.Shards[0].Samples--
		}, "it accounts for offsets from 105 on"},
		"zombie":        {func(r *ledger.Record) { r.Writer = "zombie" }, "by writer zombie"},
		"samples":       {func(r *ledger.Record) { r.Shards[0].Samples++ }, `hold 5 samples; its outcomes promise 4`},
		"no shard":      {func(r *ledger.Record) { r.Shards = nil }, "names no shard of it"},
		"other dataset": {func(r *ledger.Record) { r.Shards[0].Dataset = "other" }, `names no shard of it`},
	} {
		m := store.NewMemory()
		s := store.Plain{Store: m}
		chain := take(t, s, "w")
		for range 2 {
			if err := chain.Commit(t.Context(), entry(t, m, chain, 4)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := ledger.ParseRecord(read(t, m, ledger.RecordKey(stream, 3)))
		if err != nil {
			t.Fatal(err)
		}
		c.change(r)
		data, err := r.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Replace(t.Context(), ledger.RecordKey(stream, 3), data); err != nil {
			t.Fatal(err)
		}
		report := verify(t, s, false)
		found := false
		for _, f := range report.Faults {
			found = found || f.Object == ledger.RecordKey(stream, 3) && strings.Contains(f.Text, c.want)
		}
		if !found {
			t.Errorf("%s: got the faults %q, want one with %q", name, report.Faults, c.want)
		}
	}
}

// TestVerifyShardTwice: two records can not name one shard.
func TestVerifyShardTwice(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	chain := take(t, s, "w")
	first := entry(t, m, chain, 2)
	if err := chain.Commit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := entry(t, m, chain, 2)
	second.Shards[0].Key, second.Shards[0].SHA256, second.Shards[0].CRC32C, second.Shards[0].Bytes = first.Shards[0].Key, first.Shards[0].SHA256, first.Shards[0].CRC32C, first.Shards[0].Bytes
	if err := chain.Commit(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	r := verify(t, s, true)
	if len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Text, "which record 2 names too") || len(r.Orphans) != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestVerifyTellsTrouble: a store that fails is no fault of the dataset's.
func TestVerifyTellsTrouble(t *testing.T) {
	m := store.NewMemory()
	chain := take(t, store.Plain{Store: m}, "w")
	if err := chain.Commit(t.Context(), entry(t, m, chain, 4)); err != nil {
		t.Fatal(err)
	}
	down := &store.Error{Op: "get", Err: errors.New("the store is down")}
	calls := 0
	_, err := ledger.Verify(t.Context(), store.Plain{Store: store.NewFaulty(m, func(string, string, int) store.Fault { calls++; return store.Fault{} })}, ledger.VerifyOptions{Deep: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= calls; n++ {
		f := store.NewFaulty(m, func(op, key string, call int) store.Fault {
			if call == n && !strings.HasSuffix(key, "/00000000000000000003") { // read ahead, and nobody asks for it
				return store.Fault{Before: down}
			}
			return store.Fault{}
		})
		r, err := ledger.Verify(t.Context(), store.Plain{Store: f}, ledger.VerifyOptions{Deep: true}, nil)
		if err == nil && len(r.Faults) > 0 || err != nil && !errors.Is(err, down) {
			t.Errorf("call %d failed: got %+v, %v", n, r, err)
		}
	}
}

func TestVerifyProgress(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	chain := take(t, s, "w")
	for range 5 {
		if err := chain.Commit(t.Context(), entry(t, m, chain, 4)); err != nil {
			t.Fatal(err)
		}
	}
	var last ledger.Progress
	if _, err := ledger.Verify(t.Context(), s, ledger.VerifyOptions{Deep: true, Streams: []ledger.Stream{stream}}, func(p ledger.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if last.Stream != stream.String() || last.Records != 7 || last.Shards != 5 || last.Bytes == 0 {
		t.Errorf("the last progress is %+v", last)
	}
}
