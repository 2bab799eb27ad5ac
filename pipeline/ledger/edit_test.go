package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// added stores a shard that an edit adds.
func added(t testing.TB, s store.Store, samples int64) ledger.Shard {
	t.Helper()
	key := ledger.EditedKey("tar")
	body := store.BytesBody([]byte("merged " + key))
	if err := store.Upload(t.Context(), s, key, body); err != nil {
		t.Fatal(err)
	}
	return ledger.Shard{Key: key, Dataset: "set", Recipe: strings.Repeat("cd", 32), Format: "webdataset", Bytes: body.Size,
		SHA256: fmt.Sprintf("%x", body.SHA256), CRC32C: fmt.Sprintf("%08x", body.CRC32C), Samples: samples}
}

func keysOf(t testing.TB, s ledger.Store, snap *ledger.Snapshot, dataset string) []string {
	t.Helper()
	keys := []string{}
	for sh, err := range ledger.Shards(t.Context(), s, snap, dataset) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, sh.Key)
	}
	return keys
}

// TestEdits: what an edit removes and adds is so from its snapshot on, and in none before.
func TestEdits(t *testing.T) {
	m := store.NewMemory()
	s := store.Plain{Store: m}
	chain := take(t, s, "w")
	var want []string
	for range 4 {
		e := entry(t, m, chain, 2)
		want = append(want, e.Shards[0].Key)
		if err := chain.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	before, err := ledger.Publish(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	big := added(t, m, 4)
	merge := ledger.Edit{Kind: ledger.Compact, Dataset: "set", Removes: want[:2], Adds: []ledger.Shard{big}}
	merged, err := ledger.PublishEdits(t.Context(), s, merge)
	if err != nil || merged.N != before.N+1 || merged.Version != 2 || len(merged.Edits) != 1 || !slices.Equal(merged.Streams, before.Streams) || len(merged.Recipes) != 2 {
		t.Fatalf("got %+v, %v", merged, err)
	}
	if err := chain.Commit(t.Context(), entry(t, m, chain, 2)); err != nil {
		t.Fatal(err)
	}
	later, err := ledger.Publish(t.Context(), s)
	if err != nil || !slices.Equal(later.Edits, merged.Edits) || later.Version != 2 {
		t.Fatalf("the next snapshot is %+v, %v", later, err)
	}
	last := keysOf(t, s, later, "")
	small := added(t, m, 3)
	down, err := ledger.PublishEdits(t.Context(), s, ledger.Edit{Kind: ledger.Takedown, Dataset: "set", Removes: []string{big.Key, want[2]}, Adds: []ledger.Shard{small}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		snap *ledger.Snapshot
		want []string
	}{
		{"before", before, want},
		{"merged", merged, []string{want[2], want[3], big.Key}},
		{"taken down", down, []string{want[3], last[2], small.Key}},
		{"now", nil, []string{want[3], last[2], small.Key}},
	} {
		if got := keysOf(t, s, c.snap, "set"); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := keysOf(t, s, down, "other"); len(got) != 0 {
		t.Errorf("of another dataset: %q", got)
	}
	if _, err := ledger.PublishEdits(t.Context(), s, ledger.Edit{Kind: ledger.Compact, Dataset: "set", Removes: want[1:2]}); !errors.Is(err, ledger.ErrEditConflict) {
		t.Errorf("removing a shard again: %v", err)
	}
	if latest, err := ledger.Latest(t.Context(), s); err != nil || latest.N != down.N {
		t.Errorf("the latest is %+v, %v", latest, err)
	}
}

// TestEditRace: of edits that want the same shard, over a store that loses replies, one
// wins; edits of different shards all do.
func TestEditRace(t *testing.T) {
	m := store.NewMemory()
	plain := store.Plain{Store: m}
	chain := take(t, plain, "w")
	var keys []string
	for range 4 {
		e := entry(t, m, chain, 1)
		keys = append(keys, e.Shards[0].Key)
		if err := chain.Commit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ledger.Publish(t.Context(), plain); err != nil {
		t.Fatal(err)
	}
	f := store.NewFaulty(m, store.Rates{Before: 0.1, After: 0.2, Late: 0.2, MaxLate: 20}.Rule(5))
	s := store.Plain{Store: store.NewRetry(f, store.Policy{Attempts: 50, Base: 1, Max: 1})}
	results := make([]error, 8)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			e := ledger.Edit{Kind: ledger.Compact, Dataset: "set", Removes: keys[i%4 : i%4+1], Adds: []ledger.Shard{added(t, m, 1)}}
			_, results[i] = ledger.PublishEdits(t.Context(), s, e)
		})
	}
	wg.Wait()
	f.Settle()
	for i := range 4 {
		a, b := results[i], results[i+4]
		if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), ledger.ErrEditConflict) {
			t.Errorf("of two edits of shard %d: %v and %v", i, a, b)
		}
	}
	for _, key := range keysOf(t, plain, nil, "set") {
		if !strings.HasPrefix(key, ledger.EditedPrefix) {
			t.Errorf("%s is still there", key)
		}
	}
	if got := keysOf(t, plain, nil, "set"); len(got) != 4 {
		t.Errorf("there are %d shards", len(got))
	}
}

