package keeper

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

func takedownOptions(dir string, sel Selection) TakedownOptions {
	return TakedownOptions{Dataset: "set", Selection: sel, Reason: "asked for", By: "me@here", Dir: dir, Recipes: recipesOf(formatRecipe())}
}

// without is a view less the samples of some jobs.
func without(v view, ids ...string) view {
	left := view{map[string][]string{}, map[string]string{}}
	for id, sum := range v.sums {
		_, key, _ := strings.Cut(id, " ")
		if !slices.ContainsFunc(ids, func(x string) bool { return strings.HasPrefix(key, jobPrefix("set", x)) }) {
			left.sums[id] = sum
		}
	}
	return left
}

// Jobs are taken down by id, by source and by licence, from shards as they were written,
// and from merged ones; what is left is as it was, and earlier snapshots are too.
func TestTakedown(t *testing.T) {
	for _, merged := range []bool{false, true} {
		t.Run(fmt.Sprint("merged ", merged), func(t *testing.T) {
			s, dir := store.NewMemory(), t.TempDir()
			ids := fleet(t, dir, s, 6) // job0 to job11; licences by the length of the id
			if merged {
				if _, err := Compact(t.Context(), s, compactOptions(dir)); err != nil {
					t.Fatal(err)
				}
			}
			before := look(t, s, nil)
			old, err := ledger.Publish(t.Context(), store.Plain{Store: s})
			if err != nil {
				t.Fatal(err)
			}
			takes := []struct {
				sel  Selection
				ids  []string
				want Counts
			}{
				{Selection{IDs: []string{"job1", "never"}}, []string{"job1"}, Counts{Jobs: 1, Samples: 6, Shards: 3, Written: map[bool]int{true: 3}[merged]}},
				{Selection{Sources: []string{"s3://b/job2.mp4", "s3://b/job3.mp*", "s3://b/job", "s3://c/"}}, []string{"job2", "job3"}, Counts{Jobs: 2, Samples: 12, Shards: map[bool]int{false: 6, true: 3}[merged], Written: map[bool]int{true: 3}[merged]}},
				{Selection{Licences: []string{"L1"}}, ids[10:], Counts{Jobs: 2, Samples: 12, Shards: map[bool]int{false: 6, true: 3}[merged], Written: map[bool]int{true: 3}[merged]}},
				{Selection{IDs: []string{"job1"}}, nil, Counts{}},
			}
			want, edits := before, len(old.Edits)
			for _, x := range takes {
				d, err := Takedown(t.Context(), s, takedownOptions(dir, x.sel))
				if err != nil {
					t.Fatal(err)
				}
				if d.Counts != x.want {
					t.Errorf("%+v: %+v, want %+v", x.sel, d.Counts, x.want)
				}
				want = without(want, x.ids...)
				same(t, fmt.Sprintf("%+v", x.sel), look(t, s, nil), want)
			}
			same(t, "the snapshot before", look(t, s, old), before)
			c := take(t, s, kafka) // later records come on top; nothing comes back
			at := c.Next()
			commit(t, c, ledger.Entry{To: at + 1, Shards: []ledger.Shard{uploadAs(t, dir, s, c, shard.MDS, []*pipeline.Sample{rich("new", 0)}, at, at+1)},
				Outcomes: []ledger.Outcome{{Offset: at, ID: "new", Dataset: "set", Status: ledger.OK, Samples: 1}}})
			snap, err := ledger.Publish(t.Context(), store.Plain{Store: s})
			if err != nil || len(snap.Edits) != edits+3 {
				t.Fatalf("the next snapshot has %d edits, want 3 more than %d; %v", len(snap.Edits), edits, err)
			}
			if got := look(t, s, snap); len(got.sums) != len(want.sums)+1 {
				t.Errorf("the next snapshot has %d samples, want one more than %d", len(got.sums), len(want.sums))
			}
			deeds(t, s)
		})
	}
}

