package recipe

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
)

// digests are golden: a change of one is a change of what stored samples claim about
// how they were made, so it must be meant.
var digests = map[string]string{
	"aliases.yaml":  "41f232a182dd78838111d9d7acf7f5b1f2e392809e62f67412ec953979e10831",
	"budget.yaml":   "58e3b13d300bad55a27dfd3688f2d90f4dfa44ec7826cde49557e9a32337a868",
	"clips.yaml":    "1e26e7c64f8bc36eee9a870adb75fabf588252e243ff26a64de6358e2d278f08",
	"demo.yaml":     "ba2cf25c6dbaa3835277519ea5d7b672971cd25923328e5664f97b0d24c8b5b7",
	"films.yaml":    "369a350ab7e12d7f6f40f5ba200199c14272c446f14ce4d0307fc4a432320031",
	"full.yaml":     "1e9ed7431529bb7ebb3b6be5a0fbb7e30faf2f3edbb2409792499f7bf4abdb4d",
	"minimal.yaml":  "15cc9c9bd9a2a187061f619c8f69ddb980819c5a8eabb46a597321da9a1c7577",
	"packed.yaml":   "7dfad760260bde11108e7925a1ae1bf1765c252ea2b19f00eeb36ee1f4ef7e6c",
	"pictures.yaml": "39caee56b2b2285bf49d1f76fd9ae5114ff11d6623052bb6b9a9ebf00200bc8f",
	"sound.yaml":    "067e6d1f536e23c7f7ee1a800c6930f280b0149cf0bbb7491f4b7ee101435969",
	"text.yaml":     "2f8f133defded41a39661bed945aabba1f8b1690797729b6fcc57c9773ad3b26",
	"video.yaml":    "2bf0d3c390b543849a9bba8c96de9a8171075238de23c83c6703c8cee8d46da2",
	"windows.yaml":  "4626d51487f0c584919591a4ff96f07bd5a58fca8350b4247e4c72624afdcf6d",
}

func TestDigestIsGolden(t *testing.T) {
	for _, path := range goods(t) {
		r, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := digests[filepath.Base(path)]; r.Digest != want {
			t.Errorf("%s: %q", filepath.Base(path), r.Digest)
		}
	}
}

