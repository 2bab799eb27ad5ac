package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A dataset of real media, written in each format at once, is the same for every library,
// sample by sample; a published snapshot stays as it was while the dataset grows.
func TestReaders(t *testing.T) {
	p, recipe := folder(t), readersRecipe(t, "zstd")
	backfill := func(files ...string) published {
		t.Helper()
		output(t, exitDone, nil, "backfill", "-q", captioned(t, files...), "--recipe", recipe, "--to", p.url)
		return publish(t, p)
	}
	first := backfill("images/golden/exif6_64x48.jpg", "images/golden/rgba_128x96.png", "videos/h264_bframes.mp4", "videos/vp9.webm")
	before := first.own(t)
	if len(before) < 6 {
		t.Fatalf("%d samples; that shows nothing", len(before))
	}
	first.readByAll(t, before)
	index := filepath.Join(p.url, "_index", fmt.Sprintf("%020d", first.snap.N))
	files := digests(t, index)

	second := backfill("images/golden/text_1920x1080.png", "images/golden/grayjpeg_320x240.jpg", "videos/h264_rot90.mp4")
	after := second.own(t)
	for key := range before {
		if after[key] == nil {
			t.Errorf("%s is not in the second snapshot", key)
		}
	}
	if second.snap.N != first.snap.N+1 || len(after) < len(before)+3 {
		t.Errorf("snapshot %d has %d samples, snapshot %d has %d", first.snap.N, len(before), second.snap.N, len(after))
	}
	second.readByAll(t, after)
	first.readByAll(t, before)
	if now := digests(t, index); len(files) == 0 || !maps.Equal(now, files) {
		t.Errorf("the first snapshot's indexes were %v, and are %v", files, now)
	}
}

// digests are those of all files below a folder.
func digests(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = digest(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The same without compression, which MDS can be read without a copy.
func TestReadersRaw(t *testing.T) {
	p := folder(t)
	src := captioned(t, "images/golden/exif6_64x48.jpg", "videos/h264_bframes.mp4")
	output(t, exitDone, nil, "backfill", "-q", src, "--recipe", readersRecipe(t, ""), "--to", p.url)
	x := publish(t, p)
	x.readByAll(t, x.own(t), inPlace)
	output(t, exitDone, nil, "verify", p.url, "--deep")
}

// Clips with their sound, sound alone and packed sequences come back the same as well.
func TestReadersClips(t *testing.T) {
	p := folder(t)
	path := filepath.Join(t.TempDir(), "clips.yaml")
	if err := os.WriteFile(path, []byte(`dataset: clips
video: {pick: {fps: 4}, clip: {frames: 4, stride: 2, last: keep}}
audio: {keep: flac, chunk: 1s, mel: {bins: 80, pad: false}}
tokens: [{preset: qwen2.5-vl-video, max_pixels: 100352}, {preset: qwen2.5-vl, media: image, max_pixels: 100352, dtype: bfloat16}]
outputs: [webdataset, mds, parquet]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	src := captioned(t, "videos/h264_aac.mp4", "audio/stereo.mp3", "audio/late.mp4", "images/golden/rgba_128x96.png")
	output(t, exitDone, nil, "backfill", "-q", src, "--recipe", path, "--to", p.url)
	x := publish(t, p)
	own := x.own(t)
	held := map[string]int{}
	for _, fields := range own {
		for name := range fields {
			held[name]++
		}
	}
	for _, name := range []string{"qwen.patches", "qwen.times", "whisper.mel", "whisper.mask", "audio.flac"} {
		if held[name] == 0 {
			t.Errorf("no sample holds %s; there are %v", name, held)
		}
	}
	x.readByAll(t, own)
	output(t, exitDone, nil, "verify", p.url, "--deep")
}

func TestReadersSequences(t *testing.T) {
	p := folder(t)
	path := filepath.Join(t.TempDir(), "packs.yaml")
	if err := os.WriteFile(path, []byte(`dataset: packs
take: [image]
tokens: {preset: siglip2-base-patch16-naflex, max_patches: 64}
outputs: [webdataset, mds, parquet]
pack: {budget: 256, multiple: 16}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	src := captioned(t, "images/golden/exif6_64x48.jpg", "images/golden/rgba_128x96.png", "images/golden/gray_200x150.png",
		"images/golden/zone_224x224.png", "images/golden/strip_1000x5.png", "images/golden/noise_17x31.png")
	output(t, exitDone, nil, "backfill", "-q", src, "--recipe", path, "--to", p.url)
	x := publish(t, p)
	own := x.own(t)
	if len(own) != 2 {
		t.Errorf("6 samples of up to 64 patches are in %d sequences of 256; that needs 2", len(own))
	}
	x.readByAll(t, own)
	output(t, exitDone, nil, "verify", p.url, "--deep")
}

// readersRecipe has arrays of several dtypes, some of them for stills or videos alone, and
// each format.
func readersRecipe(t testing.TB, compression string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "readers.yaml")
	text := `dataset: readers
video: {pick: {fps: 1}}
tokens:
  - {preset: vit-base-patch16-224, dtype: float16}
  - {preset: siglip2-base-patch16-naflex, max_patches: 64, dtype: uint8}
keep: {frame: jpeg, quality: 80, max_side: 256}
outputs:
  - {format: webdataset, shard_bytes: 1MiB}
  - {format: mds, shard_bytes: 1MiB, compression: "` + compression + `"}
  - {format: parquet, shard_bytes: 1MiB, compression: "` + compression + `"}
`
	if compression == "" {
		text = strings.ReplaceAll(text, `, compression: ""`, "")
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// captioned is a list of files of testdata, each but the first with a text.
func captioned(t testing.TB, files ...string) string {
	t.Helper()
	var list bytes.Buffer
	for i, f := range files {
		path, err := filepath.Abs(filepath.Join("../../testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		row := map[string]string{"uri": path}
		if i > 0 {
			row["text"] = "ein Bär: " + f
		}
		if err := json.NewEncoder(&list).Encode(row); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "list.jsonl")
	if err := os.WriteFile(path, list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
