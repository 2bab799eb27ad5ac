package recipe

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
)

// fieldsOf lists the fields under a type, as the table of effects names them.
func fieldsOf(t reflect.Type, path string) []string {
	switch {
	case t.Kind() == reflect.Pointer:
		return append([]string{path}, fieldsOf(t.Elem(), path)...)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return append([]string{path, path + "[]"}, fieldsOf(t.Elem(), path)...)
	case isAtom(t):
		return []string{path}
	}
	var l []string
	for f := range t.Fields() {
		l = append(l, fieldsOf(f.Type, join(path, jsonName(f)))...)
	}
	return l
}

// A field without effects would make diff say that it changes nothing.
func TestEveryFieldHasEffects(t *testing.T) {
	fields := fieldsOf(reflect.TypeFor[pipeline.Recipe](), "")
	slices.Sort(fields)
	if known := slices.Sorted(maps.Keys(effects)); !slices.Equal(fields, known) {
		for _, f := range fields {
			if !slices.Contains(known, f) {
				t.Errorf("%s has no effects in the table", f)
			}
		}
		for _, f := range known {
			if !slices.Contains(fields, f) {
				t.Errorf("the table has effects of %s, which a recipe has not", f)
			}
		}
	}
	for f, l := range effects {
		if len(l) == 0 && f != "digest" {
			t.Errorf("%s has the field, and no effect", f)
		}
		for _, e := range l {
			if e != Words && e.Says() == Words.Says() {
				t.Errorf("%s: the effect %q has no words", f, e)
			}
		}
	}
}

