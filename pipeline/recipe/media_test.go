package recipe

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

func parse(t testing.TB, text string) *pipeline.Recipe {
	t.Helper()
	r, err := Parse("r", []byte("dataset: d\n"+text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return r
}

// What token outputs ask of video, and what is taken, where the recipe leaves it open.
func TestClipsAndKindsFollowFromTokens(t *testing.T) {
	window := func(n, stride int, last string) pipeline.Clip {
		return pipeline.Clip{Frames: n, Stride: stride, Last: last}
	}
	for _, c := range []struct {
		text  string
		clip  pipeline.Clip
		kinds []string
	}{
		{"tokens: vit-base-patch16-224", pipeline.Clip{}, nil},
		{"tokens: videomae-base", window(16, 16, "drop"), []string{"video", "text"}},
		{"tokens: {preset: videomae-base, frames: 8}", window(8, 8, "drop"), []string{"video", "text"}},
		{"tokens: videomae-base\naudio: eng", window(16, 16, "drop"), []string{"video", "audio", "text"}},
		{"tokens: videomae-base\nvideo: {clip: {frames: 16, stride: 4, last: repeat}}", window(16, 4, "repeat"), []string{"video", "text"}},
		{"tokens: [videomae-base, {preset: vit-base-patch16-224, media: image}]", window(16, 16, "drop"), nil},
		{"tokens: [videomae-base, {layout: videomae, name: small, size: 112}]", window(16, 16, "drop"), []string{"video", "text"}},
		{"tokens: {preset: videomae-base, media: video}\nkeep: jpeg", window(16, 16, "drop"), nil},
		{"tokens: qwen2.5-vl", pipeline.Clip{}, nil},
		{"tokens: qwen2.5-vl-video", pipeline.Clip{All: true}, []string{"video", "text"}},
		{"tokens: [qwen2.5-vl-video, qwen2.5-vl]", pipeline.Clip{All: true}, nil},
		{"tokens: qwen3-vl-video\ntake: video", pipeline.Clip{All: true}, []string{"video"}},
		{"tokens: {layout: qwen2vl, media: video}", pipeline.Clip{}, []string{"video", "text"}}, // frame by frame
		{"tokens: {preset: vit-base-patch16-224, media: image}", pipeline.Clip{}, []string{"image", "text"}},
		{"tokens: [videomae-base]\npack: 8192", window(16, 16, "drop"), []string{"video"}},
		{"tokens: vit-base-patch16-224\npack: 8192", pipeline.Clip{}, []string{"video", "image"}},
		{"tokens: vit-base-patch16-224\noutputs: [mds, {format: webdataset, pack: 8192}]", pipeline.Clip{}, []string{"video", "image"}},
		{"keep: png\nvideo: {clip: {frames: 3}}", window(3, 3, "drop"), nil},
		{"take: audio\naudio: {mel: 80}", pipeline.Clip{}, []string{"audio"}},
		{"keep: jpeg\naudio: eng\ntake: [text, audio, image, video]", pipeline.Clip{}, nil},
		{"keep: jpeg\naudio: eng\ntake: [text, image, video]", pipeline.Clip{}, []string{"video", "image", "text"}},
	} {
		r := parse(t, c.text)
		if r.Video.Clip != c.clip || !slices.Equal(r.Take.Kinds, c.kinds) {
			t.Errorf("%s: clips %+v of %q, want %+v of %q", c.text, r.Video.Clip, r.Take.Kinds, c.clip, c.kinds)
		}
		same(t, r)
	}
}

// Two outputs share a name if one is cut from images and the other from video; the one
// that says nothing takes what the other leaves.
func TestOutputsShareANameByMedium(t *testing.T) {
	for _, text := range []string{
		"tokens: [qwen2.5-vl, qwen2.5-vl-video]",
		"tokens: [{preset: qwen2.5-vl, media: image}, qwen2.5-vl-video]",
		"tokens: [{preset: qwen2.5-vl, media: image}, {preset: qwen2.5-vl, min_pixels: 100352, max_pixels: 602112}]\nvideo: {clip: all}",
	} {
		r := parse(t, text)
		still, _ := patch.Preset("qwen2.5-vl")
		clip, _ := patch.Preset("qwen2.5-vl-video")
		still, clip = still.Normalise(), clip.Normalise()
		still.Media, clip.Media = "image", "video"
		if want := []patch.Spec{still, clip}; !reflect.DeepEqual(r.Tokens, want) || !r.Video.Clip.All {
			t.Errorf("%s: %+v, %+v", text, r.Tokens, r.Video.Clip)
		}
	}
}

func TestPicksOfProcessors(t *testing.T) {
	qwen := func(rule codecs.PickRule, rate int64, least, most int) codecs.Pick {
		return codecs.Pick{Rule: rule, Rate: codecs.NewRational(rate, 1), Min: least, Max: most}
	}
	fps := codecs.Pick{Rule: codecs.PickFPS, Rate: codecs.NewRational(1, 1)}
	for text, want := range map[string]codecs.Pick{
		"keep: jpeg\nvideo: {pick: qwen2vl}":                                            qwen("qwen2vl", 2, 4, 768),
		"keep: jpeg\nvideo: {pick: {qwen2vl: 3}}":                                       qwen("qwen2vl", 3, 4, 768),
		"keep: jpeg\nvideo: {pick: {qwen3vl: {fps: 1, min_frames: 2, max_frames: 64}}}": qwen("qwen3vl", 1, 2, 64),
		"keep: jpeg\nvideo: {pick: {qwen3vl: {}}}":                                      qwen("qwen3vl", 2, 4, 768),
		"tokens: qwen2.5-vl-video":                                                      qwen("qwen2vl", 2, 4, 768),
		"tokens: [qwen3-vl, qwen3-vl-video]":                                            qwen("qwen3vl", 2, 4, 768),
		"tokens: qwen3-vl-video\nvideo: {clip: {frames: 8}}":                            fps,
		"tokens: qwen3-vl-video\nvideo: {pick: {fps: 1}}":                               fps,
		"tokens: qwen2.5-vl":                                                            fps,
		"tokens: [qwen2.5-vl-video, {preset: qwen3-vl-video, name: q}]":                 fps, // they pick otherwise
		"tokens: {layout: qwen2vl, media: video}\nvideo: {clip: all}":                   fps,
	} {
		r := parse(t, text)
		if !reflect.DeepEqual(r.Video.Pick, want) {
			t.Errorf("%s: %+v, want %+v", text, r.Video.Pick, want)
		}
		same(t, r)
	}
}

func TestSoundAndPacks(t *testing.T) {
	const vit = "tokens: vit-base-patch16-224\n"
	whisper := &pipeline.Mel{Name: "whisper", Bins: 128, Pad: true}
	for text, want := range map[string]pipeline.AudioRules{
		"audio: default":     {Track: "default", Rate: 16000, Chunk: 30 * time.Second, Keep: "flac"},
		"audio: deu":         {Track: "deu", Rate: 16000, Chunk: 30 * time.Second, Keep: "flac"},
		"audio: {keep: wav}": {Track: "default", Rate: 16000, Chunk: 30 * time.Second, Keep: "wav"},
		"audio: {mel: 128}":  {Track: "default", Rate: 16000, Chunk: 30 * time.Second, Mel: whisper},
		"audio: {mel: {}}":   {Track: "default", Rate: 16000, Chunk: 30 * time.Second, Mel: whisper},
		"audio: {mel: 8_0}":  {Track: "default", Rate: 16000, Chunk: 30 * time.Second, Mel: &pipeline.Mel{Name: "whisper", Bins: 80, Pad: true}},
		"audio: {track: 'yes', rate: 48e3, chunk: 1m, keep: flac}":     {Track: "yes", Rate: 48000, Chunk: time.Minute, Keep: "flac"},
		"audio: {chunk: 1m, mel: {name: omni, bins: 128, pad: false}}": {Track: "default", Rate: 16000, Chunk: time.Minute, Mel: &pipeline.Mel{Name: "omni", Bins: 128}},
	} {
		r := parse(t, vit+text)
		if !reflect.DeepEqual(r.Audio, want) {
			t.Errorf("%s: %+v, want %+v", text, r.Audio, want)
		}
		same(t, r)
	}
	for text, want := range map[string]pipeline.Pack{
		"pack: 8192":           {Tokens: "vit", Budget: 8192, Count: "patches", Window: 512, Multiple: 1, Mode: "first_fit_decreasing"},
		"pack: {budget: 8192}": {Tokens: "vit", Budget: 8192, Count: "patches", Window: 512, Multiple: 1, Mode: "first_fit_decreasing"},
		"pack: {budget: 8192, max_samples: 4, multiple: 8, window: 7}":                         {Tokens: "vit", Budget: 8192, Count: "patches", Window: 7, Multiple: 8, MaxSamples: 4, Mode: "first_fit"},
		"outputs: {format: mds, pack: {budget: 196, mode: first_fit_decreasing, tokens: vit}}": {Tokens: "vit", Budget: 196, Count: "patches", Window: 512, Multiple: 1, Mode: "first_fit_decreasing"},
	} {
		r := parse(t, vit+text)
		if r.Outputs[0].Pack == nil || *r.Outputs[0].Pack != want {
			t.Errorf("%s: %+v, want %+v", text, r.Outputs[0].Pack, want)
		}
		same(t, r)
	}
	r := parse(t, vit+"outputs: [webdataset, mds]\npack: 512")
	if a, b := r.Outputs[0].Pack, r.Outputs[1].Pack; a == b || *a != *b {
		t.Errorf("both outputs are packed alike: %+v, %+v", a, b)
	}
}

// What a recipe may say of packs, the packer takes.
func TestPacksAreThoseOfThePacker(t *testing.T) {
	if modes := packing.Modes(); len(modes) != 2 || modes[0] != firstFitDecreasing || modes[1] != firstFit {
		t.Errorf("the packer has the modes %q", modes)
	}
	for _, text := range []string{"pack: 1", "pack: 699050", "pack: {budget: 65536, window: 65536, multiple: 65536, max_samples: 1048576}", "pack: {budget: 1, window: 1, multiple: 1, max_samples: 1, mode: first_fit_decreasing}"} {
		p := parse(t, "tokens: pixtral-12b\n"+text).Outputs[0].Pack
		s := packing.Settings{Capacity: p.Budget, Window: p.Window, Multiple: p.Multiple, Limit: p.MaxSamples, Mode: packing.Mode(p.Mode)}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// keep is what the words say that are not there.
func TestKeepIsTheEmptyWord(t *testing.T) {
	if a, b := parse(t, "keep: jpeg"), parse(t, "keep: jpeg\nvideo: {interlaced: keep, hdr: keep}\noutputs: {format: webdataset, compression: none}"); a.Digest != b.Digest {
		t.Error("the digests differ")
	}
	r := parse(t, "keep: jpeg\nvideo: {interlaced: deinterlace, hdr: refuse}\noutputs: {format: parquet, compression: zstd}")
	if r.Video.Interlaced != "deinterlace" || r.Video.HDR != "refuse" || r.Outputs[0].Compression != "zstd" {
		t.Errorf("%+v", r)
	}
}

// Whatever parts a recipe is made of: if it is taken, its full form is the same recipe.
func TestShowReadsBackOfAnyParts(t *testing.T) {
	presets := []string{"videomae-base", "qwen2.5-vl", "qwen2.5-vl-video", "qwen3-vl", "qwen3-vl-video", "vit-base-patch16-224",
		"siglip2-base-patch16-naflex", "naflexvit-base-patch16", "pixtral-12b", "llava-next", "dinov2-base"}
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		one := func(name string, l ...string) string { return rapid.SampledFrom(l).Draw(t, name) }
		text := "dataset: d\n" + one("take", "", "", "take: video\n", "take: image\n", "take: audio\n", "take: [video, image]\n", "take: [audio, video]\n", "take: text\n")
		tokens := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("{preset: %s%s%s}", rapid.SampledFrom(presets).Draw(t, "preset"),
				rapid.SampledFrom([]string{"", "", ", media: image", ", media: video"}).Draw(t, "media"),
				rapid.SampledFrom([]string{"", ", dtype: float16", ", name: x"}).Draw(t, "more"))
		}), 0, 3).Draw(t, "tokens")
		if len(tokens) > 0 {
			text += "tokens:\n"
			for _, s := range tokens {
				text += "  - " + s + "\n"
			}
		}
		text += one("video", "", "", "video: {clip: all, pick: {fps: 2}}\n", "video: {clip: {frames: 16, stride: 3}}\n", "video: {clip: {frames: 2, last: keep}, hdr: tonemap}\n", "video: {interlaced: refuse}\n")
		text += one("audio", "", "", "audio: eng\n", "audio: {mel: 80}\n", "audio: {keep: wav, chunk: 5s, rate: 44100}\n")
		text += one("keep", "", "", "keep: webp\n", "keep: {frame: png, max_side: 64}\n")
		text += one("pack", "", "", "", "pack: 65536\n", "pack: {budget: 4096, max_samples: 3, count: language}\n")
		text += one("outputs", "", "outputs: mds\n", "outputs: [parquet, {format: mds, compression: zstd, shard_age: 5s}]\n", "outputs: [webdataset, {format: parquet, pack: {budget: 65536, tokens: x}}]\n")
		r, err := Parse("r", []byte(text))
		if err != nil {
			refused++
			return
		}
		taken++
		again, err := Parse("shown", Show(r))
		if err != nil || again.Digest != r.Digest || !reflect.DeepEqual(again, r) {
			t.Fatalf("%v\n%s\nis shown as\n%s", err, text, Show(r))
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d recipes were taken, %d refused", taken, refused)
	}
}
