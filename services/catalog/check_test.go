package catalog

import (
	"bytes"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

func replace(t *testing.T, s store.Store, key, old, new string) {
	t.Helper()
	was := text(t, s, key)
	is := strings.Replace(was, old, new, 1)
	if was == is {
		t.Fatalf("%s has no %q: %s", key, old, was)
	}
	if err := s.Put(t.Context(), key, store.BytesBody([]byte(is))); err != nil {
		t.Fatal(err)
	}
}

// TestCheckIndexes spoils one index at a time.
func TestCheckIndexes(t *testing.T) {
	const base = "_index/00000000000000000000/cats/"
	for _, c := range []struct{ key, old, new, want string }{
		{"webdataset.txt", "data/two", "data/one", "its shard 1 is ../../../data/one"},
		{"webdataset.txt", "\n", "", "its shard 0 is"},
		{"parquet.txt", ".parquet\n", ".parquet", "its shard 0 is"},
		{"wids.json", `"nsamples": 2`, `"nsamples": 3`, "with 3 samples; the snapshot's"},
		{"wids.json", `"shardlist"`, `"shards"`, "it has no shardlist"},
		{"wids.json", " ]\n}\n", "", "EOF"},
		{"energon/.nv-meta/split.yaml", "data/two", "data/three", "its shard 1 is"},
		{"energon/.nv-meta/.info.json", ": 2", ": 4", "it does not name the snapshot's shards"},
		{"energon/.nv-meta/.info.json", "{", "[", "it is no index"},
		{"mds/index.json", `"samples":2`, `"samples":7`, "with 7 samples"},
		{"mds/local/index.json", "../../../../../data/two", "../data/two", "its shard 1 is"},
	} {
		s := store.NewMemory()
		commit(t, s, "one", true, all("cats")...)
		commit(t, s, "two", true, all("cats")...)
		p := publish(t, s)
		if r, err := CheckIndexes(t.Context(), s, p.Snapshot); err != nil || len(r.Faults) > 0 || !r.Complete || r.Documents != 8 || r.Shards != 6 {
			t.Fatalf("unspoiled: %+v, %v", r, err)
		}
		replace(t, s, base+c.key, c.old, c.new)
		r, err := CheckIndexes(t.Context(), s, p.Snapshot)
		if err != nil || len(r.Faults) != 1 || r.Faults[0].Object != base+c.key || !strings.Contains(r.Faults[0].Text, c.want) {
			t.Errorf("%s, %q for %q: %+v, %v; want %q", c.key, c.new, c.old, r, err, c.want)
		}
		if err := s.Delete(t.Context(), base+c.key); err != nil {
			t.Fatal(err)
		}
		missing := 1
		if strings.Contains(c.key, "local") {
			missing = 0
		}
		if r, err := CheckIndexes(t.Context(), s, p.Snapshot); err != nil || len(r.Faults) != missing {
			t.Errorf("without %s: %+v, %v", c.key, r, err)
		}
	}
}

// TestBeside spoils what stands beside a shard.
func TestBeside(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(index []byte) []byte
		deep  bool // only reading the shard tells
		want  string
	}{
		{"nothing", func(b []byte) []byte { return b }, false, ""},
		{"missing", func([]byte) []byte { return nil }, false, "is missing, though it is published"},
		{"cut", func(b []byte) []byte { return b[:16] }, false, "has not the 3 entries"},
		{"long", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, false, "has not the 3 entries"},
		{"back", func(b []byte) []byte { copy(b[8:16], b[:8]); return b }, false, "entry 1"},
		{"beyond", func(b []byte) []byte { b[20] = 1; return b }, false, "entry 2"},
		{"odd", func(b []byte) []byte { b[8]++; return b }, false, "entry 1"},
		{"moved", func(b []byte) []byte { b[9] += 2; return b }, true, "not what the headers"},
	} {
		s := store.NewMemory()
		commit(t, s, "one", true, tars("cats")...)
		p := publish(t, s)
		shards, err := Shards(t.Context(), s, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		key := shards[0].Key + shard.TarIndexSuffix
		data := c.spoil([]byte(text(t, s, key)))
		if data == nil {
			err = s.Delete(t.Context(), key)
		} else {
			err = s.Put(t.Context(), key, store.BytesBody(bytes.Clone(data)))
		}
		if err != nil {
			t.Fatal(err)
		}
		checked, err := CheckIndexes(t.Context(), s, p.Snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for _, deep := range []bool{false, true} {
			r, err := ledger.Verify(t.Context(), store.Plain{Store: s}, ledger.VerifyOptions{Deep: deep, Beside: Beside(s, checked)}, nil)
			want := c.want
			if c.deep && !deep {
				want = ""
			}
			if err != nil || r.OK() != (want == "") || want != "" && !strings.Contains(r.Faults[0].Text, want) {
				t.Errorf("%s, deep %v: got %+v, %v; want %q", c.name, deep, r, err, want)
			}
		}
	}
}