func TestEditRefused(t *testing.T) {
	good := ledger.Edit{Version: 1, Kind: ledger.Compact, Dataset: "set", Removes: []string{"data/a/b/c.tar"}, Adds: []ledger.Shard{{
		Key: "edited/x.tar", Dataset: "set", Format: "webdataset", Bytes: 1, Samples: 1, SHA256: strings.Repeat("0", 64), CRC32C: "00000000"}}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*ledger.Edit){
		"version":    func(e *ledger.Edit) { e.Version = 2 },
		"kind":       func(e *ledger.Edit) { e.Kind = "other" },
		"nothing":    func(e *ledger.Edit) { e.Removes = nil },
		"twice":      func(e *ledger.Edit) { e.Removes = append(e.Removes, e.Removes[0]) },
		"no shard":   func(e *ledger.Edit) { e.Removes = []string{"_log/x"} },
		"both":       func(e *ledger.Edit) { e.Removes = []string{"edited/x.tar"} },
		"added":      func(e *ledger.Edit) { e.Adds[0].Key = "data/a/b/c.tar" },
		"dots":       func(e *ledger.Edit) { e.Adds[0].Key = "edited/../x" },
		"dataset":    func(e *ledger.Edit) { e.Adds[0].Dataset = "other" },
		"empty":      func(e *ledger.Edit) { e.Adds[0].Samples = 0 },
		"offsets":    func(e *ledger.Edit) { e.Adds[0].To = 3 },
		"digest":     func(e *ledger.Edit) { e.Adds[0].SHA256 = "x" },
		"long words": func(e *ledger.Edit) { e.Reason = strings.Repeat("x", 2000) },
	} {
		e := good
		e.Removes, e.Adds = slices.Clone(good.Removes), slices.Clone(good.Adds)
		change(&e)
		if err := e.Validate(); err == nil {
			t.Errorf("%s: %+v is taken", name, e)
		}
	}
}

func FuzzParseEdit(f *testing.F) {
	f.Add([]byte(`{"v":1,"kind":"takedown","dataset":"set","removes":["data/a/00000000000000000001/b.tar"],"reason":"withdrawn","time":"2026-11-24T12:00:00Z"}`))
	f.Add([]byte(`{"v":1,"kind":"compact","dataset":"set","removes":["edited/a.tar"],"adds":[{"key":"edited/b.tar","dataset":"set","format":"webdataset","bytes":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000","crc32c":"00000000","samples":1,"from":0,"to":0}],"time":"2026-11-24T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ledger.ParseEdit(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ledger.ParseEdit(again)
		if err != nil {
			t.Fatalf("what was taken is refused when written again: %v", err)
		}
		if twice, _ := json.Marshal(back); !bytes.Equal(again, twice) {
			t.Errorf("%s became %s", again, twice)
		}
	})
}
