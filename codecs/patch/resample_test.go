package patch

import (
	"bytes"
	"image"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/codecs"
)

// noise returns reproducible random pixels, with runs of black and white in them so
// that kernels overshoot.
func noise(width, height int, seed uint32) codecs.Pixels {
	p := codecs.Pixels{Width: width, Height: height, Pix: make([]byte, width*height*3)}
	for i := range p.Pix {
		seed = seed*1664525 + 1013904223
		switch v := byte(seed >> 24); {
		case seed>>8&3 == 0:
			p.Pix[i] = 0
		case seed>>8&3 == 1:
			p.Pix[i] = 255
		default:
			p.Pix[i] = v
		}
	}
	return p
}

func newResizer(t testing.TB, f Filter, o PassOrder, k kernel) *Resizer {
	t.Helper()
	r, err := NewResizer(f, o)
	if err != nil {
		t.Fatal(err)
	}
	r.kernel = k
	return r
}

func BenchmarkResize(b *testing.B) {
	src := noise(1920, 1080, 1)
	for _, k := range []kernel{fastest(), reference} {
		for _, f := range []Filter{Bicubic, Bilinear} {
			for _, size := range [][2]int{{224, 224}, {1316, 728}} {
				b.Run(k.name+"/"+string(f)+"/"+image.Pt(size[0], size[1]).String(), func(b *testing.B) {
					r := newResizer(b, f, Horizontal, k)
					var dst codecs.Pixels
					b.SetBytes(int64(len(src.Pix)))
					for b.Loop() {
						if err := r.Resize(&dst, src, size[0], size[1], image.Rect(0, 0, size[0], size[1])); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// side draws a side of a picture: mostly small, now and then extreme.
func side(t *rapid.T, name string) int {
	return rapid.OneOf(rapid.IntRange(1, 12), rapid.IntRange(1, 90), rapid.IntRange(1, 700)).Draw(t, name)
}

// TestResizeSame holds the vector implementation to the reference, and a part that is
// kept to the same part of the whole.
func TestResizeSame(t *testing.T) {
	if fastest().name == reference.name {
		t.Log("this machine has the reference only")
	}
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.SampledFrom(Filters()).Draw(t, "filter")
		order := rapid.SampledFrom([]PassOrder{Horizontal, Pillow13}).Draw(t, "order")
		src := noise(side(t, "width"), side(t, "height"), rapid.Uint32().Draw(t, "seed"))
		w, h := side(t, "to width"), side(t, "to height")
		if src.Width*src.Height > 200_000 || w*h > 200_000 {
			return
		}
		x0, y0 := rapid.IntRange(0, w-1).Draw(t, "x0"), rapid.IntRange(0, h-1).Draw(t, "y0")
		keep := image.Rect(x0, y0, rapid.IntRange(x0+1, w).Draw(t, "x1"), rapid.IntRange(y0+1, h).Draw(t, "y1"))
		slow, _ := NewResizer(filter, order)
		fast, _ := NewResizer(filter, order)
		slow.kernel = reference

		var whole, part, again codecs.Pixels
		for _, err := range []error{
			slow.Resize(&whole, src, w, h, image.Rect(0, 0, w, h)),
			fast.Resize(&part, src, w, h, keep),
			slow.Resize(&again, src, w, h, keep),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for y := range keep.Dy() {
			want := row(whole, y0+y)[3*x0:][:3*keep.Dx()]
			if !bytes.Equal(row(part, y), want) {
				t.Fatalf("row %d of %v: the %s implementation differs from the reference's whole picture", y, keep, fast.kernel.name)
			}
			if !bytes.Equal(row(again, y), want) {
				t.Fatalf("row %d of %v: the reference's part differs from its whole picture", y, keep)
			}
		}
	})
}

// TestResizeCache changes sizes more often than the cache holds, and comes back.
func TestResizeCache(t *testing.T) {
	r := newResizer(t, Bicubic, Horizontal, fastest())
	var first, dst codecs.Pixels
	for round := range 3 {
		for n := range axesKept + 3 {
			src := noise(40+n, 30+2*n, uint32(n))
			if err := r.Resize(&dst, src, 24, 24, image.Rect(0, 0, 24, 24)); err != nil {
				t.Fatal(err)
			}
			fresh := newResizer(t, Bicubic, Horizontal, reference)
			if err := fresh.Resize(&first, src, 24, 24, image.Rect(0, 0, 24, 24)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first.Pix, dst.Pix) {
				t.Fatalf("round %d, size %d: differs from a fresh resizer", round, n)
			}
		}
	}
}

func TestResizeRefuses(t *testing.T) {
	if _, err := NewResizer("nearest", Horizontal); err == nil {
		t.Error("took an unknown filter")
	}
	if _, err := NewResizer(Box, "diagonal"); err == nil {
		t.Error("took an unknown pass order")
	}
	r := newResizer(t, Box, Horizontal, fastest())
	good, all := noise(4, 3, 1), image.Rect(0, 0, 8, 8)
	for name, k := range map[string]struct {
		src  codecs.Pixels
		w, h int
		keep image.Rectangle
	}{
		"zero width":     {good, 0, 8, all},
		"negative":       {good, 8, -1, all},
		"no pixels":      {codecs.Pixels{}, 8, 8, all},
		"too few bytes":  {codecs.Pixels{Width: 4, Height: 3, Pix: good.Pix[:35]}, 8, 8, all},
		"too many bytes": {codecs.Pixels{Width: 4, Height: 3, Pix: append(good.Pix, 0)}, 8, 8, all},
		"overflow":       {codecs.Pixels{Width: 1 << 62, Height: 4, Pix: nil}, 8, 8, all},
		"keep nothing":   {good, 8, 8, image.Rectangle{}},
		"keep outside":   {good, 8, 8, image.Rect(0, 0, 9, 8)},
	} {
		if err := r.Resize(new(codecs.Pixels), k.src, k.w, k.h, k.keep); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
