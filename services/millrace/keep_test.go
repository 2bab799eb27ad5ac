package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/keeper"
)

// explained asks the command, in this process: a test has many questions.
func explained(t *testing.T, want int, p place, what string, flags ...string) keeper.Answer {
	t.Helper()
	for _, e := range p.env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	code, out, errOut := call(append([]string{"--json", "explain", p.url, what}, flags...)...)
	var a keeper.Answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != want {
		t.Fatalf("explain %s: exit code %d, want %d, %s%s (%v)", what, code, want, out, errOut, err)
	}
	return a
}

func swept(t *testing.T, p place, flags ...string) keeper.Swept {
	t.Helper()
	out := output(t, exitDone, p.env, append([]string{"--json", "gc", p.url}, flags...)...)
	var s keeper.Swept
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("gc prints %s: %v", out, err)
	}
	return s
}

// keptRecipe writes all formats, packedRecipe sequences.
const keptRecipe = `dataset: kept
video: {pick: {fps: 2}}
tokens: [{preset: siglip2-base-patch16-naflex, max_patches: 64, dtype: uint8}]
outputs: [webdataset, {format: mds, compression: zstd}, parquet]
`

const packedRecipe = `dataset: packed
video: {pick: {fps: 2}}
tokens: [{preset: siglip2-base-patch16-naflex, max_patches: 64, dtype: uint8}]
pack: {budget: 256}
`

