package keeper

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// What was merged is found where it is now, and what was taken down is told with its
// reason; both know the snapshot.
func TestExplainFollowsEdits(t *testing.T) {
	s, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, s, 3) // job0 to job5
	if _, err := ledger.Publish(t.Context(), store.Plain{Store: s}); err != nil {
		t.Fatal(err)
	}
	if _, err := Compact(t.Context(), s, compactOptions(dir)); err != nil { // snapshot 1
		t.Fatal(err)
	}
	key := rich("job1", 1).Key
	for what, holds := range map[string]int{"job1": 2, key: 1, "ingest/3/11": 2} {
		a := ask(t, s, what, Options{Samples: true})
		if !a.Found || len(a.Fates) != 1 || len(a.Fates[0].Shards) != 6 {
			t.Fatalf("%s: %+v", what, a)
		}
		for i, sh := range a.Fates[0].Shards {
			switch merged := strings.HasPrefix(sh.Key, ledger.EditedPrefix); {
			case merged != (i >= 3), merged && (len(sh.Holds) != holds || sh.Gone != nil), !merged && (sh.Read || sh.Gone == nil):
				t.Errorf("%s: shard %d is %+v", what, i, sh)
			case !merged && (sh.Gone.Kind != ledger.Compact || sh.Gone.Snapshot != 1 || len(sh.Gone.Became) != 1 || sh.Gone.Time.IsZero()):
				t.Errorf("%s: shard %d became %+v", what, i, sh.Gone)
			}
		}
	}
	if _, err := Takedown(t.Context(), s, takedownOptions(dir, Selection{IDs: []string{"job1"}})); err != nil { // snapshot 2
		t.Fatal(err)
	}
	if _, err := Forget(t.Context(), s, ForgetOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	f := ask(t, s, "job1", Options{}).Fates[0]
	if f.TakenDown == nil || f.TakenDown.Snapshot != 2 || !strings.Contains(f.TakenDown.Reason, "asked for") || !strings.Contains(f.Means, "asked for") ||
		f.Snapshots == nil || *f.Snapshots != (Snapshots{0, 1}) {
		t.Errorf("what was taken down: %+v, in snapshots %+v", f, f.Snapshots)
	}
	if a := ask(t, s, key, Options{}); a.Found || !strings.Contains(a.Note, "taken down") || !strings.Contains(a.Note, "asked for") {
		t.Errorf("a sample that was taken down: %+v", a)
	}
	if f := ask(t, s, "job2", Options{Samples: true}).Fates[0]; f.TakenDown != nil || len(f.Shards) != 9 || len(f.Shards[8].Holds) != 2 || *f.Snapshots != (Snapshots{0, 2}) {
		t.Errorf("one of the same shards that was not: %+v", f)
	}
}

// A sequence that a takedown has packed is in no record, and is found all the same; so are
// its members.
func TestExplainOfSequencesPackedAgain(t *testing.T) {
	pack := &pipeline.Pack{Tokens: "vit", Budget: 4096, Count: "patches", Multiple: 1, Mode: "first_fit"}
	s, dir := store.NewMemory(), t.TempDir()
	c := take(t, s, kafka)
	var outcomes []ledger.Outcome
	members := []*pipeline.Sample{tokened("a", 1, 2, false), tokened("b", 2, 2, false), tokened("c", 2, 1, false)}
	seq, err := pack.Join("set", recipe, members, []int{2, 4, 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"a", "b", "c"} {
		outcomes = append(outcomes, ledger.Outcome{Offset: 10 + int64(i), ID: id, Dataset: "set", Status: ledger.OK, Samples: 1})
	}
	commit(t, c, ledger.Entry{To: 13, Shards: []ledger.Shard{upload(t, dir, s, c, []*pipeline.Sample{seq}, 3, 10, 13)}, Outcomes: outcomes})
	r := formatRecipe()
	r.Outputs[0].Pack = pack
	o := takedownOptions(dir, Selection{IDs: []string{"b"}})
	o.Recipes = recipesOf(r)
	if _, err := Takedown(t.Context(), s, o); err != nil {
		t.Fatal(err)
	}
	again, err := pack.Join("set", recipe, []*pipeline.Sample{members[0], members[2]}, []int{2, 2})
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, s, again.Key, Options{})
	if !a.Found || len(a.Fates) != 2 || a.Fates[0].ID != "a" || a.Fates[1].ID != "c" {
		t.Fatalf("%+v", a)
	}
	for i, f := range a.Fates {
		if h := f.Shards[1].Holds; len(f.Shards) != 2 || len(h) != 1 || h[0].Place != i || h[0].Sequence != again.Key {
			t.Errorf("of job %s: %+v", f.ID, f.Shards)
		}
	}
	if a := ask(t, s, members[2].Key, Options{}); !a.Found || a.Fates[0].Shards[1].Holds[0].Sequence != again.Key {
		t.Errorf("a member: %+v", a)
	}
	if a := ask(t, s, members[1].Key, Options{}); a.Found || a.Fates[0].TakenDown == nil {
		t.Errorf("the member that was taken down: %+v", a)
	}
}

