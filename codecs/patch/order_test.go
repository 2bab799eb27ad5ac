package patch

import (
	"image"
	"testing"

	"pgregory.net/rapid"
)

// TestOrder holds every value of both implementations to the formulas, written down here
// once more the other way round: from the place in the array to the pixel.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kernel := rapid.SampledFrom([]kernel{reference, fastest()}).Draw(t, "kernel")
		o := order{
			patch:    rapid.OneOf(rapid.IntRange(1, 7), rapid.IntRange(8, 50)).Draw(t, "patch"),
			temporal: rapid.IntRange(1, 3).Draw(t, "temporal"),
			merge:    rapid.IntRange(1, 3).Draw(t, "merge"),
			innerRGB: rapid.Bool().Draw(t, "inner"),
		}
		if o.innerRGB {
			o.temporal = 1
		}
		gh, gw := o.merge*rapid.IntRange(1, 4).Draw(t, "gh"), o.merge*rapid.IntRange(1, 4).Draw(t, "gw")
		at := image.Pt(rapid.IntRange(0, 3).Draw(t, "x"), rapid.IntRange(0, 3).Draw(t, "y"))
		rest := rapid.IntRange(0, 5).Draw(t, "rest") // ignored at the right and the bottom
		p, values := o.patch, o.values()
		dst := make([]byte, gh*gw*values)
		frames := make([][]byte, o.temporal)
		width := at.X + gw*p + rest
		for d := range frames {
			pic := noise(width, at.Y+gh*p+rest, uint32(d))
			frames[d] = pic.Pix
			kernel.cut(o, dst, pic, at, gh, gw, d)
		}
		for n, got := range dst {
			token, k := n/values, n%values
			cell, inner := token/(o.merge*o.merge), token%(o.merge*o.merge)
			y := cell/(gw/o.merge)*o.merge + inner/o.merge
			x := cell%(gw/o.merge)*o.merge + inner%o.merge
			c, d, i, j := k/(o.temporal*p*p), k/(p*p)%o.temporal, k/p%p, k%p
			if o.innerRGB {
				c, i, j = k%3, k/3/p, k/3%p
			}
			if want := frames[d][((at.Y+y*p+i)*width+at.X+x*p+j)*3+c]; got != want {
				t.Fatalf("token %d (row %d, column %d), value %d is %d, want %d", token, y, x, k, got, want)
			}
		}
	})
}

// TestRestIgnored: 384 pixels hold 27 patches of 14, and 6 more pixels that the models'
// embeddings ignore.
func TestRestIgnored(t *testing.T) {
	s, _ := Preset("siglip-so400m-patch14-384")
	got, err := mustNew(t, s).Cut(noise(384, 384, 1))
	if err != nil || got.Count != 27*27 || got.Patches.Shape[0] != 27*27 {
		t.Fatalf("%+v, %v", got, err)
	}
}