func TestCanonicalForm(t *testing.T) {
	r, err := Load(filepath.Join(testdata, "minimal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"dataset":"cats",` +
		`"image":{"alpha":"over:#ffffff","animation":"first","gray16":"high-byte","pick":{"rule":""},"truncated":"refuse"},` +
		`"keep":{},` +
		`"limits":{"max_animation_pixels":512000000,"max_duration_seconds":21600,"max_fps":240,"max_frames_decoded":1000000,"max_frames_kept":10000,"max_image_frames":256,"max_image_pixels":64000000,"max_metadata_bytes":4194304,"max_side":16384,"max_size_changes":16,"max_streams":32,"max_video_pixels":36000000},` +
		`"outputs":[{"format":"webdataset","shard_age":60000000000,"shard_bytes":268435456,"shard_samples":100000}],` +
		`"take":{},` +
		`"tokens":[{"dtype":"uint8","filter":"bilinear","layout":"naflex","max_patches":256,"mean":[0.5,0.5,0.5],"name":"siglip2","pass_order":"horizontal","patch":16,"std":[0.5,0.5,0.5]}],` +
		`"version":1,` +
		`"video":{"pick":{"rate":"1/1","rule":"fps"},"truncated":"refuse"}}`
	if got := string(canonical(r)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The digest covers the meaning: all of it, and nothing else.
func TestDigestCoversTheMeaning(t *testing.T) {
	digest := func(s string) string {
		t.Helper()
		r, err := Parse("r", []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return r.Digest
	}
	base := digest("dataset: d\ntokens: vit-base-patch16-224\n")
	for _, same := range []string{
		"{tokens: [vit-base-patch16-224], dataset: 'd', version: 1}",
		"# words\ndataset: d\nabout: other words\ntokens: {layout: vit}\n",
		"dataset: d\ntake: [text, image, video]\ntokens: {preset: vit-base-patch16-224, name: vit, mean: [0.50, 5e-1, 0.5], std: [0.5, 0.5, 0.5]}\noutputs: {format: webdataset, shard_bytes: 0.25GiB, shard_age: 1m}\n",
		"dataset: d\nvideo: {pick: {fps: 2/2}}\nlimits: {max_image_pixels: 64_000_000, max_video_side: 8192, max_tokens: 4194304, max_frame_bytes: 64MiB}\ntokens: vit-base-patch16-224",
	} {
		if digest(same) != base {
			t.Errorf("another digest for\n%s", same)
		}
	}
	seen := map[string]string{base: "the base"}
	for _, other := range []string{
		"dataset: e\n", "take: video\n", "video: {pick: {fps: 2}}\n", "video: {truncated: keep}\n", "image: {alpha: drop}\n", "keep: jpeg\n",
		"keep: {frame: jpeg, quality: 91}\n", "outputs: {format: webdataset, shard_samples: 1}\n", "limits: {max_fps: 1}\n",
		"limits: {max_video_side: 1}\n", "limits: {max_tokens: 1}\n", "limits: {max_frame_bytes: 1MiB}\n", "video: {codecs: ffv1}\n",
	} {
		s := other + "tokens: vit-base-patch16-224\n"
		if !strings.HasPrefix(other, "dataset") {
			s += "dataset: d\n"
		}
		d := digest(s)
		if before, twice := seen[d]; twice {
			t.Errorf("%q has the digest of %q", other, before)
		}
		seen[d] = other
	}
}

func TestShowReadsBack(t *testing.T) {
	for _, path := range goods(t) {
		r, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		same(t, r)
	}
}

// same checks that a recipe's full form reads back as the same recipe.
func same(t *testing.T, r *pipeline.Recipe) {
	t.Helper()
	shown := Show(r)
	again, err := Parse("shown.yaml", shown)
	if err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	a, _ := json.Marshal(r)
	b, _ := json.Marshal(again)
	if string(a) != string(b) {
		t.Fatalf("read back as\n%s\nnot as\n%s\n%s", b, a, shown)
	}
}

func TestShow(t *testing.T) {
	r, err := Parse("r", []byte("dataset: cats\nabout: 'a \"b\" #c'\ntokens: vit-base-patch16-224\ntake: image\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `version: 1
dataset: "cats"
about: "a \"b\" #c"
take: [image]
image:
  animation: first # first, or a pick rule
  alpha: "#ffffff" # the colour under transparent pixels, or drop
  gray16: high-byte # high-byte, or clip as Pillow does
  truncated: refuse # refuse, or keep what was read
  containers: [] # allowed beyond jpeg, png, webp, gif, avif: bmp, tiff
tokens:
  - name: "vit"
    layout: vit
    patch: 16
    resize: square
    size: 224
    filter: bilinear
    pass_order: horizontal
    dtype: uint8
    mean: [0.5, 0.5, 0.5]
    std: [0.5, 0.5, 0.5]
outputs: # a shard closes at whichever bound comes first
  - format: webdataset
    shard_bytes: 256MiB
    shard_samples: 100000
    shard_age: 1m0s
limits: # what a medium may ask of a worker
`
	got := string(Show(r))
	if !strings.HasPrefix(got, "# The recipe of dataset cats, every default spelled out.\n# digest: "+r.Digest+"\n") || !strings.Contains(got, want) {
		t.Errorf("%s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, path := range goods(f) {
		r, err := Load(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(Show(r))
	}
	for _, b := range bads(f) {
		f.Add([]byte(b.recipe))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse("f", b)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") || strings.Count(err.Error(), "\n") > 0 {
				t.Fatalf("the message is %q", err)
			}
			return
		}
		if r.Digest != Digest(r) {
			t.Fatal("the digest is another's")
		}
		same(t, r)
	})
}
