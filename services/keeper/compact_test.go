package keeper

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// formatRecipe is the recipe of test shards: each format, once.
func formatRecipe() *pipeline.Recipe {
	r := &pipeline.Recipe{Dataset: "set", Digest: recipe}
	for _, f := range shard.Formats() {
		r.Outputs = append(r.Outputs, pipeline.Output{Format: f})
	}
	return r
}

func recipesOf(r *pipeline.Recipe) Recipes {
	return func(_ context.Context, digest string) (*pipeline.Recipe, error) {
		if digest != r.Digest {
			return nil, fmt.Errorf("no recipe %s", digest)
		}
		return r, nil
	}
}

// uploadAs is upload in any format. Keys of shards are the chain's.
func uploadAs(t fataler, dir string, s store.Store, c *ledger.Chain, format string, samples []*pipeline.Sample, from, to int64) ledger.Shard {
	t.Helper()
	w := &rewriter{s: s, dir: dir, keep: everything}
	ts := &targets{w: w, like: ledger.Shard{Dataset: "set", Recipe: recipe, Format: format}, open: map[string]*target{}}
	defer ts.abort()
	for _, sm := range samples {
		if err := ts.add(sm); err != nil {
			t.Fatal(err)
		}
	}
	if err := ts.sealAll(); err != nil {
		t.Fatal(err)
	}
	if len(ts.done) != 1 {
		t.Fatal(fmt.Sprintf("%d shards of samples that are alike", len(ts.done)))
	}
	_, ext, _ := strings.Cut(ts.done[0].Name, ".")
	ts.done[0].Name, w.prefix = c.ShardKey(ext), ""
	written, err := ts.upload(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	written[0].From, written[0].To = from, to
	return written[0]
}

// view is what a loader sees of a dataset at a snapshot (nil: now): per format, the
// samples' keys in order, and each sample's digest.
type view struct {
	order map[string][]string
	sums  map[string]string // by format and key
}

func look(t fataler, s store.Store, snap *ledger.Snapshot) view {
	t.Helper()
	v := view{map[string][]string{}, map[string]string{}}
	ctx := context.Background()
	for sh, err := range ledger.Shards(ctx, store.Plain{Store: s}, snap, "set") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := open(s)(ctx, sh)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for ; ; n++ {
			x, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			var sm pipeline.Sample
			if err == nil {
				err = shard.ReadSample(r, x, &sm, shard.DefaultLimits())
			}
			if err != nil {
				t.Fatal(sh.Key, err)
			}
			id := sh.Format + " " + sm.Key
			if _, twice := v.sums[id]; twice {
				t.Fatal("twice: ", id)
			}
			v.order[sh.Format] = append(v.order[sh.Format], sm.Key)
			v.sums[id] = sum(&sm)
		}
		if n != sh.Samples {
			t.Fatal(sh.Key, " holds ", n, " samples, and says ", sh.Samples)
		}
	}
	return v
}