func TestDiff(t *testing.T) {
	const vit = "tokens: vit-base-patch16-224\n"
	for _, c := range []struct{ a, b, want string }{
		{vit, vit + "about: words\n", ""},
		{"about: a\n" + vit, "about: b\n" + vit, "about: a -> b (words)"},
		{vit, "tokens: {preset: vit-base-patch16-224, size: 384, dtype: float32}\n", "tokens[vit].size: 224 -> 384 (arrays), tokens[vit].dtype: uint8 -> float32 (arrays)"},
		{vit, "tokens: {preset: vit-base-patch16-224, mean: [0, 0, 0], std: [1, 1, 1]}\n", "tokens[vit].mean: [0.5,0.5,0.5] -> [0,0,0] (description), tokens[vit].std: [0.5,0.5,0.5] -> [1,1,1] (description)"},
		{"tokens: {layout: vit, dtype: float16}", "tokens: {layout: vit, dtype: float16, mean: [0.5, 0.5, 0.5], std: [1, 1, 1]}\n", "tokens[vit].std: [0.5,0.5,0.5] -> [1,1,1] (arrays)"},
		{vit, "tokens: {preset: vit-base-patch16-224, name: square}\n", "tokens[vit].name: vit -> square (names)"},
		{vit, "tokens: [vit-base-patch16-224, pixtral-12b]\n", "tokens[pixtral]: none -> layout pixtral (arrays)"},
		{"tokens: [dinov2-base, pixtral-12b]\n", "tokens: pixtral-12b\n", "tokens[dinov2]: layout vit -> none (arrays)"},
		{"tokens: [dinov2-base, pixtral-12b]\n", "tokens: [pixtral-12b, dinov2-base]\n", `tokens: ["dinov2","pixtral"] -> ["pixtral","dinov2"] (packaging)`},
		{vit, vit + "video: {pick: {every: 10}}\n", "video.pick: {fps: 1} -> {every: 10} (samples)"},
		{vit, vit + "take: image\n", `take.kinds: ["video","image","text"] -> ["image"] (samples)`},
		{"tokens: videomae-base\n", "tokens: videomae-base\nvideo: {pick: {fps: 8}}\n", "video.pick: {every: 4} -> {fps: 8} (arrays samples)"},
		{"tokens: videomae-base\n", "tokens: videomae-base\nvideo: {clip: {frames: 16, stride: 4}}\n", "video.clip: {frames: 16, stride: 16, last: drop} -> {frames: 16, stride: 4, last: drop} (arrays samples)"},
		{vit, vit + "video: {hdr: tonemap}\n", "video.hdr: keep -> tonemap (arrays originals)"},
		{vit + "video: {interlaced: deinterlace}\n", vit + "video: {interlaced: refuse}\n", "video.interlaced: deinterlace -> refuse (samples)"},
		{vit, vit + "image: {alpha: drop}\n", "image.alpha: over:#ffffff -> drop (arrays originals)"},
		{vit + "keep: jpeg\n", vit + "keep: {frame: jpeg, quality: 80, max_side: 512}\n", "keep.quality: 90 -> 80 (originals), keep.max_side: none -> 512 (originals)"},
		{vit, vit + "outputs: {format: webdataset, shard_age: 5s}\n", "outputs[webdataset].shard_age: 1m0s -> 5s (packaging)"},
		{vit, vit + "outputs: [{format: mds, compression: zstd}, webdataset]\n", "outputs[mds]: none -> format mds (packaging)"},
		{vit, vit + "pack: 512\n", `take.kinds: ["video","image","text"] -> ["video","image"] (samples), outputs[webdataset].pack: none -> {"tokens":"vit","budget":512,"count":"patches","window":512,"multiple":1,"mode":"first_fit_decreasing"} (sequences)`},
		{vit + "pack: 512\n", vit + "pack: {budget: 512, window: 8}\n", "outputs[webdataset].pack.window: 512 -> 8 (sequences)"},
		{vit, vit + "limits: {max_fps: 60}\n", "limits.max_fps: 240 -> 60 (refusals)"},
		{vit + "audio: eng\n", vit + "audio: {track: deu, keep: flac}\n", "audio.track: eng -> deu (samples originals)"},
		{vit + "audio: {mel: 80}\n", vit + "audio: {mel: {bins: 128, name: w}, chunk: 20s}\n", "audio.chunk: 30s -> 20s (samples arrays), audio.mel.name: whisper -> w (names), audio.mel.bins: 80 -> 128 (arrays)"},
		{"tokens: qwen2.5-vl\n", "tokens: [qwen2.5-vl, qwen2.5-vl-video]\n", "video.pick: {fps: 1} -> {qwen2vl: {fps: 2, min_frames: 4, max_frames: 768}} (arrays samples), video.clip: none -> all (arrays samples), tokens[qwen].media: none -> image (arrays), tokens[qwen of video]: none -> layout qwen2vl (arrays)"},
		{"tokens: [qwen2.5-vl, qwen2.5-vl-video]\n", "tokens: [qwen2.5-vl-video, {preset: qwen2.5-vl, max_pixels: 602112}]\n",
			`tokens[qwen of image].max_pixels: 12845056 -> 602112 (arrays)`},
	} {
		a, b := parse(t, c.a), parse(t, c.b)
		d := Diff(a, b)
		var l []string
		for _, ch := range d.Changes {
			l = append(l, ch.String()+" ("+joined(ch.Effects)+")")
		}
		if got := strings.Join(l, ", "); got != c.want {
			t.Errorf("from\n%sto\n%s\ngot  %s\nwant %s", c.a, c.b, got, c.want)
		}
		if d.Same != (a.Digest == b.Digest) || d.A != a.Digest || d.B != b.Digest {
			t.Errorf("%+v of %.8s and %.8s", d, a.Digest, b.Digest)
		}
		if arrays := strings.Contains(c.want, "arrays"); d.Arrays != arrays || d.Samples != strings.Contains(c.want, "samples") || d.Originals != strings.Contains(c.want, "originals") {
			t.Errorf("%s: %+v", c.want, d)
		}
	}
}

func joined(l []Effect) string {
	var s []string
	for _, e := range l {
		s = append(s, string(e))
	}
	return strings.Join(s, " ")
}

// Two recipes of other digests differ in something that diff names, whichever they are.
func TestDiffNamesWhatDigestsSee(t *testing.T) {
	var all []*pipeline.Recipe
	for _, path := range goods(t) {
		r, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	for _, a := range all {
		for _, b := range all {
			d := Diff(a, b)
			if (len(d.Changes) == 0) != (a == b) {
				t.Errorf("%s and %s: %d changes", a.Dataset, b.Dataset, len(d.Changes))
			}
			if back := Diff(b, a); len(back.Changes) != len(d.Changes) || back.Arrays != d.Arrays {
				t.Errorf("%s and %s: %d changes one way, %d the other", a.Dataset, b.Dataset, len(d.Changes), len(back.Changes))
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		}
	}
}
