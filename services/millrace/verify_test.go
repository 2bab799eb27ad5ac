package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// written is a folder with streams of records, each with one shard of one job.
type written struct {
	t   *testing.T
	dir string
	d   *store.Dir
}

func newWritten(t *testing.T) *written {
	dir := t.TempDir()
	d, err := store.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &written{t, dir, d}
}

// add commits jobs of some ids to a stream, and gives the keys of their shards.
func (w *written) add(stream string, ids ...string) (keys []string) {
	w.t.Helper()
	ctx := w.t.Context()
	c, err := ledger.Open(ctx, store.Plain{Store: w.d}, ledger.NamedStream(stream), ledger.Options{})
	if err == nil {
		err = c.Begin(ctx, 0)
	}
	if err == nil {
		err = c.Fence(ctx)
	}
	for _, id := range ids {
		if err != nil {
			break
		}
		body := store.BytesBody([]byte("shard of " + id))
		key := c.ShardKey("parquet")
		keys = append(keys, key)
		at := c.Next()
		if err = store.Upload(ctx, w.d, key, body); err == nil {
			err = c.Commit(ctx, ledger.Entry{To: at + 1,
				Shards: []ledger.Shard{{Key: key, Dataset: "set", Format: "parquet", Bytes: body.Size, SHA256: fmt.Sprintf("%x", body.SHA256),
					CRC32C: fmt.Sprintf("%08x", body.CRC32C), Samples: 1, From: at, To: at + 1}},
				Outcomes: []ledger.Outcome{{Offset: at, ID: id, Dataset: "set", Status: ledger.OK, Samples: 1}}})
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}

func (w *written) spoil(key, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, key), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// TestVerifyGoesOn: with a file of progress, a check sees what is new, and says so; from
// the start, it sees all.
func TestVerifyGoesOn(t *testing.T) {
	w := newWritten(t)
	file := filepath.Join(t.TempDir(), "verified")
	keys := w.add("one", "a", "b", "c")
	check := func(exit int, more ...string) string {
		t.Helper()
		return output(t, exit, nil, append([]string{"verify", w.dir, "--deep", "--progress", file}, more...)...)
	}
	if got := check(exitDone); strings.Contains(got, "verified before") || !strings.Contains(got, "3 samples, 3 shards") {
		t.Error(got)
	}
	w.spoil(keys[0], "shard of x") // as large, and nobody looks at it
	more := w.add("one", "d")
	if got := check(exitDone); !strings.Contains(got, "5 of the records were verified before") || !strings.Contains(got, "4 samples, 4 shards") {
		t.Error(got)
	}
	var r verified
	if err := json.Unmarshal([]byte(check(exitFaults, "--again", "--json")), &r); err != nil || len(r.Faults) != 1 || r.Faults[0].Object != keys[0] {
		t.Errorf("%+v, %v", r.Report, err)
	}
	w.spoil(more[0], "shard of y")
	if got := check(exitFaults); strings.Count(got, "FAULT") != 2 {
		t.Error(got)
	}
	if err := os.WriteFile(file, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	check(exitUsage)
	output(t, exitUsage, nil, "verify", w.dir, "--snapshot", "7")
}

// TestRepeatsAreTold: what two streams have of one dataset and id is told by publish, and
// by verify when asked; and spoiled indexes are found.
func TestRepeatsAreTold(t *testing.T) {
	w := newWritten(t)
	w.add("one", "a", "b")
	w.add("two", "c", "b")
	var p struct {
		Repeats ledger.Repeats
		Indexes []struct{ List string }
	}
	if err := json.Unmarshal([]byte(output(t, exitDone, nil, "publish", w.dir, "--json")), &p); err != nil || p.Repeats.Repeated != 1 || p.Repeats.Examples[0].ID != "b" {
		t.Fatalf("%+v, %v", p, err)
	}
	got := output(t, exitDone, nil, "verify", w.dir, "--across")
	if !strings.Contains(got, "WARNING 1 of 3 ids") || !strings.Contains(got, "b of dataset set: one offset 1, and two offset 1") || !strings.Contains(got, "snapshot 0: 1 indexes name its 4 shards") {
		t.Error(got)
	}
	w.spoil(p.Indexes[0].List, "../../../data/elsewhere\n")
	if got := output(t, exitFaults, nil, "verify", w.dir); !strings.Contains(got, "its shard 0 is ../../../data/elsewhere") {
		t.Error(got)
	}
}
