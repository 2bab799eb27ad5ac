package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
	"github.com/millrace/millrace/services/keeper"
)

// smallRecipe writes all formats in shards of two samples, and sequences beside.
const smallRecipe = `dataset: small
video: {pick: {fps: 2}}
tokens: [{preset: siglip2-base-patch16-naflex, max_patches: 64, dtype: uint8}]
outputs: [{format: webdataset, shard_samples: 2}, {format: mds, shard_samples: 2, compression: zstd}, {format: parquet, shard_samples: 2}]
`

const smallPacks = `dataset: smallpacks
video: {pick: {fps: 2}}
tokens: [{preset: siglip2-base-patch16-naflex, max_patches: 64, dtype: uint8}]
pack: {budget: 160}
outputs: [{format: webdataset, shard_samples: 1}]
`

// samplesOf gives the digest of each sample of a dataset, by format and key, as a loader
// would read them at a snapshot (nil: now), and how many shards there are.
func samplesOf(t *testing.T, p place, snap *ledger.Snapshot, dataset string) (sums map[string]string, shards int) {
	t.Helper()
	list, err := catalog.Shards(t.Context(), p, snap, dataset)
	if err != nil {
		t.Fatal(err)
	}
	sums = map[string]string{}
	for _, sh := range list {
		src := sourceOf(p, sh)
		r, err := src.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for {
			x, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			var sm pipeline.Sample
			if err == nil {
				err = shard.ReadSample(r, x, &sm, shard.DefaultLimits())
			}
			if err != nil {
				t.Fatalf("shard %s: %v", sh.Key, err)
			}
			h := sha256.New()
			for _, f := range slices.SortedFunc(slices.Values(sm.Fields), func(a, b pipeline.Field) int { return strings.Compare(a.Name, b.Name) }) {
				fmt.Fprintf(h, "%s %d:%s", f.Name, len(f.Data), f.Data)
			}
			id := sh.Format + " " + sm.Key
			if sums[id] != "" {
				t.Errorf("sample %s is there twice", id)
			}
			sums[id] = fmt.Sprintf("%x", h.Sum(nil))
		}
	}
	return sums, len(list)
}

// asJSON runs a command and reads what it prints.
func asJSON(t *testing.T, p place, to any, args ...string) {
	t.Helper()
	out := output(t, exitDone, p.env, append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), to); err != nil {
		t.Fatalf("%q prints %s: %v", args, out, err)
	}
}

