package keeper

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

const seqKey = "0123456789abcdef01234567-seq"

// dataset is a store with one of each fate: two records of a partition, of which the first
// is in a snapshot, and a backfill with a sequence.
func dataset(t *testing.T) store.Store {
	t.Helper()
	s := store.NewMemory()
	c := take(t, s, kafka)
	of := int64(10)
	commit(t, c, ledger.Entry{To: 16,
		Shards: []ledger.Shard{upload(t, t.TempDir(), s, c, []*pipeline.Sample{sampleOf("a", 0), sampleOf("a", 1)}, 0, 10, 12)},
		Outcomes: []ledger.Outcome{
			{Offset: 10, ID: "a", Dataset: "set", Status: ledger.OK, Samples: 2, Sources: []ledger.Source{{URI: "s3://b/a.mp4", Version: "v7", SHA256: strings.Repeat("ab", 32), Bytes: 9}}},
			{Offset: 11, ID: "a", Dataset: "set", Status: ledger.DupOf, Of: &of},
			{Offset: 12, ID: "bad", Dataset: "set", Status: ledger.Quarantined, Code: "source.gone", Stage: "fetch", Detail: "404 Not Found"},
			{Offset: 13, Status: ledger.None},
		},
		Skipped: []ledger.Skip{{From: 14, To: 16, Reason: "control"}},
	})
	if _, err := ledger.Publish(t.Context(), store.Plain{Store: s}); err != nil {
		t.Fatal(err)
	}
	c = take(t, s, kafka)
	commit(t, c, ledger.Entry{To: 17,
		Shards: []ledger.Shard{upload(t, t.TempDir(), s, c, []*pipeline.Sample{sampleOf("p0", 0), sampleOf("dir/3/12", 0)}, 0, 16, 17)},
		Outcomes: []ledger.Outcome{
			{Offset: 16, ID: "p0", Dataset: "set", Status: ledger.OK, Samples: 1},
			{Offset: 16, Part: 1, ID: "dir/3/12", Dataset: "set", Status: ledger.OK, Samples: 1},
		}})
	b := take(t, s, ledger.NamedStream("backfill/set/run"))
	seqs := []*pipeline.Sample{sequenceOf(t, "aaaaaaaaaaaaaaaaaaaaaaaa-seq", sampleOf("x", 0)), sequenceOf(t, seqKey, sampleOf("y", 0), sampleOf("x", 1))}
	commit(t, b, ledger.Entry{To: 12,
		Shards: []ledger.Shard{upload(t, t.TempDir(), s, b, seqs, 3, 10, 12)},
		Outcomes: []ledger.Outcome{
			{Offset: 10, ID: "x", Dataset: "set", Status: ledger.OK, Samples: 2},
			{Offset: 11, ID: "y", Dataset: "set", Status: ledger.OK, Samples: 1},
		}})
	return s
}

func ask(t *testing.T, s store.Store, what string, o Options) *Answer {
	t.Helper()
	o.Open = open(s)
	a, err := Explain(t.Context(), store.Plain{Store: s}, what, o)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return a
}

func TestFates(t *testing.T) {
	s := dataset(t)
	for _, c := range []struct {
		what   string
		by     string
		status ledger.Status
		says   string // in what it means
	}{
		{"c1/ingest/3/10", ByOffset, ledger.OK, "2 samples"},
		{"ingest/3/10", ByOffset, ledger.OK, "2 samples"},
		{kafka.Path() + "/10", ByOffset, ledger.OK, "2 samples"},
		{"ingest/3/11", ByOffset, ledger.DupOf, "explain c1/ingest/3/10"},
		{"ingest/3/12", ByOffset, ledger.Quarantined, "put it there or mend the URI"},
		{"ingest/3/13", ByOffset, ledger.None, "nothing"},
		{"ingest/3/14", ByOffset, Skipped, "transaction's marker"},
		{"ingest/3/15", ByOffset, Skipped, "offsets 14 to 15"},
		{"ingest/3/9", ByOffset, BeforeHead, "begins at offset 10"},
		{"ingest/3/17", ByOffset, NotYet, "ends at offset 17"},
		{"backfill/set/run/11", ByOffset, ledger.OK, "1 samples"},
		{"bad", ByID, ledger.Quarantined, "send it again"},
		{"dir/3/12", ByID, ledger.OK, "1 samples"}, // it looks like an offset, but there is no such stream
		{sampleOf("a", 1).Key, ByKey, ledger.OK, "2 samples"},
	} {
		a := ask(t, s, c.what, Options{})
		if a.By != c.by || !a.Found || len(a.Fates) == 0 {
			t.Errorf("%s: by %q, found %v, %d fates: %s", c.what, a.By, a.Found, len(a.Fates), a.Note)
			continue
		}
		if f := a.Fates[0]; f.Status != c.status || !strings.Contains(f.Means, c.says) {
			t.Errorf("%s: %s, %q; want %s with %q", c.what, f.Status, f.Means, c.status, c.says)
		}
	}
}