// sum is over a sample's fields, in the order of their names: formats have one of their own.
func sum(s *pipeline.Sample) string {
	h := sha256.New()
	for _, f := range slices.SortedFunc(slices.Values(s.Fields), func(a, b pipeline.Field) int { return strings.Compare(a.Name, b.Name) }) {
		fmt.Fprintf(h, "%s %d:", f.Name, len(f.Data))
		h.Write(f.Data)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func same(t fataler, what string, got, want view) {
	t.Helper()
	if !maps.Equal(got.sums, want.sums) {
		t.Fatal(fmt.Sprintf("%s: %d samples, want %d, or others", what, len(got.sums), len(want.sums)))
	}
}

// rich is a sample with a text and an array, so that columns matter; some have no text.
func rich(id string, n int64) *pipeline.Sample {
	s := sampleOf(id, n)
	s.Fields[0].Data = fmt.Appendf(nil, `{"key":%q,"dataset":"set","id":%q,"provenance":{"licence":"L%d"}}`, s.Key, id, len(id)%2)
	s.Fields[1].Data = []byte(strings.Repeat(id, 20))
	a := patch.Array{DType: "uint8", Shape: []int{2, 3}, Data: []byte{1, 2, 3, byte(n), 5, 6}}
	s.Fields = append(s.Fields, pipeline.Field{Name: "vit.patches.npy", Data: patch.AppendNPY(nil, a)})
	return s
}

// fleet commits one small shard of each format a record, on two streams, and gives the
// ids of the jobs.
func fleet(t fataler, dir string, s store.Store, records int) (ids []string) {
	t.Helper()
	for _, stream := range []ledger.Stream{kafka, ledger.KafkaStream("c1", "ingest", 4)} {
		c := take(t, s, stream)
		for range records {
			id := fmt.Sprint("job", len(ids))
			ids = append(ids, id)
			samples := []*pipeline.Sample{rich(id, 0), rich(id, 1)}
			at := c.Next()
			var shards []ledger.Shard
			for _, f := range shard.Formats() {
				shards = append(shards, uploadAs(t, dir, s, c, f, samples, at, at+1))
			}
			commit(t, c, ledger.Entry{To: at + 1, Shards: shards, Outcomes: []ledger.Outcome{{Offset: at, ID: id, Dataset: "set", Status: ledger.OK, Samples: 2,
				Sources: []ledger.Source{{URI: "s3://b/" + id + ".mp4", Bytes: 1}}}}})
		}
	}
	return ids
}

func compactOptions(dir string) CompactOptions {
	return CompactOptions{Dataset: "set", Below: 64 << 20, Target: 256 << 20, Dir: dir, Recipes: recipesOf(formatRecipe())}
}

// Small shards of all formats become one of each; nothing else changes, and what there was
// can be read as before.
func TestCompact(t *testing.T) {
	s, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, s, 5)
	before := look(t, s, nil)
	old, err := ledger.Publish(t.Context(), store.Plain{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	dry := compactOptions(dir)
	dry.DryRun = true
	objects0 := objects(t, s)
	c, err := Compact(t.Context(), s, dry)
	if err != nil || c.Merged != 30 || c.Into != 3 || c.Snapshot != -1 || !slices.Equal(objects(t, s), objects0) {
		t.Fatalf("a dry run: %+v, %v", c, err)
	}
	steps := 0
	o := compactOptions(dir)
	o.Progress = func(st Step) {
		if steps++; st.Done != steps || st.Of != 30 {
			t.Errorf("step %d is %+v", steps, st)
		}
	}
	c, err = Compact(t.Context(), s, o)
	if err != nil || c.Merged != 30 || c.Into != 3 || c.Samples != 60 || c.Snapshot != old.N+1 || steps != 30 {
		t.Fatalf("%+v after %d steps, %v", c, steps, err)
	}
	after := look(t, s, nil)
	same(t, "after", after, before)
	same(t, "the snapshot before", look(t, s, old), before)
	for f, order := range after.order {
		if !slices.Equal(order, before.order[f]) {
			t.Errorf("%s: the order is %q, and was %q", f, order, before.order[f])
		}
	}
	if _, err := s.Stat(t.Context(), tarOf(t, s)+shard.TarIndexSuffix); err != nil {
		t.Errorf("the merged tar has no index beside it: %v", err)
	}
	c, err = Compact(t.Context(), s, compactOptions(dir))
	if err != nil || c.Merged != 0 || c.Snapshot != -1 {
		t.Errorf("once more: %+v, %v", c, err)
	}
	if left, err := SweepEdited(t.Context(), s, SweepOptions{}); err != nil || len(left) != 0 {
		t.Errorf("a compaction leaves %v, %v", left, err)
	}
}

func tarOf(t fataler, s store.Store) string {
	t.Helper()
	for sh, err := range ledger.Shards(context.Background(), store.Plain{Store: s}, nil, "set") {
		if err == nil && sh.Format == shard.WebDataset {
			return sh.Key
		}
	}
	t.Fatal("there is no tar")
	return ""
}

// A merged tar is the members of those before, byte for byte, one after the other.
func TestCompactCopiesMembers(t *testing.T) {
	s, dir := store.NewMemory(), t.TempDir()
	c := take(t, s, kafka)
	var want []byte
	for i := range int64(4) {
		sh := uploadAs(t, dir, s, c, shard.WebDataset, []*pipeline.Sample{rich("a", 2*i), rich("a", 2*i+1)}, 10+i, 11+i)
		data := bytesOf(t, s, sh.Key)
		want = append(want, data[:len(data)-1024]...)
		commit(t, c, ledger.Entry{To: 11 + i, Shards: []ledger.Shard{sh}, Outcomes: []ledger.Outcome{{Offset: 10 + i, ID: "a", Dataset: "set", Status: ledger.OK, Samples: 2}}})
	}
	if _, err := Compact(t.Context(), s, compactOptions(dir)); err != nil {
		t.Fatal(err)
	}
	if got := bytesOf(t, s, tarOf(t, s)); string(got) != string(want)+strings.Repeat("\x00", 1024) {
		t.Errorf("the merged tar has %d bytes, its members had %d, or others", len(got), len(want))
	}
}

func bytesOf(t fataler, s store.Store, key string) []byte {
	t.Helper()
	rc, _, err := s.Get(context.Background(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Any shards in any order fill bins that are alike, within the target, of two or more, and
// what is left over of a kind is never more than one.
func TestFill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		below := rapid.Int64Range(1, 100).Draw(t, "below")
		target := 2*below + rapid.Int64Range(0, 100).Draw(t, "more")
		var shards []ledger.Shard
		for i := range rapid.IntRange(0, 60).Draw(t, "shards") {
			shards = append(shards, ledger.Shard{Key: fmt.Sprint("data/s/1/", i, rapid.SampledFrom([]string{".tar", ".mds", ".mds.zstd"}).Draw(t, "ext")),
				Bytes: rapid.Int64Range(1, 2*below).Draw(t, "bytes"), Members: rapid.Int64Range(0, 1).Draw(t, "members")})
		}
		binned := map[string]bool{}
		for _, b := range fill(shards, below, target) {
			size := int64(0)
			for _, sh := range b {
				if binned[sh.Key] || sh.Bytes >= below || likeness(sh) != likeness(b[0]) {
					t.Fatal("in a bin: ", sh)
				}
				binned[sh.Key] = true
				size += sh.Bytes
			}
			if len(b) < 2 || size > target {
				t.Fatal("a bin of ", len(b), " shards and ", size, " bytes")
			}
		}
		alone := map[alike]int{}
		for _, sh := range shards {
			if sh.Bytes < below && !binned[sh.Key] {
				if alone[likeness(sh)]++; alone[likeness(sh)] > 1 {
					t.Fatal("two that could be together are alone")
				}
			}
		}
	})
}

// A compaction that dies at any request changes nothing for readers; what it leaves is
// cleared, and the next one does it all.
func TestCompactDiesAnywhere(t *testing.T) {
	dir := t.TempDir()
	calls := 0
	for at := 1; ; at++ {
		m := store.NewMemory()
		fleet(t, dir, m, 2)
		before := look(t, m, nil)
		died := errors.New("died")
		n := 0
		dead := store.NewFaulty(m, func(op, key string, call int) store.Fault {
			if n = call; call >= at {
				return store.Fault{Before: &store.Error{Op: op, Key: key, Kind: store.ErrDenied, Err: died}}
			}
			return store.Fault{}
		})
		_, err := Compact(t.Context(), dead, compactOptions(dir))
		if err == nil {
			calls = n
			break
		}
		same(t, fmt.Sprint("dead at call ", at), look(t, m, nil), before)
		if _, err := SweepEdited(t.Context(), m, SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("swept after a death at call ", at), look(t, m, nil), before)
		if _, err := Compact(t.Context(), m, compactOptions(dir)); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("compacted after a death at call ", at), look(t, m, nil), before)
		if _, err := SweepEdited(t.Context(), m, SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, key := range objects(t, m) {
			if id := attemptOf(key); id != "" && !strings.HasSuffix(key, claimName) && !namedByEdit(t, m, key) {
				t.Fatalf("left of a death at call %d: %s", at, key)
			}
		}
	}
	if calls < 20 {
		t.Errorf("a compaction takes %d requests; want one that can die in many places", calls)
	}
}

func namedByEdit(t fataler, s store.Store, key string) bool {
	t.Helper()
	for sh, err := range ledger.Shards(context.Background(), store.Plain{Store: s}, nil, "") {
		if err != nil {
			t.Fatal(err)
		}
		if sh.Key == key || sh.Key == shardOf(key) {
			return true
		}
	}
	return false
}

// A process that slept with its claim made, or about to make it, while a sweep came by:
// what lands is whole, and what was swept can not land.
func TestSweepEditedBesideALivingCompaction(t *testing.T) {
	for name, stopAt := range map[string]string{"before its claim": claimName, "before its snapshot": "_snap/00000000000000000001"} {
		t.Run(name, func(t *testing.T) {
			m, dir := store.NewMemory(), t.TempDir()
			fleet(t, dir, m, 2)
			before := look(t, m, nil)
			swept := false
			slow := store.NewFaulty(m, func(op, key string, _ int) store.Fault {
				if op == "create" && strings.HasSuffix(key, stopAt) && !swept {
					swept = true
					if _, err := SweepEdited(context.Background(), m, SweepOptions{}); err != nil {
						t.Error(err)
					}
				}
				return store.Fault{}
			})
			c, err := Compact(t.Context(), slow, compactOptions(dir))
			if err != nil || !swept || c.Merged != 12 {
				t.Fatalf("%+v, swept %v, %v", c, swept, err)
			}
			if again := stopAt == claimName; (c.Again > 0) != again {
				t.Errorf("it had to begin again %d times", c.Again)
			}
			same(t, "after", look(t, m, nil), before)
		})
	}
}

// Two compactions at the same time: each shard is replaced once.
func TestCompactRace(t *testing.T) {
	m, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, m, 3)
	before := look(t, m, nil)
	nested := false
	slow := store.NewFaulty(m, func(op, key string, _ int) store.Fault {
		if op == "create" && strings.HasSuffix(key, claimName) && !nested {
			nested = true
			if _, err := Compact(context.Background(), m, compactOptions(dir)); err != nil {
				t.Error(err)
			}
		}
		return store.Fault{}
	})
	c, err := Compact(t.Context(), slow, compactOptions(dir))
	if err != nil || c.Again != 1 || c.Merged != 0 {
		t.Fatalf("the one that came second: %+v, %v", c, err)
	}
	same(t, "after", look(t, m, nil), before)
	if left, err := SweepEdited(t.Context(), m, SweepOptions{}); err != nil || len(left) != 4 {
		t.Errorf("of the second, left are %v, %v", left, err)
	}
	same(t, "swept", look(t, m, nil), before)
}