// deeds fails unless the four takedowns are on record, without an id.
func deeds(t *testing.T, s store.Store) {
	t.Helper()
	list, err := Deeds(t.Context(), s, "set")
	if err != nil || len(list) != 4 {
		t.Fatalf("%d deeds, %v", len(list), err)
	}
	d := list[0]
	if d.IDs != 2 || len(d.IDsSHA256) != 64 || d.Reason != "asked for" || d.By != "me@here" || d.Done.IsZero() || d.Jobs != 1 || d.Snapshot < 0 {
		t.Errorf("the first is %+v", d)
	}
	if list[3].Snapshot != -1 || list[3].Done.IsZero() {
		t.Errorf("one that took nothing is %+v", list[3])
	}
	for _, key := range objects(t, s) {
		if strings.HasPrefix(key, deedPrefix) && strings.Contains(string(bytesOf(t, s, key)), "job1\"") {
			t.Errorf("%s tells an id", key)
		}
	}
	if none, err := Deeds(t.Context(), s, "other"); err != nil || len(none) != 0 {
		t.Errorf("of another dataset: %v, %v", none, err)
	}
}

func TestTakedownUse(t *testing.T) {
	ok := takedownOptions("", Selection{IDs: []string{"x"}})
	for name, change := range map[string]func(*TakedownOptions){
		"dataset":  func(o *TakedownOptions) { o.Dataset = "" },
		"reason":   func(o *TakedownOptions) { o.Reason = " " },
		"bytes":    func(o *TakedownOptions) { o.Reason = strings.Repeat("x", mostReason+1) },
		"selected": func(o *TakedownOptions) { o.IDs = nil },
		"empty":    func(o *TakedownOptions) { o.Licences = []string{""} },
		"every":    func(o *TakedownOptions) { o.Sources = []string{"*"} },
	} {
		o := ok
		change(&o)
		if _, err := Takedown(t.Context(), store.NewMemory(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A takedown that dies at any request, or that a compaction overtakes, takes nothing by
// halves: each shard is as before or without; made again, it is done.
func TestTakedownDiesAnywhere(t *testing.T) {
	dir := t.TempDir()
	for at := 1; ; at++ {
		m := store.NewMemory()
		fleet(t, dir, m, 2)
		before := look(t, m, nil)
		want := without(before, "job1", "job2")
		dead := store.NewFaulty(m, func(op, key string, call int) store.Fault {
			if call >= at {
				return store.Fault{Before: &store.Error{Op: op, Key: key, Kind: store.ErrDenied}}
			}
			return store.Fault{}
		})
		o := takedownOptions(dir, Selection{IDs: []string{"job1", "job2"}})
		_, err := Takedown(t.Context(), dead, o)
		got := look(t, m, nil)
		if len(got.sums) != len(want.sums) {
			same(t, fmt.Sprint("dead at call ", at), got, before)
		}
		if err == nil {
			if at < 20 {
				t.Errorf("a takedown takes %d requests; want one that can die in many places", at)
			}
			break
		}
		if _, err := SweepEdited(t.Context(), m, SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := Takedown(t.Context(), m, o); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint("made again after a death at call ", at), look(t, m, nil), want)
	}
}

func TestTakedownOvertakenByACompaction(t *testing.T) {
	m, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, m, 3)
	want := without(look(t, m, nil), "job1")
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
	d, err := Takedown(t.Context(), slow, takedownOptions(dir, Selection{IDs: []string{"job1"}}))
	if err != nil || d.Samples != 6 || d.Jobs != 1 {
		t.Fatalf("%+v, %v", d, err)
	}
	same(t, "after", look(t, m, nil), want)
}

// A damaged shard is never written anew.
func TestRewriteOfADamagedShard(t *testing.T) {
	s, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, s, 2)
	key := tarOf(t, s)
	data := bytesOf(t, s, key)
	data[600] ^= 1
	if err := s.Put(t.Context(), key, store.BytesBody(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := Compact(t.Context(), s, compactOptions(dir)); err == nil || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a compaction says %v", err)
	}
	if _, err := Takedown(t.Context(), s, takedownOptions(dir, Selection{Licences: []string{"L0"}})); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a takedown says %v", err)
	}
}

// tokened is a sample of n patches as a recipe cuts them.
func tokened(id string, rows, cols int, coords bool) *pipeline.Sample {
	n := rows * cols
	key := sampleOf(id, 0).Key
	info := pipeline.TokenInfo{Layout: "naflex", Count: n, Language: (n + 3) / 4}
	d, err := json.Marshal(map[string]any{"key": key, "dataset": "set", "id": id, "tokens": map[string]pipeline.TokenInfo{"vit": info}})
	if err != nil {
		panic(err)
	}
	data := make([]byte, n*4)
	for i := range data {
		data[i] = byte(i*7) + byte(len(id)) + id[len(id)-1]
	}
	add := func(name, dtype string, data []byte, shape ...int) pipeline.Field {
		return pipeline.Field{Name: name, Data: patch.AppendNPY(nil, patch.Array{DType: dtype, Shape: shape, Data: data})}
	}
	grid := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(rows)), uint64(cols))
	s := &pipeline.Sample{Key: key, Fields: []pipeline.Field{{Name: "json", Data: d}, add("vit.patches.npy", "uint8", data, n, 4), add("vit.grid.npy", "int64", grid, 2)}}
	if coords {
		s.Fields = append(s.Fields, add("vit.coords.npy", "int64", make([]byte, n*16), n, 2))
	}
	return s
}