// counting counts requests.
type counting struct {
	store.Store
	n atomic.Int64
}

func (c *counting) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, store.Info, error) {
	c.n.Add(1)
	return c.Store.Get(ctx, key, off, n)
}

func (c *counting) Stat(ctx context.Context, key string) (store.Info, error) {
	c.n.Add(1)
	return c.Store.Stat(ctx, key)
}

func (c *counting) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	c.n.Add(1)
	return c.Store.List(ctx, prefix, after)
}

// longChain is a stream of n records of four jobs each, made by hand.
func longChain(t testing.TB, s store.Store, stream ledger.Stream, n int) {
	t.Helper()
	c := take(t, s, stream)
	for i := range n {
		var outcomes []ledger.Outcome
		for j := range 4 {
			outcomes = append(outcomes, ledger.Outcome{Offset: c.Next() + int64(j), ID: fmt.Sprintf("%s-%d-%d", stream.Path(), i, j), Dataset: "set", Status: ledger.OK})
		}
		commit(t, c, ledger.Entry{To: c.Next() + 4, Outcomes: outcomes})
	}
}

// A young id costs a few requests, however long the chains are; an old one each record
// once, and an id that is not there too. What is asked for more than once is given once,
// but for All.
func TestExplainCosts(t *testing.T) {
	m := store.NewMemory()
	other := ledger.KafkaStream("c1", "ingest", 4)
	const records = 1000
	longChain(t, m, kafka, records)
	longChain(t, m, other, records)
	c := take(t, m, other)
	commit(t, c, ledger.Entry{To: c.Next() + 1, Outcomes: []ledger.Outcome{{Offset: c.Next(), ID: kafka.Path() + "-998-1", Dataset: "set2", Status: ledger.OK}}})
	for what, most := range map[string]int64{
		kafka.Path() + "-999-3":                           300,
		jobPrefix("set", kafka.Path()+"-999-3") + "0-0-x": 300,
		kafka.Path() + "-0-0":                             2*records + 300,
		"no such id":                                      2*records + 300,
	} {
		s := &counting{Store: m}
		var last Searched
		a := ask(t, s, what, Options{Progress: func(x Searched) { last = x }})
		if want := what != "no such id"; (len(a.Fates) == 1) != want {
			t.Errorf("%s: %+v", what, a)
		}
		if n := s.n.Load(); n > most {
			t.Errorf("%s takes %d requests, want at most %d", what, n, most)
		}
		if last.Records < 1 || last.Records > last.Of {
			t.Errorf("%s: the search ends at %+v", what, last)
		}
	}
	twice := kafka.Path() + "-998-1"
	if a := ask(t, m, twice, Options{All: true}); len(a.Fates) != 2 || !slices.IsSortedFunc(a.Fates, func(a, b Fate) int { return strings.Compare(a.Stream, b.Stream) }) {
		t.Errorf("all of an id of two streams: %+v", a.Fates)
	}
	if a := ask(t, m, twice, Options{}); len(a.Fates) < 1 {
		t.Errorf("the first of them: %+v", a.Fates)
	}
}

// A repeat alone does not end a search: the job that it repeats is said too.
func TestExplainGoesBehindRepeats(t *testing.T) {
	s := store.NewMemory()
	c := take(t, s, kafka)
	of := int64(10)
	commit(t, c, ledger.Entry{To: 11, Outcomes: []ledger.Outcome{{Offset: 10, ID: "a", Dataset: "set", Status: ledger.Quarantined, Code: "decode.invalid", Stage: "decode"}}})
	commit(t, c, ledger.Entry{To: 12, Outcomes: []ledger.Outcome{{Offset: 11, ID: "b", Dataset: "set", Status: ledger.None}}})
	commit(t, c, ledger.Entry{To: 13, Outcomes: []ledger.Outcome{{Offset: 12, ID: "a", Dataset: "set", Status: ledger.DupOf, Of: &of}}})
	if a := ask(t, s, "a", Options{}); len(a.Fates) != 2 || a.Fates[0].Offset != 10 || a.Fates[1].Status != ledger.DupOf {
		t.Errorf("%+v", a)
	}
}

// BenchmarkExplain is what questions cost of 100,000 records in two streams.
func BenchmarkExplain(b *testing.B) {
	m := store.NewMemory()
	other := ledger.KafkaStream("c1", "ingest", 4)
	longChain(b, m, kafka, 50_000)
	longChain(b, m, other, 50_000)
	for name, what := range map[string]string{"young": kafka.Path() + "-49999-0", "old": kafka.Path() + "-0-0", "none": "no such id",
		"key of an old one": jobPrefix("set", kafka.Path()+"-0-0") + "0-0-x", "offset": "ingest/3/100000"} {
		b.Run(name, func(b *testing.B) {
			s := &counting{Store: m}
			for b.Loop() {
				if _, err := Explain(b.Context(), store.Plain{Store: s}, what, Options{Open: open(m)}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.n.Load())/float64(b.N), "requests")
		})
	}
}
