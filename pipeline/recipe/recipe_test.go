package recipe

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

const testdata = "../../testdata/recipes"

// goods are the recipes of testdata that must be taken.
func goods(t testing.TB) []string {
	t.Helper()
	l, err := filepath.Glob(filepath.Join(testdata, "*.yaml"))
	if err != nil || len(l) < 6 {
		t.Fatalf("recipes %q, %v", l, err)
	}
	return l
}

// bads are the recipes of bad.txt and their messages.
type bad struct{ name, recipe, says string }

func bads(t testing.TB) []bad {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata, "bad.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var l []bad
	for _, s := range strings.Split(string(b), "\n=== ")[1:] {
		name, rest, _ := strings.Cut(s, "\n")
		recipe, says, ok := strings.Cut(rest, "\n>>> ")
		if !ok {
			t.Fatalf("%s has no message", name)
		}
		l = append(l, bad{name, recipe + "\n", strings.TrimSpace(says)})
	}
	return l
}

func TestBadRecipes(t *testing.T) {
	l := bads(t)
	if len(l) < 70 {
		t.Fatalf("%d recipes", len(l))
	}
	for _, c := range l {
		t.Run(c.name, func(t *testing.T) {
			r, err := Parse("bad.yaml", []byte(c.recipe))
			if err == nil {
				t.Fatalf("it was taken: %+v", r)
			}
			if got := err.Error(); got != "bad.yaml:"+c.says {
				t.Errorf("\ngot  %s\nwant bad.yaml:%s", got, c.says)
			}
		})
	}
}

func TestFull(t *testing.T) {
	r, err := Load(filepath.Join(testdata, "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	wide, _ := patch.Preset("siglip2-base-patch16-naflex")
	wide.Name, wide.MaxPatches, wide.DType, wide.Filter, wide.PassOrder = "wide", 1024, "bfloat16", "bicubic", "pillow13"
	square := patch.Spec{Name: "square-384", Layout: "vit", Resize: "square", Size: 384, Crop: 368, Patch: 16, DType: "float32",
		Mean: [3]float64{0.485, 0.456, 0.406}, Std: [3]float64{0.229, 0.224, 0.225}}
	qwen, _ := patch.Preset("qwen2.5-vl")
	want := &pipeline.Recipe{
		Version: 1, Dataset: "full-2026", About: "Everything that can be said,\nsaid once.\n", Digest: r.Digest,
		Take: pipeline.Take{Kinds: []string{"video", "image"}},
		Video: pipeline.VideoRules{Pick: codecs.Pick{Rule: "at", At: []codecs.Rational{{Num: 0, Den: 1}, {Num: 3, Den: 2}, {Num: 30000, Den: 1001}}},
			KeepSampleAspect: true, Truncated: "keep", Containers: []string{"avi", "mpegts"}, Codecs: []string{"ffv1", "prores"}},
		Image: pipeline.ImageRules{Animation: "pick", Pick: codecs.Pick{Rule: "uniform", N: 8}, Alpha: "over:#00ff7f", Gray16: "clip",
			Containers: []string{"bmp", "tiff"}, Truncated: "keep"},
		Tokens:  []patch.Spec{wide.Normalise(), square.Normalise(), qwen.Normalise()},
		Keep:    pipeline.Keep{Frame: "webp", Quality: 75, MaxSide: 1024},
		Outputs: []pipeline.Output{{Format: "webdataset", ShardBytes: 1_500_000_000, ShardSamples: 10_000, ShardAge: 90 * time.Second}},
		Limits: codecs.Limits{MaxSide: 8192, MaxVideoPixels: 9e6, MaxImagePixels: 100e6, MaxImageFrames: 100, MaxAnimationPix: 200e6, MaxFramesKept: 500,
			MaxFramesDecoded: 50000, MaxStreams: 8, MaxDuration: 3600, MaxFPS: 120, MaxSizeChanges: 2, MaxMetadata: 1 << 20, MaxVideoSide: 4096, MaxTokens: 2e6, MaxFrameBytes: 32 << 20},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

func TestDefaults(t *testing.T) {
	r, err := Load(filepath.Join(testdata, "minimal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	naflex, _ := patch.Preset("siglip2-base-patch16-naflex")
	naflex = naflex.Normalise()
	want := &pipeline.Recipe{
		Version: 1, Dataset: "cats", Digest: r.Digest,
		Video:   pipeline.VideoRules{Pick: codecs.Pick{Rule: "fps", Rate: codecs.Rational{Num: 1, Den: 1}}, Truncated: "refuse"},
		Image:   pipeline.ImageRules{Animation: "first", Alpha: "over:#ffffff", Gray16: "high-byte", Truncated: "refuse"},
		Tokens:  []patch.Spec{naflex},
		Outputs: []pipeline.Output{{Format: "webdataset", ShardBytes: 256 << 20, ShardSamples: 100_000, ShardAge: time.Minute}},
		Limits:  codecs.DefaultLimits(),
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	if naflex.DType != "uint8" || naflex.MaxPatches != 256 {
		t.Errorf("the preset is %+v", naflex)
	}
}

func TestDefault(t *testing.T) {
	r, err := Default("cats.1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Dataset != "cats.1" || len(r.Tokens) != 1 || r.Keep != (pipeline.Keep{Frame: "jpeg", Quality: 90, MaxSide: 512}) {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"", "a/b", "-a", "a\"\nb", strings.Repeat("a", 65)} {
		if _, err := Default(name); err == nil || !strings.Contains(err.Error(), "1 to 64 letters") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestDemo(t *testing.T) {
	r, err := Load(filepath.Join(testdata, "demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Tokens) != 2 || r.Keep.Frame != "jpeg" {
		t.Fatalf("%+v", r)
	}
	a, b := r.Tokens[0], r.Tokens[1]
	if a.Layout != "naflex" || a.MaxPatches != 256 || a.DType != "uint8" || b.Layout != "vit" || b.Size != 224 || b.DType != "float32" {
		t.Errorf("%+v, %+v", a, b)
	}
}

func TestLoadSaysWhichFile(t *testing.T) {
	if _, err := Load(filepath.Join(testdata, "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(path, make([]byte, MaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || err.Error() != path+":1:1: the recipe has 1048577 bytes, over the limit of 1048576" {
		t.Error(err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "can not be read") {
		t.Error(err)
	}
}

// Hostile YAML must end in a message, without deep recursion or much memory.
func TestBombs(t *testing.T) {
	for name, s := range map[string]string{
		"words":    strings.Repeat("- a\n", 20_000),
		"brackets": strings.Repeat("[", 100_000),
		"dashes":   strings.Repeat("- ", 50_000),
		"tags":     strings.Repeat("!a ", 50_000),
		"utf8":     "dataset: \xff",
	} {
		if _, err := Parse("f", []byte(s)); err == nil || !strings.HasPrefix(err.Error(), "f:1:") && name == "utf8" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