// A sequence without some of its members is the sequence of the others, byte for byte.
func TestRepack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pack := &pipeline.Pack{Tokens: "vit", Budget: 4096, Count: rapid.SampledFrom([]string{"patches", "language"}).Draw(t, "count"),
			Multiple: rapid.SampledFrom([]int{1, 8}).Draw(t, "multiple"), Mode: "first_fit"}
		coords := rapid.Bool().Draw(t, "coords")
		var all, left []*pipeline.Sample
		var lengths, leftLengths []int
		gone := map[string]bool{}
		for i := range rapid.IntRange(1, 6).Draw(t, "members") {
			sm := tokened(fmt.Sprint("m", i), rapid.IntRange(1, 5).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "cols"), coords)
			n, _, err := pack.Length(sm)
			if err != nil {
				t.Fatal(err)
			}
			all, lengths = append(all, sm), append(lengths, n)
			if gone[sm.Key] = rapid.Bool().Draw(t, "gone"); !gone[sm.Key] {
				left, leftLengths = append(left, sm), append(leftLengths, n)
			}
		}
		seq, err := pack.Join("set", recipe, all, lengths)
		if err != nil {
			t.Fatal(err)
		}
		r := &repacker{pack: pack, dataset: "set", recipe: recipe, gone: func(i *sampleInfo) bool { return gone[i.Key] }}
		got, err := r.filter(seq)
		if err != nil {
			t.Fatal(err)
		}
		if r.members != int64(len(all)-len(left)) || r.lost != 0 {
			t.Fatal("counts ", r.members, " members, and ", r.lost, " lost")
		}
		if len(left) == 0 {
			if got != nil {
				t.Fatal("of no members there is ", got.Key)
			}
			return
		}
		want, err := pack.Join("set", recipe, left, leftLengths)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatal("the sequence packed again is not that of its members")
		}
	})
}

