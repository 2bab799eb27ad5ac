package catalog

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// TestDocumentsGrow: an index that was written an entry at a time is what the format's
// writer makes of all shards at once, in memory and in a file.
func TestDocumentsGrow(t *testing.T) {
	list := func(w io.Writer, _ string, infos []shard.Info) error {
		urls := make([]string, len(infos))
		for i := range infos {
			urls[i] = infos[i].URL
		}
		return shard.WriteShardList(w, urls)
	}
	split := func(w io.Writer, _ string, infos []shard.Info) error { return shard.EnergonSplit(w, infos) }
	info := func(w io.Writer, _ string, infos []shard.Info) error { return shard.EnergonInfo(w, infos) }
	for _, c := range []struct {
		name  string
		kind  docKind
		whole func(io.Writer, string, []shard.Info) error
	}{{"list", listKind, list}, {"wids", widsKind, shard.WriteWids}, {"split", splitKind, split}, {"info", infoKind, info}} {
		for _, n := range []int{1, 2, 3, 2000} {
			s := store.NewMemory()
			d := &document{key: "index", kind: c.kind}
			infos := make([]shard.Info, n)
			for i := range infos {
				infos[i] = shard.Info{URL: fmt.Sprintf("../../data/s/%020d/%026d.tar", 1, i), Samples: int64(i + 1), Bytes: 10}
				if err := d.add("a \"set\"", infos[i]); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.put(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if spilled := d.body.file != nil; spilled != (n == 2000) {
				t.Errorf("%s of %d: in a file: %v", c.name, n, spilled)
			}
			d.close()
			var want bytes.Buffer
			if err := c.whole(&want, "a \"set\"", infos); err != nil {
				t.Fatal(err)
			}
			if got := text(t, s, "index"); got != want.String() {
				t.Errorf("%s of %d: got %.300s, want %.300s", c.name, n, got, want.String())
			}
		}
	}
}

// TestMDSIndexGrows: likewise of MDS, through a reader of its entries.
func TestMDSIndexGrows(t *testing.T) {
	s := store.NewMemory()
	commit(t, s, "one", false, want{"cats", shard.MDS, ""}, want{"cats", shard.MDS, ""}, want{"cats", shard.MDS, ""})
	i := publish(t, s).Indexes[0]
	entries, err := shard.ReadMDSIndex(strings.NewReader(text(t, s, i.MDS)))
	if err != nil {
		t.Fatal(err)
	}
	for key, up := range map[string]string{i.MDS: "", i.MDSLocal: "../../../../../"} {
		var want bytes.Buffer
		if err := shard.WriteMDSIndex(&want, up, entries); err != nil {
			t.Fatal(err)
		}
		if got := text(t, s, key); got != want.String() {
			t.Errorf("%s: got %s, want %s", key, got, want.String())
		}
	}
	r, err := (&object{t.Context(), s, i.MDS, 0}).entries()
	if err != nil {
		t.Fatal(err)
	}
	defer r.body.Close()
	for n := range 4 {
		e, err := r.peek()
		if err != nil || (e == nil) != (n == 3) || e != nil && e.RawData.Basename != entries[n].RawData.Basename {
			t.Fatalf("entry %d: %+v, %v", n, e, err)
		}
		r.drop()
	}
}

// TestForeignIndexes: an index of the snapshot before that is not ours is an error, and
// takes no memory.
func TestForeignIndexes(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "list": "[]", "no shards": `{"version":2}`, "entry": `{"shards":[{"raw_data":null}]}`,
		"endless": `{"shards":[{"format":"` + strings.Repeat("x", 3<<20) + `"}]}`,
	} {
		s := store.NewMemory()
		if err := s.Put(t.Context(), "i", store.BytesBody([]byte(body))); err != nil {
			t.Fatal(err)
		}
		o := &object{t.Context(), s, "i", int64(len(body))}
		r, err := o.entries()
		if err == nil {
			_, err = r.peek()
		}
		if err == nil {
			t.Errorf("%s: taken for an MDS index", name)
		}
	}
	for name, body := range map[string]string{"cut": "a\nb", "endless": strings.Repeat("x", 1<<20)} {
		s := store.NewMemory()
		if err := s.Put(t.Context(), "i", store.BytesBody([]byte(body))); err != nil {
			t.Fatal(err)
		}
		l, err := (&object{t.Context(), s, "i", int64(len(body))}).lines()
		for err == nil {
			l.drop()
			_, err = l.peek()
		}
		if !strings.Contains(err.Error(), "no list of shards") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