// A dataset of many small shards, in all formats and with sequences: merged, it holds the
// same samples; taken down from, all the others; and gc leaves nothing that nobody needs.
// Readers of the snapshots that are kept see at each moment what they saw before.
func TestCompactTakedownAndGC(t *testing.T) {
	for name, open := range map[string]func(testing.TB) place{"folder": folder, "versitygw": versitygw} {
		t.Run(name, func(t *testing.T) {
			p, src, recipes := open(t), media(t, 5, 1), t.TempDir()
			for dataset, text := range map[string]string{"small": smallRecipe, "smallpacks": smallPacks} {
				path := filepath.Join(recipes, dataset+".yaml")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				output(t, exitDone, p.env, "backfill", "-q", src, "--recipe", path, "--to", p.url)
			}
			output(t, exitDone, p.env, "publish", p.url)
			first, err := ledger.Latest(t.Context(), store.Plain{Store: p})
			if err != nil {
				t.Fatal(err)
			}
			before, n := samplesOf(t, p, first, "small")
			packs, packed := samplesOf(t, p, first, "smallpacks")
			if n < 12 || packed < 3 {
				t.Fatalf("%d small shards, and %d of sequences", n, packed)
			}
			var c keeper.Compacted
			asJSON(t, p, &c, "compact", p.url, "--dataset", "small", "--dry-run")
			if c.Merged != n || c.Into != 3 || !c.DryRun {
				t.Errorf("a dry run: %+v", c)
			}
			asJSON(t, p, &c, "compact", p.url, "--dataset", "small")
			if c.Merged != n || c.Into != 3 || c.Snapshot != 1 {
				t.Errorf("compact: %+v", c)
			}
			if out := output(t, exitDone, p.env, "compact", p.url, "--dataset", "smallpacks"); !strings.Contains(out, "into 1; snapshot 2") {
				t.Errorf("for people: %s", out)
			}
			if out := output(t, exitDone, p.env, "compact", p.url, "--dataset", "small"); !strings.Contains(out, "nothing to merge") {
				t.Errorf("once more: %s", out)
			}
			after, n := samplesOf(t, p, nil, "small")
			if n != 3 || !maps.Equal(after, before) {
				t.Errorf("%d shards of %d samples; were %d samples", n, len(after), len(before))
			}
			if got, n := samplesOf(t, p, nil, "smallpacks"); n != 1 || !maps.Equal(got, packs) {
				t.Errorf("%d shards of %d sequences; were %d", n, len(got), len(packs))
			}
			if got, _ := samplesOf(t, p, first, "small"); !maps.Equal(got, before) {
				t.Error("the snapshot before reads otherwise now")
			}
			output(t, exitDone, p.env, "verify", p.url, "--deep")
			moved(t, p)

			ids := filepath.Join(recipes, "ids")
			if err := os.WriteFile(ids, []byte(jobs(t, p, "small", "still-0002.jpg")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			var d, dp keeper.Deed
			asJSON(t, p, &d, "takedown", p.url, "--dataset", "small", "--ids", ids, "--reason", "asked for", "--erase")
			asJSON(t, p, &dp, "takedown", p.url, "--dataset", "smallpacks", "--source", "file://"+src+"/still-0002.jpg", "--reason", "asked for", "--by", "me")
			if d.Jobs != 1 || d.Samples != 3 || d.Shards != 3 || dp.Jobs != 1 || dp.Samples != 1 || dp.Lost != 0 || dp.By != "me" {
				t.Errorf("takedowns: %+v, %+v", d, dp)
			}
			left, _ := samplesOf(t, p, nil, "small")
			if len(left) != len(before)-3 {
				t.Errorf("%d samples are left of %d", len(left), len(before))
			}
			for id, sum := range left {
				if before[id] != sum {
					t.Errorf("sample %s is another now", id)
				}
			}
			if out := output(t, exitDone, p.env, "takedown", "list", p.url); !strings.Contains(out, "2 takedowns") || !strings.Contains(out, "asked for") {
				t.Errorf("for people: %s", out)
			}
			output(t, exitDone, p.env, "verify", p.url, "--deep")
			takenDown(t, p)
			cleared(t, p, left)
		})
	}
}

// jobs finds the id of the job of a file, in a dataset.
func jobs(t *testing.T, p place, dataset, name string) string {
	t.Helper()
	for item, err := range ledger.Records(t.Context(), store.Plain{Store: p}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range item.Record.Outcomes {
			if o.Dataset == dataset && len(o.Sources) > 0 && strings.HasSuffix(o.Sources[0].URI, "/"+name) {
				return o.ID
			}
		}
	}
	t.Fatalf("no job of %s", name)
	return ""
}

// cleared runs gc to the end: what the edits replaced is gone, what is left is whole.
func cleared(t *testing.T, p place, want map[string]string) {
	t.Helper()
	n := len(allKeys(t, p, "data/"))
	if out := output(t, exitDone, p.env, "gc", p.url, "--dry-run"); !strings.Contains(out, "would delete") || len(allKeys(t, p, "data/")) != n {
		t.Errorf("a dry run: %s", out)
	}
	out := output(t, exitDone, p.env, "gc", p.url) // the erased, and with them all before
	if !strings.Contains(out, "forgot 3 snapshots") {
		t.Errorf("after an erasing takedown: %s", out)
	}
	output(t, exitDone, p.env, "verify", p.url, "--deep")
	output(t, exitDone, p.env, "gc", p.url, "--snapshots-older-than", "0d", "--min-age", "0s")
	for _, key := range allKeys(t, p, "data/") {
		if !strings.HasSuffix(key, ".outcomes.json") {
			t.Errorf("%s is still there", key)
		}
	}
	if got, n := samplesOf(t, p, nil, "small"); n != 3 || !maps.Equal(got, want) {
		t.Errorf("%d shards of %d samples in the end, want %d", n, len(got), len(want))
	}
	if lists := allKeys(t, p, "_index/"); len(lists) == 0 || slices.ContainsFunc(lists, func(k string) bool { return strings.HasPrefix(k, "_index/00000000000000000000/") }) {
		t.Errorf("of indexes there are %q", lists)
	}
	output(t, exitDone, p.env, "verify", p.url, "--deep")
}

// moved fails unless explain follows a job from its small shards to the merged ones.
func moved(t *testing.T, p place) {
	t.Helper()
	for dataset, want := range map[string]int{"small": 3, "smallpacks": 1} {
		id := jobs(t, p, dataset, "still-0001.jpg")
		merged := 0
		for _, sh := range explained(t, exitDone, p, id, "--samples").Fates[0].Shards {
			if sh.Gone == nil && len(sh.Holds) == 1 {
				merged++
			} else if sh.Gone == nil || sh.Gone.Kind != ledger.Compact || len(sh.Gone.Became) != 1 {
				t.Errorf("shard %s of %s: %+v", sh.Key, id, sh)
			}
		}
		if merged != want {
			t.Errorf("a job of %s is in %d merged shards, want %d", dataset, merged, want)
		}
		if out := output(t, exitDone, p.env, "explain", p.url, id); !strings.Contains(out, "merged on") || !strings.Contains(out, "became "+ledger.EditedPrefix) {
			t.Errorf("for people: %s", out)
		}
	}
}

// takenDown fails unless explain tells of a takedown and its reason.
func takenDown(t *testing.T, p place) {
	t.Helper()
	for _, dataset := range []string{"small", "smallpacks"} {
		a := explained(t, exitDone, p, jobs(t, p, dataset, "still-0002.jpg"))
		f := a.Fates[0]
		if f.TakenDown == nil || !strings.Contains(f.Means, "asked for") || f.Snapshots == nil || f.Snapshots.Last != f.TakenDown.Snapshot-1 {
			t.Errorf("of dataset %s: %+v", dataset, f)
		}
	}
}