// A sequence that says of itself what is not so is refused, and nothing is packed of it.
func TestRepackRefuses(t *testing.T) {
	pack := &pipeline.Pack{Tokens: "vit", Budget: 4096, Count: "patches", Multiple: 1, Mode: "first_fit"}
	for name, damage := range map[string]func(*pipeline.Sample){
		"no description": func(s *pipeline.Sample) { s.Fields[0].Data = []byte("{") },
		"no patches":     func(s *pipeline.Sample) { s.Fields = slices.Delete(s.Fields, 1, 2) },
		"short grid":     func(s *pipeline.Sample) { s.Fields[2] = tokened("x", 1, 1, false).Fields[2] },
		"short borders": func(s *pipeline.Sample) {
			i := slices.IndexFunc(s.Fields, func(f pipeline.Field) bool { return f.Name == "cu_seqlens.npy" })
			s.Fields[i].Data = patch.AppendNPY(nil, patch.Array{DType: "int32", Shape: []int{2}, Data: make([]byte, 8)})
		},
		"falling borders": func(s *pipeline.Sample) {
			i := slices.IndexFunc(s.Fields, func(f pipeline.Field) bool { return f.Name == "cu_seqlens.npy" })
			s.Fields[i].Data = patch.AppendNPY(nil, patch.Array{DType: "int32", Shape: []int{3}, Data: []byte{0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0}})
		},
	} {
		seq, err := pack.Join("set", recipe, []*pipeline.Sample{tokened("a", 1, 2, false), tokened("b", 2, 2, false)}, []int{2, 4})
		if err != nil {
			t.Fatal(err)
		}
		damage(seq)
		r := &repacker{pack: pack, gone: func(i *sampleInfo) bool { return i.ID == "a" }}
		if got, err := r.filter(seq); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Sequences lose their members that are taken down: packed again with their recipe, whole
// without.
func TestTakedownOfSequences(t *testing.T) {
	pack := &pipeline.Pack{Tokens: "vit", Budget: 4096, Count: "patches", Multiple: 1, Mode: "first_fit"}
	for _, known := range []bool{true, false} {
		s, dir := store.NewMemory(), t.TempDir()
		c := take(t, s, kafka)
		var seqs []*pipeline.Sample
		var outcomes []ledger.Outcome
		for i := range int64(3) {
			a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
			seq, err := pack.Join("set", recipe, []*pipeline.Sample{tokened(a, 1, 2, false), tokened(b, 2, 2, false)}, []int{2, 4})
			if err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, seq)
			for j, id := range []string{a, b} {
				outcomes = append(outcomes, ledger.Outcome{Offset: 10 + 2*i + int64(j), ID: id, Dataset: "set", Status: ledger.OK, Samples: 1})
			}
		}
		sh := upload(t, dir, s, c, seqs, 6, 10, 16)
		commit(t, c, ledger.Entry{To: 16, Shards: []ledger.Shard{sh}, Outcomes: outcomes})
		o := takedownOptions(dir, Selection{IDs: []string{"b1"}})
		want := Counts{Jobs: 1, Samples: 1, Lost: 1, Shards: 1, Written: 1}
		members := int64(4)
		if known {
			r := formatRecipe()
			r.Outputs[0].Pack = pack
			o.Recipes = recipesOf(r)
			want.Lost, members = 0, 5
		}
		d, err := Takedown(t.Context(), s, o)
		if err != nil || d.Counts != want {
			t.Fatalf("with its recipe %v: %+v, %v; want %+v", known, d, err, want)
		}
		for sh, err := range ledger.Shards(t.Context(), store.Plain{Store: s}, nil, "set") {
			if err != nil || sh.Members != members {
				t.Errorf("with its recipe %v: a shard of %d members, %v", known, sh.Members, err)
			}
		}
	}
}

// The whole life: what was replaced, and what was taken down, goes once no kept snapshot
// names it, and no sooner.
func TestForget(t *testing.T) {
	s, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, s, 3)
	zero, err := ledger.Publish(t.Context(), store.Plain{Store: s}) // snapshot 0: small shards
	if err != nil {
		t.Fatal(err)
	}
	views := []view{look(t, s, zero)}
	if _, err := Compact(t.Context(), s, compactOptions(dir)); err != nil { // 1: merged
		t.Fatal(err)
	}
	views = append(views, look(t, s, nil))
	if d, err := Takedown(t.Context(), s, takedownOptions(dir, Selection{IDs: []string{"job1"}})); err != nil || d.Snapshot != 2 { // 2: without
		t.Fatalf("%+v, %v", d, err)
	}
	views = append(views, look(t, s, nil))
	if err := s.Create(t.Context(), "_index/00000000000000000000/set/webdataset.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	forget := func(o ForgetOptions) *Forgotten {
		t.Helper()
		f, err := Forget(t.Context(), s, o)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	kept := func(f *Forgotten, shards int, snapshots ...int) {
		t.Helper()
		if len(f.Shards) != shards {
			t.Errorf("%d shards are forgotten, want %d: %q", len(f.Shards), shards, f.Shards)
		}
		for _, n := range snapshots {
			snap, err := ledger.ReadSnapshot(t.Context(), store.Plain{Store: s}, int64(n))
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprint("snapshot ", n), look(t, s, snap), views[n])
		}
	}
	kept(forget(ForgetOptions{}), 0, 0, 1, 2)
	kept(forget(ForgetOptions{OlderThan: time.Hour}), 0, 0, 1, 2)
	n := len(objects(t, s))
	dry := forget(ForgetOptions{All: true, DryRun: true})
	if kept(dry, 21, 0, 1, 2); len(objects(t, s)) != n || dry.Indexes != 1 || len(dry.Snapshots) != 2 || dry.Kept != 1 {
		t.Errorf("a dry run: %+v", dry)
	}
	kept(forget(ForgetOptions{All: true, Keep: []int64{0}}), 3, 0, 2) // the merged, which 1 alone names
	kept(forget(ForgetOptions{OlderThan: time.Hour, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }}), 18, 2)
	kept(forget(ForgetOptions{All: true}), 0, 2)
	if left, err := SweepEdited(t.Context(), s, SweepOptions{}); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	same(t, "in the end", look(t, s, nil), views[2])
}

