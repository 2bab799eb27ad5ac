package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

func sweep(t fataler, s store.Store, o SweepOptions) *Swept {
	t.Helper()
	swept, err := Sweep(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return swept
}

// objects are the keys of all that is in a store.
func objects(t fataler, s store.Store) []string {
	t.Helper()
	var all []string
	for info, err := range s.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

func verdicts(s *Swept) string {
	var all []string
	for _, o := range s.Orphans {
		all = append(all, string(o.Verdict)+filepath.Ext(o.Key))
	}
	return strings.Join(all, " ")
}

// A writer that died between upload and record, and one that lives between the two: on
// each kind of store.
func TestSweep(t *testing.T) {
	t.Run("memory", func(t *testing.T) { sweepLife(t, store.NewMemory()) })
	t.Run("folder", func(t *testing.T) {
		s, err := store.OpenDir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		sweepLife(t, s)
	})
	t.Run("versitygw", func(t *testing.T) { sweepLife(t, s3test.Start(t).Open(t)) })
}

func sweepLife(t *testing.T, s store.Store) {
	dir := t.TempDir()
	later := SweepOptions{MinAge: 24 * time.Hour, Now: func() time.Time { return time.Now().Add(25 * time.Hour) }}
	dead := take(t, s, kafka)
	upload(t, dir, s, dead, []*pipeline.Sample{sampleOf("a", 0)}, 0, 10, 11)
	if got := verdicts(sweep(t, s, later)); got != "open.tar open.idx" {
		t.Fatalf("of the current epoch: %s", got)
	}
	alive := take(t, s, kafka)
	held := upload(t, dir, s, alive, []*pipeline.Sample{sampleOf("a", 0)}, 0, 10, 11)
	before := objects(t, s)
	if got := verdicts(sweep(t, s, SweepOptions{MinAge: 24 * time.Hour})); got != "young.tar young.idx open.tar open.idx" {
		t.Errorf("within the age: %s", got)
	}
	dry := later
	dry.DryRun = true
	swept := sweep(t, s, dry)
	if got := verdicts(swept); got != "deletable.tar deletable.idx open.tar open.idx" {
		t.Errorf("a dry run: %s", got)
	}
	if n, bytes := swept.Sum(Deletable); n != 2 || bytes <= held.Bytes {
		t.Errorf("a dry run counts %d objects of %d bytes", n, bytes)
	}
	if !slices.Equal(objects(t, s), before) {
		t.Error("one that was to delete nothing did")
	}
	if got := verdicts(sweep(t, s, later)); got != "deleted.tar deleted.idx open.tar open.idx" {
		t.Errorf("a sweep: %s", got)
	}
	if got := verdicts(sweep(t, s, later)); got != "open.tar open.idx" {
		t.Errorf("the next sweep: %s", got)
	}
	commit(t, alive, ledger.Entry{To: 11, Shards: []ledger.Shard{held}, Outcomes: []ledger.Outcome{{Offset: 10, ID: "a", Dataset: "set", Status: ledger.OK, Samples: 1}}})
	take(t, s, kafka)
	if got := verdicts(sweep(t, s, later)); got != "" {
		t.Errorf("once all is named: %s", got)
	}
	holds(t, s, []string{sampleOf("a", 0).Key})
}

// holds fails unless the ledger holds, deeply, and all of the samples can be read.
func holds(t fataler, s store.Store, want []string) {
	t.Helper()
	r, err := ledger.Verify(context.Background(), store.Plain{Store: s}, ledger.VerifyOptions{Deep: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Fatal("the ledger does not hold: ", r.Faults)
	}
	if got := keys(t, s); !slices.Equal(got, want) {
		t.Fatal(fmt.Sprintf("%d samples can be read, want %d", len(got), len(want)))
	}
}

// Writers take two streams from each other, upload, commit, die and wake late, in any
// order, with sweeps in between. No sweep takes what a record names, or what one that is
// still allowed to will name; and in the end nothing is left of epochs that are over.
func TestSweepAmongWriters(t *testing.T) {
	dir := t.TempDir()
	streams := []ledger.Stream{kafka, ledger.NamedStream("backfill/set/run")}
	rapid.Check(t, func(t *rapid.T) {
		s := store.NewMemory()
		var writers []*writer
		var named []string
		jobs := 0
		for range rapid.IntRange(5, 30).Draw(t, "steps") {
			switch act := rapid.SampledFrom([]string{"take", "upload", "upload", "commit", "commit", "sweep", "dry"}).Draw(t, "act"); {
			case act == "take" || len(writers) == 0:
				writers = append(writers, &writer{chain: take(t, s, rapid.SampledFrom(streams).Draw(t, "stream"))})
			case act == "upload":
				jobs++
				rapid.SampledFrom(writers).Draw(t, "writer").upload(t, dir, s, fmt.Sprint("job", jobs))
			case act == "commit":
				named = append(named, rapid.SampledFrom(writers).Draw(t, "writer").commit(t)...)
			default:
				sweep(t, s, SweepOptions{DryRun: act == "dry"})
				slices.Sort(named)
				holds(t, s, named)
			}
		}
		for _, stream := range streams {
			take(t, s, stream)
		}
		for _, o := range sweep(t, s, SweepOptions{}).Orphans {
			if o.Verdict != Deleted {
				t.Fatal("left after all epochs are over: ", o)
			}
		}
		slices.Sort(named)
		holds(t, s, named)
		if left := sweep(t, s, SweepOptions{}).Orphans; len(left) > 0 {
			t.Fatal("a second sweep finds ", left)
		}
	})
}

// writer is one that may have lost its stream without knowing.
type writer struct {
	chain  *ledger.Chain
	shards []ledger.Shard
	ids    []string
}

func (w *writer) upload(t fataler, dir string, s store.Store, id string) {
	t.Helper()
	at := w.chain.Next() + int64(len(w.ids))
	w.shards = append(w.shards, upload(t, dir, s, w.chain, []*pipeline.Sample{sampleOf(id, 0), sampleOf(id, 1)}, 0, at, at+1))
	w.ids = append(w.ids, id)
}

// commit gives the keys of the samples that were committed: none if the stream was lost.
func (w *writer) commit(t fataler) []string {
	t.Helper()
	if len(w.ids) == 0 || w.chain.Err() != nil {
		return nil
	}
	from := w.chain.Next()
	e := ledger.Entry{To: from + int64(len(w.ids)), Shards: w.shards}
	var named []string
	for i, id := range w.ids {
		e.Outcomes = append(e.Outcomes, ledger.Outcome{Offset: from + int64(i), ID: id, Dataset: "set", Status: ledger.OK, Samples: 2})
		named = append(named, sampleOf(id, 0).Key, sampleOf(id, 1).Key)
	}
	err := w.chain.Commit(context.Background(), e)
	if errors.Is(err, ledger.ErrFenced) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	w.shards, w.ids = nil, nil
	return named
}

// A chain that is broken, or read short, proves nothing: nothing of the stream is deleted
// that its later records name.
func TestSweepOfABrokenChain(t *testing.T) {
	for name, damage := range map[string]func(s store.Store, key string) error{
		"missing": func(s store.Store, key string) error { return s.Delete(context.Background(), key) },
		"garbled": func(s store.Store, key string) error {
			return s.Put(context.Background(), key, store.BytesBody([]byte("{}")))
		},
	} {
		s := store.NewMemory()
		var named []string
		for i := range 6 {
			w := &writer{chain: take(t, s, kafka)}
			w.upload(t, t.TempDir(), s, fmt.Sprint("job", i))
			named = append(named, w.shards[0].Key)
			w.commit(t)
		}
		for seq := range int64(12) {
			copied := store.NewMemory()
			for _, key := range objects(t, s) {
				put(t, copied, key, s)
			}
			if err := damage(copied, ledger.RecordKey(kafka, seq)); err != nil {
				t.Fatal(err)
			}
			_, err := Sweep(t.Context(), copied, SweepOptions{})
			if name == "garbled" && err == nil {
				t.Errorf("record %d is garbled, and a sweep goes on", seq)
			}
			for _, key := range named {
				if _, err := copied.Stat(t.Context(), key); err != nil {
					t.Errorf("record %d is %s, and a sweep took a shard that a record names: %v", seq, name, err)
				}
			}
		}
	}
}

func put(t testing.TB, to store.Store, key string, from store.Store) {
	t.Helper()
	rc, info, err := from.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data := make([]byte, info.Size)
	if _, err := io.ReadFull(rc, data); err != nil {
		t.Fatal(err)
	}
	if err := to.Put(t.Context(), key, store.BytesBody(data)); err != nil {
		t.Fatal(err)
	}
}

// A sweep that the store stops says what it did before.
func TestSweepBrokenOff(t *testing.T) {
	m := store.NewMemory()
	w := take(t, m, kafka)
	for i := range 4 {
		upload(t, t.TempDir(), m, w, []*pipeline.Sample{sampleOf("a", int64(i))}, 0, 10, 11)
	}
	take(t, m, kafka)
	n := len(objects(t, m))
	s := denying{m, ".idx"}
	swept, err := Sweep(t.Context(), s, SweepOptions{})
	if !errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), ".tar.idx") {
		t.Fatalf("the error is %v", err)
	}
	gone, _ := swept.Sum(Deleted)
	if len(swept.Orphans) != 8 || len(objects(t, m)) != n-gone {
		t.Errorf("%d of %d objects are said to be gone; %d are left of %d", gone, len(swept.Orphans), len(objects(t, m)), n)
	}
}

// denying refuses to delete what has an ending.
type denying struct {
	store.Store
	ending string
}

func (d denying) Delete(ctx context.Context, key string) error {
	if strings.HasSuffix(key, d.ending) {
		return &store.Error{Op: "delete", Key: key, Kind: store.ErrDenied}
	}
	return d.Store.Delete(ctx, key)
}

// A shard's index, which is written first, is not deleted before the shard is old enough.
func TestSidecarsWaitForTheirShard(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	orphans := []Orphan{
		{Key: "data/s/1/A.tar", Modified: now.Add(-59 * time.Minute), Verdict: Deletable},
		{Key: "data/s/1/A.tar.idx", Modified: now.Add(-61 * time.Minute), Verdict: Deletable},
		{Key: "data/s/1/B.tar.idx", Modified: now.Add(-61 * time.Minute), Verdict: Deletable},
		{Key: "data/s/1/C.outcomes.json", Modified: now.Add(-61 * time.Minute), Verdict: Open},
	}
	judge(orphans, SweepOptions{MinAge: time.Hour, Now: func() time.Time { return now }})
	for i, want := range []Verdict{Young, Young, Deletable, Open} {
		if orphans[i].Verdict != want {
			t.Errorf("%s is %s, want %s", orphans[i].Key, orphans[i].Verdict, want)
		}
	}
}
