package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
)

// Recipes name the formats that shards are written in, and no compression that they
// lack. (The two packages may not import each other.)
func TestRecipesNameTheFormatsOfShards(t *testing.T) {
	if got := recipe.Formats(); !slices.Equal(got, shard.Formats()) {
		t.Errorf("recipes have %q, shards %q", got, shard.Formats())
	}
	for _, format := range shard.Formats() {
		for _, compression := range []string{"none", shard.Zstd} {
			_, err := recipe.Parse("r", []byte("dataset: d\nkeep: jpeg\noutputs: {format: "+format+", compression: "+compression+"}\n"))
			_, shardErr := shard.Ext(format, strings.TrimPrefix(compression, "none"))
			if (err == nil) != (shardErr == nil) {
				t.Errorf("%s with %s: as a recipe %v, as a shard %v", format, compression, err, shardErr)
			}
		}
	}
}

// kept puts two recipes into a store in a folder, and gives the store's path and them.
func kept(t *testing.T) (dir string, a, b *pipeline.Recipe) {
	t.Helper()
	p := folder(t)
	for _, r := range []struct {
		to   **pipeline.Recipe
		file string
	}{{&a, "demo.yaml"}, {&b, "packed.yaml"}} {
		var err error
		if *r.to, err = recipe.Load("../../testdata/recipes/" + r.file); err != nil {
			t.Fatal(err)
		}
		if err := recipe.Save(t.Context(), store.Plain{Store: p}, *r.to); err != nil {
			t.Fatal(err)
		}
	}
	return p.url, a, b
}

