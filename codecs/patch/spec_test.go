package patch

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestPresets(t *testing.T) {
	for name, s := range Presets() {
		if s.DType != "" || s.Name == "" {
			t.Errorf("%s: dtype %q, name %q", name, s.DType, s.Name)
		}
		if want := map[bool]string{true: "video"}[strings.HasSuffix(name, "-video")]; s.Media != want {
			t.Errorf("%s: media %q, want %q", name, s.Media, want)
		}
		l, _ := layoutOf(s.Layout)
		if _, err := New(s, DefaultLimits()); (err == nil) != l.stills {
			t.Errorf("%s as stills: %v", name, err)
		}
		if _, err := NewClip(s, DefaultLimits()); (err == nil) != l.clips {
			t.Errorf("%s as clips: %v", name, err)
		}
		if got, ok := Preset(name); !ok || !reflect.DeepEqual(got, s) {
			t.Errorf("%s is not found by name", name)
		}
	}
	if _, ok := Preset("gpt-2"); ok {
		t.Error("found a preset that is none")
	}
}

// TestNormalise: filling defaults twice changes nothing, and a normalised Spec is
// itself valid and survives both its encodings.
func TestNormalise(t *testing.T) {
	specs := Presets()
	for _, name := range Layouts() {
		specs["layout "+name] = Spec{Layout: name}
	}
	for name, s := range specs {
		n := s.Normalise()
		if !reflect.DeepEqual(n, n.Normalise()) {
			t.Errorf("%s: %+v changes when normalised again", name, n)
		}
		if err := n.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var fromJSON, fromYAML Spec
		j, err := json.Marshal(n)
		if err == nil {
			err = json.Unmarshal(j, &fromJSON)
		}
		if err != nil || !reflect.DeepEqual(fromJSON, n) {
			t.Errorf("%s: JSON gives %+v (%v), want %+v", name, fromJSON, err, n)
		}
		y, err := yaml.Marshal(n)
		if err == nil {
			err = yaml.UnmarshalWithOptions(y, &fromYAML, yaml.Strict())
		}
		if err != nil || !reflect.DeepEqual(fromYAML, n) {
			t.Errorf("%s: YAML gives %+v (%v), want %+v", name, fromYAML, err, n)
		}
	}
	if s := (Spec{Layout: ViT, Std: [3]float64{1, 1, 1}}).Normalise(); s.Mean != [3]float64{} {
		t.Errorf("a mean of zero with a std became %v", s.Mean)
	}
}

func TestValidate(t *testing.T) {
	for _, k := range []struct {
		spec Spec
		says string
	}{
		{Spec{}, `layout "" is not known; write one of vit, naflex`},
		{Spec{Layout: "swin"}, `layout "swin" is not known`},
		{Spec{Layout: ViT, Name: "a.b"}, "name: write up to 64 of a-z"},
		{Spec{Layout: ViT, Name: strings.Repeat("a", 65)}, "name:"},
		{Spec{Layout: ViT, MaxPatches: 256}, "max_patches: layout vit has no use for it; leave it out (it takes resize, size, crop)"},
		{Spec{Layout: NaFlex, Size: 224}, "size: layout naflex has no use for it"},
		{Spec{Layout: ViT, Patch: -1}, "patch: -1 is out of range; write 1 to 256"},
		{Spec{Layout: ViT, Size: 1 << 20}, "size: 1048576 is out of range"},
		{Spec{Layout: ViT, Resize: "stretch"}, `resize: "stretch" is not known; write square or shortest_edge`},
		{Spec{Layout: ViT, Filter: "nearest"}, `filter: "nearest" is not known; write one of [bilinear`},
		{Spec{Layout: ViT, PassOrder: "vertical"}, `pass_order: "vertical" is not known; write horizontal or pillow13`},
		{Spec{Layout: ViT, Media: "audio"}, `media: "audio" is not known; write image or video`},
		{Spec{Layout: VideoMAE, Media: "image"}, "media: layout videomae cuts clips alone; write media: video"},
		{Spec{Layout: ViT, DType: "float64"}, `dtype: "float64" is not known; write one of uint8`},
		{Spec{Layout: ViT, Size: 224, Crop: 256}, "crop: 256 is more than size 224; write 224 or less"},
		{Spec{Layout: ViT, Size: 16, Patch: 32}, "patch: 32 is more than the 16 pixels"},
		{Spec{Layout: ViT, Mean: [3]float64{0.5, 0.5, 0.5}}, "std: channel 0 is 0; write three numbers above 0"},
		{Spec{Layout: ViT, Std: [3]float64{1, 1, 1e-60}}, "std: channel 2 is 1e-60"},
		{Spec{Layout: ViT, Mean: [3]float64{0, 1e300, 0}, Std: half}, "mean: channel 1 is 1e+300"},
		{Spec{Layout: Qwen2VL, MinPixels: 5000, MaxPixels: 4000}, "max_pixels: 4000 is less than min_pixels 5000"},
		{Spec{Layout: Qwen2VL, MinPixels: 1, MaxPixels: 700}, "one cell of 784 pixels"},
		{Spec{Layout: Pixtral, Size: 8}, "size: the longest edge 8 is less than patch 16"},
		{Spec{Layout: LLaVANext, Pinpoints: [][2]int{{336, 500}}}, "pinpoints: (336, 500) is not made of whole tiles of size 336"},
		{Spec{Layout: LLaVANext, Size: 7, Patch: 14}, "size: the tile of 7 pixels is smaller than patch 14"},
		{Spec{Layout: VideoMAE, Frames: 15}, "frames: 15 is no multiple of temporal_patch 2; write 16"},
	} {
		err := k.spec.Validate()
		if err == nil || !strings.Contains(err.Error(), k.says) {
			t.Errorf("%+v: got %v, want %q", k.spec, err, k.says)
		}
		if _, err := New(k.spec, DefaultLimits()); err == nil {
			t.Errorf("%+v: compiled", k.spec)
		}
	}
	if _, err := New(Spec{Layout: ViT}, Limits{MaxPixels: 1, MaxTokens: 1}); err == nil || !strings.Contains(err.Error(), "max_bytes") {
		t.Errorf("no limit on bytes: %v", err)
	}
}
