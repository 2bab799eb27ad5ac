package ledger_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"pgregory.net/rapid"
)

// TestIDsLikeMap: with a limit or without, the last ids are found as a map has them, and
// nothing is found that the map does not have.
func TestIDsLikeMap(t *testing.T) {
	type end struct {
		offset int64
		status ledger.Status
		n      int // of the addition
	}
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 50).Draw(t, "limit")
		names := rapid.IntRange(1, 200).Draw(t, "names")
		set, model := ledger.NewIDs(limit), map[[2]string]end{}
		added := rapid.IntRange(0, 400).Draw(t, "added")
		for n := range added {
			dataset := rapid.SampledFrom([]string{"", "a", "set"}).Draw(t, "dataset")
			id := fmt.Sprint(rapid.IntRange(0, names).Draw(t, "id"))
			status := rapid.SampledFrom([]ledger.Status{ledger.OK, ledger.Quarantined}).Draw(t, "status")
			offset := rapid.Int64Range(0, 1<<61).Draw(t, "offset")
			set.Add(dataset, id, offset, status)
			model[[2]string{dataset, id}] = end{offset, status, n}
		}
		for key, want := range model {
			offset, status, ok := set.Find(key[0], key[1])
			if !ok && limit > 0 && added-want.n > limit {
				continue
			}
			if !ok || offset != want.offset || status != want.status {
				t.Fatalf("%q is %d, %s, %v; want %+v of %d added, limit %d", key, offset, status, ok, want, added, limit)
			}
		}
		if _, _, ok := set.Find("set", "never"); ok {
			t.Fatal("an id is known that never was")
		}
		if limit > 0 && set.Len() > limit+2*((limit+7)/8) {
			t.Fatalf("it holds %d of limit %d", set.Len(), limit)
		}
	})
}

// TestIDsMemory: an id takes less than 40 bytes, whatever the number of ids.
func TestIDsMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills memory")
	}
	for _, n := range []int{100_000, 300_000} {
		set := ledger.NewIDs(0)
		before := heap()
		for i := range n {
			set.Add("dataset", fmt.Sprintf("s3://bucket/a/rather/long/name/of/an/object/%d", i), int64(i), ledger.OK)
		}
		each := float64(heap()-before) / float64(n)
		t.Logf("%d ids: %.1f bytes each; by its own account %.1f", n, each, float64(set.Bytes())/float64(n))
		if each > 40 || set.Len() != n {
			t.Errorf("%d ids take %.1f bytes each", set.Len(), each)
		}
		runtime.KeepAlive(set)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkIDs(b *testing.B) {
	set := ledger.NewIDs(10_000_000)
	for i := range b.N {
		set.Add("dataset", fmt.Sprint(i), int64(i), ledger.OK)
		set.Find("dataset", fmt.Sprint(i/2))
	}
	b.ReportMetric(float64(set.Bytes())/float64(set.Len()), "B/id")
}