func TestUnknown(t *testing.T) {
	s := dataset(t)
	for what, o := range map[string]Options{
		"nobody":                              {},
		"ingest/4/10":                         {By: ByOffset},
		"ingest/3/ten":                        {By: ByOffset},
		sampleOf("nobody", 0).Key:             {},
		sampleOf("a", 7).Key:                  {}, // the job is here, but has no such sample
		"ffffffffffffffffffffffff-seq":        {},
		"c1/ingest/3/10":                      {By: ByID},
		"ingest/3/99999999999999999999999999": {},
	} {
		if a := ask(t, s, what, o); a.Found || a.Note == "" {
			t.Errorf("%s is found, or there is no word why not: %+v", what, a)
		}
	}
	if _, err := Explain(t.Context(), store.Plain{Store: s}, "", Options{}); err == nil {
		t.Error("an empty question has an answer")
	}
}

// What a record says is all in the answer.
func TestFateOfASample(t *testing.T) {
	s := dataset(t)
	a := ask(t, s, "a", Options{Samples: true})
	if len(a.Fates) != 2 {
		t.Fatalf("a message and its repeat have %d fates", len(a.Fates))
	}
	f := a.Fates[0]
	if f.Record == nil || f.Record.Seq != 2 || f.Record.Epoch != 1 || f.Record.From != 10 || f.Record.To != 16 || f.Record.Writer == "" {
		t.Errorf("the record is %+v", f.Record)
	}
	if len(f.Sources) != 1 || f.Sources[0].Version != "v7" || len(f.Recipes) != 1 || f.Recipes[0] != recipe {
		t.Errorf("sources %+v, recipes %q", f.Sources, f.Recipes)
	}
	if len(f.Shards) != 1 || len(f.Shards[0].Holds) != 2 || f.Shards[0].Holds[1].Key != sampleOf("a", 1).Key || len(f.Shards[0].Holds[1].Fields) != 2 ||
		f.Shards[0].Holds[1].Fields[1] != (Field{"txt", 5}) {
		t.Errorf("shards %+v", f.Shards)
	}
	if f.Snapshots == nil || *f.Snapshots != (Snapshots{0, 0}) {
		t.Errorf("snapshots %+v", f.Snapshots)
	}
	if late := ask(t, s, "p0", Options{}).Fates[0]; late.Snapshots != nil || late.Shards[0].Read {
		t.Errorf("what is in no snapshot is in %+v, and its shards were read: %v", late.Snapshots, late.Shards[0].Read)
	}
	for n := range int64(3) { // snapshots 1 to 3; p0 is in all of them
		c := take(t, s, kafka)
		commit(t, c, ledger.Entry{To: 18 + n, Outcomes: []ledger.Outcome{{Offset: 17 + n, Status: ledger.None}}})
		if _, err := ledger.Publish(t.Context(), store.Plain{Store: s}); err != nil {
			t.Fatal(err)
		}
	}
	for what, want := range map[string]Snapshots{"a": {0, 3}, "p0": {1, 3}, "ingest/3/18": {2, 3}, "ingest/3/19": {3, 3}} {
		if got := ask(t, s, what, Options{}).Fates[0].Snapshots; got == nil || *got != want {
			t.Errorf("%s is in snapshots %+v, want %+v", what, got, want)
		}
	}
}

// A sample that was packed is found in its sequence, and a sequence leads to the jobs of
// its members.
func TestSequences(t *testing.T) {
	s := dataset(t)
	a := ask(t, s, sampleOf("x", 1).Key, Options{})
	if !a.Found || len(a.Fates) != 1 || len(a.Fates[0].Shards) != 1 || len(a.Fates[0].Shards[0].Holds) != 1 {
		t.Fatalf("%+v", a)
	}
	if h := a.Fates[0].Shards[0].Holds[0]; h.Sequence != seqKey || h.Place != 1 || h.Key != sampleOf("x", 1).Key {
		t.Errorf("it is found as %+v", h)
	}
	a = ask(t, s, seqKey, Options{})
	if !a.Found || len(a.Fates) != 2 || a.Fates[0].ID != "x" || a.Fates[1].ID != "y" {
		t.Fatalf("the jobs of the sequence are %+v", a)
	}
	for i, want := range []Sample{{Key: sampleOf("x", 1).Key, Place: 1}, {Key: sampleOf("y", 0).Key, Place: 0}} {
		if h := a.Fates[i].Shards[0].Holds; len(h) != 1 || h[0].Key != want.Key || h[0].Place != want.Place || h[0].Sequence != seqKey {
			t.Errorf("of job %s it holds %+v", a.Fates[i].ID, h)
		}
	}
}

// A shard that is gone or damaged is named; the rest of the answer stands.
func TestExplainDamage(t *testing.T) {
	s := dataset(t)
	sh := ask(t, s, "a", Options{}).Fates[0].Shards[0]
	if err := s.Delete(t.Context(), sh.Key); err != nil {
		t.Fatal(err)
	}
	a := ask(t, s, sampleOf("a", 0).Key, Options{})
	if a.Found || len(a.Fates) != 2 || !strings.Contains(a.Fates[0].Shards[0].Fault, "no such object") {
		t.Errorf("%+v", a)
	}
	seq := ask(t, s, seqKey, Options{}).Fates[0].Shards[0]
	if err := s.Put(t.Context(), seq.Key, store.BytesBody([]byte("not a tar at all"))); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, s, seqKey, Options{}); a.Found || !strings.Contains(a.Note, "could not be read") {
		t.Errorf("%+v", a)
	}
}