func TestRecipeOfADigest(t *testing.T) {
	dir, a, _ := kept(t)
	for _, digits := range []string{a.Digest, a.Digest[:8]} {
		code, out, errOut := call("recipe", "show", digits, "--store", dir)
		if code != exitDone {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		again, err := recipe.Parse("shown", []byte(out))
		if err != nil || again.Digest != a.Digest {
			t.Errorf("what is shown of %s is another recipe: %v\n%s", digits, err, out)
		}
	}
	t.Setenv("MILLRACE_STORE_URL", "file://"+dir)
	code, out, _ := call("--json", "recipe", "show", a.Digest[:12])
	var r pipeline.Recipe
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitDone || recipe.Digest(&r) != a.Digest || r.Digest != a.Digest {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	// A file goes before a digest that looks like its name.
	t.Chdir(t.TempDir())
	if err := os.WriteFile(a.Digest[:8], []byte("dataset: other\nkeep: jpeg\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call("recipe", "show", a.Digest[:8]); code != exitDone || !strings.Contains(out, `"other"`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// From a sample on the store to the recipe that made it, with nothing but the store.
func TestRecipeTravels(t *testing.T) {
	for name, open := range map[string]func(testing.TB) place{"folder": folder, "versitygw": versitygw} {
		t.Run(name, func(t *testing.T) {
			p, file := open(t), recipeFile(t, "travels")
			output(t, exitDone, p.env, "backfill", "-q", media(t, 3, 1), "--recipe", file, "--to", p.url)
			made, err := recipe.Load(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			shards, err := catalog.Shards(t.Context(), p, nil, "")
			if err != nil || len(shards) == 0 {
				t.Fatalf("%d shards, %v", len(shards), err)
			}
			for _, sh := range shards {
				if sh.Recipe != made.Digest {
					t.Errorf("shard %s is of recipe %s, not %s", sh.Key, sh.Recipe, made.Digest)
				}
			}
			key := keys(t, p)[0]
			sample := output(t, exitDone, p.env, "--json", "inspect", p.url, "--sample", key)
			if !strings.Contains(sample, made.Digest) {
				t.Fatalf("sample %s does not name recipe %s: %s", key, made.Digest, sample)
			}
			again, err := recipe.Parse("shown", []byte(output(t, exitDone, p.env, "recipe", "show", made.Digest[:12], "--store", p.url)))
			if err != nil || again.Digest != made.Digest {
				t.Errorf("what is shown is another recipe, or none: %v", err)
			}
		})
	}
}

// A recipe with words of a later version is shown as it is kept, and compared with none.
func TestRecipeOfAnotherVersion(t *testing.T) {
	p := folder(t)
	const doc = `{"dataset":"later","version":2}`
	sum := sha256.Sum256([]byte(doc))
	digest := hex.EncodeToString(sum[:])
	if err := p.Create(t.Context(), recipe.Key(digest), []byte(doc)); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := call("recipe", "show", digest[:10], "--store", p.url)
	if code != exitDone || out != doc+"\n" || !strings.Contains(errOut, "another version of Millrace") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	if code, _, errOut := call("recipe", "diff", digest, digest, "--store", p.url); code != exitFaults || !strings.Contains(errOut, "another version") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

func TestRecipesThatAreNotThere(t *testing.T) {
	dir, a, _ := kept(t)
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"recipe", "show"}, exitUsage, "a digest, or --default"},
		{[]string{"recipe", "show", a.Digest, "--default", "d"}, exitUsage, "not both"},
		{[]string{"recipe", "show", a.Digest}, exitUsage, "--store"},
		{[]string{"recipe", "show", a.Digest, "--store", none}, exitFaults, "there is no dataset"},
		{[]string{"recipe", "show", "0123456789", "--store", dir}, exitFaults, "no recipe whose digest begins with 0123456789"},
		{[]string{"recipe", "show", strings.Repeat("0", 64), "--store", dir}, exitFaults, "no recipe of digest 0000"},
		{[]string{"recipe", "show", a.Digest[:7], "--store", dir}, exitFaults, "no such file"},
		{[]string{"recipe", "show", "--default", "a/b"}, exitFaults, "a/b"},
		{[]string{"recipe", "diff", a.Digest, "none.yaml", "--store", dir}, exitFaults, "none.yaml"},
		{[]string{"recipe", "diff", a.Digest}, exitUsage, "<b>"},
	} {
		if code, out, errOut := call(c.args...); code != c.code || !strings.Contains(errOut, c.says) {
			t.Errorf("%q: exit code %d, want %d, with %q in:\n%s%s", c.args, code, c.code, c.says, out, errOut)
		}
	}
}

func TestRecipeDiff(t *testing.T) {
	dir, a, b := kept(t)
	changed := filepath.Join(t.TempDir(), "changed.yaml")
	text := strings.Replace(string(recipe.Show(a)), "{fps: 2}", "{fps: 4}", 1)
	text = strings.Replace(text, "shard_age: 1m0s", "shard_age: 5s", 1)
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"recipe", "diff"}, {"diff-recipe"}} {
		code, out, errOut := call(append(command, a.Digest[:12], changed, "--store", dir)...)
		if code != exitFailed || !strings.Contains(errOut, "the recipes differ") {
			t.Errorf("%q: exit code %d, %s", command, code, errOut)
		}
		_, shown, _ := strings.Cut(out, "\nvideo.")
		const want = `pick: {fps: 2} -> {fps: 4}
    other samples
outputs[webdataset].shard_age: 1m0s -> 5s
    only packaging: arrays equal
A sample that both make: its arrays are equal, its kept originals are equal. They make other samples.
`
		if shown != want {
			t.Errorf("%q prints\n%s", command, out)
		}
		if code, out, _ := call(append(command, a.Digest, "../../testdata/recipes/demo.yaml", "--store", dir)...); code != exitDone || !strings.Contains(out, "One digest") {
			t.Errorf("%q of one recipe: exit code %d\n%s", command, code, out)
		}
	}
	code, out, _ := call("--json", "diff-recipe", a.Digest, b.Digest, "--store", dir)
	var d recipe.Difference
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != exitFailed {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if d.A != a.Digest || d.B != b.Digest || d.Same || !d.Arrays || !d.Samples || d.Originals || len(d.Changes) < 8 {
		t.Errorf("%+v", d)
	}
}
