package pipeline

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs/patch"
)

// Formats with columns are told all fields beforehand: what the line emits is among
// these, and all of these are emitted by some medium.
func TestFieldNames(t *testing.T) {
	spec := func(name, layout, media string) patch.Spec {
		s := patch.Spec{Name: name, Layout: layout, Media: media}
		if layout == patch.NaFlex || layout == patch.TimmFlex {
			s.MaxPatches = 20
		}
		if layout == patch.Qwen2VL || layout == patch.Qwen3VL {
			s.MinPixels, s.MaxPixels = 4096, 16*1024
		}
		if layout == patch.VideoMAE {
			s.Frames = 2
		}
		return s.Normalise()
	}
	mel := func(pad bool) AudioRules {
		return AudioRules{Track: "default", Rate: tapeRate, Chunk: time.Second, Keep: "wav", Mel: &Mel{Name: "w", Bins: 80, Pad: pad}}
	}
	clip := Clip{Frames: 2, Stride: 2, Last: "drop"}
	for name, r := range map[string]*Recipe{
		"layouts": {Tokens: []patch.Spec{spec("a", patch.ViT, ""), spec("b", patch.NaFlex, ""), spec("c", patch.TimmFlex, ""), spec("d", patch.Qwen2VL, ""),
			spec("e", patch.Qwen3VL, ""), spec("f", patch.Pixtral, ""), spec("g", patch.LLaVANext, "")}},
		"kept":         {Keep: Keep{Frame: "jpeg"}, Tokens: []patch.Spec{spec("a", patch.ViT, "image")}},
		"kept as webp": {Keep: Keep{Frame: "webp"}},
		"kept as png":  {Keep: Keep{Frame: "png"}, Audio: mel(false)},
		"sound":        {Audio: mel(true), Tokens: []patch.Spec{spec("a", patch.ViT, "")}},
		"clips": {Video: VideoRules{Clip: clip}, Audio: mel(true), Keep: Keep{Frame: "png"}, Tokens: []patch.Spec{spec("a", patch.ViT, "image"), spec("q", patch.Qwen2VL, "image"),
			spec("q", patch.Qwen2VL, "video"), spec("v", patch.VideoMAE, ""), spec("z", patch.Qwen3VL, "video")}},
	} {
		r.Dataset, r.Limits, r.Video.Truncated = "d", testRecipe().Limits, "refuse"
		picture := shoot("", "0")
		picture.kind = "image"
		films := projector{"picture": func() *film { return picture }, "video": func() *film { return shoot("1", "0", "1") }}
		l := soundLine(t, r, films, deck{"sound": {start: zero, samples: tapeRate}, "video": {start: zero, samples: tapeRate}})
		media := []string{"picture", "video"}
		if r.Audio.On() {
			media = append(media, "sound")
		}
		v, samples := work(t, l, media...)
		if v.Fault != nil {
			t.Errorf("%s: %v", name, v.Fault)
			continue
		}
		emitted := map[string]bool{}
		for _, s := range samples {
			for _, f := range s.Fields {
				emitted[f.Name] = true
			}
		}
		got, want := slices.Sorted(maps.Keys(emitted)), slices.Sorted(slices.Values(r.FieldNames(Output{})))
		if !slices.Equal(got, want) {
			t.Errorf("%s: fields\n%v are emitted, and named are\n%v", name, got, want)
		}
	}
}