// What is to be erased goes with the next Forget, whatever the age of the snapshots; and a
// Forget that dies half-way goes on where it was.
func TestErase(t *testing.T) {
	m, dir := store.NewMemory(), t.TempDir()
	fleet(t, dir, m, 2)
	old := slices.DeleteFunc(objects(t, m), func(k string) bool { return !strings.HasPrefix(k, "data/") })
	o := takedownOptions(dir, Selection{IDs: []string{"job0", "job1", "job2", "job3"}})
	o.Erase = true
	if _, err := Takedown(t.Context(), m, o); err != nil {
		t.Fatal(err)
	}
	n := 0
	dead := store.NewFaulty(m, func(op, key string, _ int) store.Fault {
		if op == "delete" {
			if n++; n > 5 {
				return store.Fault{Before: &store.Error{Op: op, Key: key, Kind: store.ErrDenied}}
			}
		}
		return store.Fault{}
	})
	if _, err := Forget(t.Context(), dead, ForgetOptions{}); !errors.Is(err, store.ErrDenied) {
		t.Errorf("one that dies says %v", err)
	}
	f, err := Forget(t.Context(), m, ForgetOptions{})
	if err != nil || len(f.Shards) == 0 {
		t.Fatalf("the next forgets %+v, %v", f, err)
	}
	for _, key := range objects(t, m) {
		if slices.Contains(old, key) {
			t.Errorf("%s is still there", key)
		}
	}
	if len(look(t, m, nil).sums) != 0 {
		t.Error("there are samples left")
	}
}

// Marks below the end of their stream go; others stay.
func TestSweepMarks(t *testing.T) {
	s := store.NewMemory()
	c := take(t, s, kafka)
	commit(t, c, ledger.Entry{To: 12, Outcomes: []ledger.Outcome{{Offset: 10, Status: ledger.None}, {Offset: 11, Status: ledger.None}}})
	var stay, go_ []string
	for _, offset := range []string{"9", "00000000000000000011", "12", "x"} {
		key := marksPrefix + kafka.Path() + "/" + offset + "/1"
		if offset == "9" || strings.HasSuffix(offset, "11") {
			go_ = append(go_, key)
		} else {
			stay = append(stay, key)
		}
	}
	stay = append(stay, marksPrefix+"other/3/1", marksPrefix+"no~stream/3/1")
	for _, key := range append(go_, stay...) {
		if err := s.Create(t.Context(), key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if marks, err := SweepMarks(t.Context(), s, SweepOptions{DryRun: true}); err != nil || len(marks) != 2 || marks[0].Verdict != Deletable {
		t.Fatalf("a dry run: %v, %v", marks, err)
	}
	if marks, err := SweepMarks(t.Context(), s, SweepOptions{}); err != nil || len(marks) != 2 || marks[1].Verdict != Deleted {
		t.Fatalf("%v, %v", marks, err)
	}
	slices.Sort(stay)
	left := slices.DeleteFunc(objects(t, s), func(k string) bool { return !strings.HasPrefix(k, marksPrefix) })
	if !slices.Equal(left, stay) {
		t.Errorf("left are %q, want %q", left, stay)
	}
}
