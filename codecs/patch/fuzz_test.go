package patch

import (
	"encoding/json"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// FuzzCut compiles any Spec and cuts a picture of any size: it must refuse or give
// arrays that are what they say, within the limits.
func FuzzCut(f *testing.F) {
	for _, s := range Presets() {
		b, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(40), uint16(30), uint8(1))
		f.Add(b, uint16(999), uint16(1), uint8(16))
	}
	limits := Limits{MaxPixels: 100_000, MaxTokens: 5000, MaxBytes: 2 << 20}
	f.Fuzz(func(t *testing.T, doc []byte, width, height uint16, frames uint8) {
		var s Spec
		if json.Unmarshal(doc, &s) != nil || int(width)*int(height) > 50_000 || width == 0 || height == 0 {
			return
		}
		p := noise(int(width), int(height), uint32(width))
		if c, err := New(s, limits); err == nil {
			verify(t, limits, c.Cut, p)
		}
		if c, err := NewClip(s, limits); err == nil && frames > 0 {
			verify(t, limits, func(p codecs.Pixels) (*Tokens, error) {
				all := make([]codecs.Pixels, frames)
				for i := range all {
					all[i] = p
				}
				return cutClip(c, all)
			}, p)
		}
	})
}

func verify(t *testing.T, l Limits, cut func(codecs.Pixels) (*Tokens, error), p codecs.Pixels) {
	t.Helper()
	k, err := cut(p)
	if err != nil {
		if codecs.AsError(err) == nil {
			t.Fatalf("%v is no media error", err)
		}
		return
	}
	if len(k.Patches.Data) > int(l.MaxBytes) || k.Patches.Shape[0] > int(l.MaxTokens) || k.Count < 1 || k.Count > k.Patches.Shape[0] {
		t.Fatalf("%d of %v tokens, %d bytes", k.Count, k.Patches.Shape, len(k.Patches.Data))
	}
	for _, a := range []*Array{&k.Patches, &k.Grid, k.Mask, k.Coords} {
		if a == nil {
			continue
		}
		if back, err := ParseNPY(AppendNPY(nil, *a)); err != nil || !sameArray(back, *a) {
			t.Fatalf("%s %v does not survive .npy: %v", a.DType, a.Shape, err)
		}
	}
}