// A dataset in all formats, with sequences, a refused file and a file sent twice: each
// message, id, sample and sequence is explained, on a folder and on S3.
func TestExplain(t *testing.T) {
	for name, open := range map[string]func(testing.TB) place{"folder": folder, "versitygw": versitygw} {
		t.Run(name, func(t *testing.T) {
			p, src, recipes := open(t), media(t, 4, 1), t.TempDir()
			write := func(path, text string) string {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			write(filepath.Join(src, "broken.jpg"), "\xff\xd8\xff\xe0 and no more")
			output(t, exitDone, p.env, "backfill", "-q", src, "--recipe", write(filepath.Join(recipes, "kept.yaml"), keptRecipe), "--to", p.url)
			output(t, exitDone, p.env, "publish", p.url)
			output(t, exitDone, p.env, "backfill", "-q", src, "--recipe", write(filepath.Join(recipes, "packed.yaml"), packedRecipe), "--to", p.url)

			statuses := map[ledger.Status]int{}
			for i := range 6 {
				a := explained(t, exitDone, p, fmt.Sprint("backfill/kept/backfill/", i), "--samples")
				if len(a.Fates) != 1 || a.Fates[0].Record == nil || a.Fates[0].Snapshots == nil || len(a.Fates[0].Sources) != 1 {
					t.Fatalf("offset %d: %+v", i, a)
				}
				f := a.Fates[0]
				statuses[f.Status]++
				if f.Status != ledger.OK {
					if f.Code == "" || !strings.Contains(f.Means, "again") && !strings.Contains(f.Means, "elsewhere") {
						t.Errorf("offset %d: %s, %q", i, f.Code, f.Means)
					}
					continue
				}
				var formats []string
				for _, sh := range f.Shards {
					formats = append(formats, sh.Format)
					if sh.Fault != "" || len(sh.Holds) != int(f.Samples) || sh.Recipe != f.Recipes[0] {
						t.Errorf("offset %d of %d samples: shard %s holds %+v (%s)", i, f.Samples, sh.Key, sh.Holds, sh.Fault)
					}
				}
				slices.Sort(formats)
				if want := slices.Sorted(slices.Values(shard.Formats())); !slices.Equal(formats, want) {
					t.Errorf("offset %d is in shards of %q, want %q", i, formats, want)
				}
				key := f.Shards[0].Holds[0].Key
				back := explained(t, exitDone, p, key)
				if back.By != keeper.ByKey || len(back.Fates) != 1 || back.Fates[0].Offset != int64(i) || back.Fates[0].ID != f.ID || len(back.Fates[0].Shards[0].Holds) != 1 {
					t.Errorf("sample %s of offset %d leads to %+v", key, i, back)
				}
				if ids := explained(t, exitDone, p, f.ID); !slices.ContainsFunc(ids.Fates, func(x keeper.Fate) bool { return x.Offset == int64(i) && x.Dataset == "kept" }) {
					t.Errorf("id %s leads to %+v", f.ID, ids.Fates)
				}
			}
			if statuses[ledger.OK] != 5 || statuses[ledger.Quarantined] != 1 {
				t.Errorf("the messages ended as %v", statuses)
			}
			if a := explained(t, exitDone, p, "backfill/kept/backfill/6"); a.Fates[0].Status != keeper.NotYet {
				t.Errorf("the message to come: %+v", a.Fates[0])
			}
			explainedSequences(t, p)
			explained(t, exitFaults, p, "no-such-id")
			explained(t, exitFaults, p, pipeline.SampleKey("kept", "no-such-id", 0, 0, codecs.NewRational(0, 1)))
			for _, what := range []string{"backfill/kept/backfill/0", "backfill/packed/backfill/0"} {
				if out := output(t, exitDone, p.env, "explain", p.url, what); !strings.Contains(out, "means") || !strings.Contains(out, "record") || !strings.Contains(out, "snapshots") {
					t.Errorf("for people: %s", out)
				}
			}
		})
	}
}

// explainedSequences goes from each sequence to its members, and from a member back.
func explainedSequences(t *testing.T, p place) {
	t.Helper()
	members, sequences := 0, 0
	for _, key := range keys(t, p) {
		if !strings.HasSuffix(key, "-seq") {
			continue
		}
		sequences++
		a := explained(t, exitDone, p, key)
		for _, f := range a.Fates {
			if f.Snapshots != nil || f.Dataset != "packed" {
				t.Errorf("a job of sequence %s: %+v", key, f)
			}
			for _, h := range f.Shards[0].Holds {
				members++
				back := explained(t, exitDone, p, h.Key)
				if got := back.Fates[0].Shards[0].Holds; len(got) != 1 || got[0].Sequence != key || got[0].Place != h.Place {
					t.Errorf("sample %s of sequence %s is found in %+v", h.Key, key, got)
				}
			}
		}
	}
	if sequences < 2 || members != 8 { // four stills, and a clip of four pictures
		t.Errorf("%d sequences of %d samples", sequences, members)
	}
}

// abandoned is a writer that has taken a stream and uploaded a shard, but not yet, or never,
// made the record. It gives what it has put there.
func abandoned(t *testing.T, p place, stream ledger.Stream, id string) (c *ledger.Chain, e ledger.Entry, objects []string) {
	t.Helper()
	c, err := ledger.Open(t.Context(), store.Plain{Store: p}, stream, ledger.Options{})
	if err == nil {
		err = c.Fence(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := shard.Create(t.TempDir(), shard.WebDataset, shard.Options{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	key := pipeline.SampleKey("fleet", id, 0, 0, codecs.NewRational(0, 1))
	if err := w.Add(&pipeline.Sample{Key: key, Fields: []pipeline.Field{{Name: "txt", Data: []byte(id)}}}); err != nil {
		t.Fatal(err)
	}
	sealed, err := w.Seal()
	if err != nil {
		t.Fatal(err)
	}
	defer sealed.Close()
	name := c.ShardKey("tar")
	for _, side := range sealed.Sidecars() {
		objects = append(objects, name+side.Suffix)
		if err := p.Put(t.Context(), name+side.Suffix, store.BytesBody(side.Data)); err != nil {
			t.Fatal(err)
		}
	}
	objects = append(objects, name)
	if err := store.Upload(t.Context(), p, name, store.Body{Data: sealed, Size: sealed.Bytes, SHA256: sealed.SHA256, CRC32C: sealed.CRC32C}); err != nil {
		t.Fatal(err)
	}
	from := c.Next()
	return c, ledger.Entry{To: from + 1,
		Shards: []ledger.Shard{{Key: name, Dataset: "fleet", Format: shard.WebDataset, Bytes: sealed.Bytes, SHA256: sealed.SHA256Hex(),
			CRC32C: fmt.Sprintf("%08x", sealed.CRC32C), Samples: 1, From: from, To: from + 1}},
		Outcomes: []ledger.Outcome{{Offset: from, ID: id, Dataset: "fleet", Status: ledger.OK, Samples: 1}},
	}, objects
}

// there counts which of some objects are in a store.
func there(t *testing.T, p place, objects []string) (n int) {
	t.Helper()
	for _, key := range objects {
		_, err := p.Stat(t.Context(), key)
		if err != nil && !store.IsNotFound(err) {
			t.Fatal(err)
		}
		if err == nil {
			n++
		}
	}
	return n
}

// A writer that died after its upload and before its record leaves an orphan. It stays
// while its epoch is open and while it is young, and goes with its index once another has
// taken the stream; what a living writer has uploaded stays, and becomes its record's.
// Nothing that could be read before is gone, and loaders' indexes name what is there.
func TestGC(t *testing.T) {
	for name, open := range map[string]func(testing.TB) place{"folder": folder, "versitygw": versitygw} {
		t.Run(name, func(t *testing.T) {
			p, recipe := open(t), recipeFile(t, "fleet")
			stream := ledger.NamedStream("backfill/fleet/backfill")
			output(t, exitDone, p.env, "backfill", "-q", media(t, 3, 0), "--recipe", recipe, "--to", p.url)
			output(t, exitDone, p.env, "publish", p.url)
			_, _, dead := abandoned(t, p, stream, "dead")
			if s := swept(t, p, "--min-age", "0s"); len(s.Orphans) != 2 || s.Orphans[0].Verdict != keeper.Open || there(t, p, dead) != 2 {
				t.Errorf("before another takes the stream: %+v", s.Orphans)
			}
			output(t, exitDone, p.env, "backfill", "-q", media(t, 5, 1), "--recipe", recipe, "--to", p.url)
			chain, entry, held := abandoned(t, p, stream, "alive")
			before, records := keys(t, p), allKeys(t, p, "_")
			if s := swept(t, p); there(t, p, dead) != 2 {
				t.Errorf("younger than a day, but: %+v", s.Orphans)
			}
			dry := swept(t, p, "--min-age", "0s", "--dry-run")
			if n, bytes := dry.Sum(keeper.Deletable); n != 2 || bytes < 1024 || !dry.DryRun || there(t, p, dead) != 2 {
				t.Errorf("a dry run: %+v", dry)
			}
			if out := output(t, exitDone, p.env, "gc", p.url, "--min-age", "0s", "--dry-run"); !strings.Contains(out, "would delete 2 objects") || !strings.Contains(out, dead[1]) {
				t.Errorf("for people, a dry run is: %s", out)
			}
			if out := output(t, exitDone, p.env, "gc", p.url, "--min-age", "0s"); !strings.Contains(out, "deleted 2 objects") || !strings.Contains(out, "2 objects") {
				t.Errorf("for people: %s", out)
			}
			if there(t, p, dead) != 0 || there(t, p, held) != 2 {
				t.Errorf("of the dead writer's objects %d are left, of the living one's %d of 2", there(t, p, dead), there(t, p, held))
			}
			if after := keys(t, p); !slices.Equal(before, after) {
				t.Errorf("%d samples could be read before, %d after", len(before), len(after))
			}
			if after := allKeys(t, p, "_"); !slices.Equal(records, after) {
				t.Errorf("records, snapshots, recipes and indexes were %q, and are %q", records, after)
			}
			output(t, exitDone, p.env, "verify", p.url, "--deep")
			if err := chain.Commit(t.Context(), entry); err != nil {
				t.Errorf("the living writer can not commit what it had uploaded: %v", err)
			}
			output(t, exitDone, p.env, "publish", p.url)
			if n := len(keys(t, p)); n != len(before)+1 {
				t.Errorf("%d samples in the end, want %d", n, len(before)+1)
			}
			output(t, exitDone, p.env, "verify", p.url, "--deep")
			indexed(t, p)
		})
	}
}

func allKeys(t *testing.T, p place, prefix string) []string {
	t.Helper()
	var all []string
	for info, err := range p.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(info.Key, prefix) {
			all = append(all, info.Key)
		}
	}
	return all
}

// indexed fails if a list of shards names one that is not there.
func indexed(t *testing.T, p place) {
	t.Helper()
	lists := 0
	for _, key := range allKeys(t, p, "_index/") {
		if !strings.HasSuffix(key, "/webdataset.txt") {
			continue
		}
		lists++
		rc, info, err := p.Get(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, info.Size)
		_, err = io.ReadFull(rc, data)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		shards := strings.Fields(strings.ReplaceAll(string(data), "../", ""))
		if n := there(t, p, shards); n != len(shards) || n == 0 {
			t.Errorf("%s names %d shards, of which %d are there", key, len(shards), n)
		}
	}
	if lists != 2 {
		t.Errorf("%d lists, want those of 2 snapshots", lists)
	}
}

func TestKeepersUse(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"explain --help", exitDone, ""},
		{"gc --help", exitDone, ""},
		{"explain " + t.TempDir(), exitUsage, "what"},
		{"explain " + t.TempDir() + " x", exitFaults, "no record"},
		{"explain /no/such/place x", exitFaults, "no dataset"},
		{"explain " + t.TempDir() + " x --by name", exitUsage, "--by"},
		{"gc " + t.TempDir(), exitFaults, "no ledger"},
		{"gc /no/such/place", exitFaults, "no dataset"},
		{"gc " + t.TempDir() + " --min-age=-1h", exitUsage, "--min-age"},
	} {
		code, out, errOut := call(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errOut, c.says) || strings.HasSuffix(c.args, "--help") && !strings.Contains(out, "Example") {
			t.Errorf("millrace %s: exit code %d, want %d, with %q in:\n%s%s", c.args, code, c.code, c.says, out, errOut)
		}
	}
}
