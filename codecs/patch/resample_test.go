package patch

import (
	"bytes"
	"image"
	"testing"

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

func TestQuick(t *testing.T) {
	src := noise(1920, 1080, 1)
	var a, c codecs.Pixels
	for _, f := range Filters() {
		if err := newResizer(t, f, Horizontal, reference).Resize(&a, src, 224, 225, image.Rect(0, 0, 224, 225)); err != nil {
			t.Fatal(err)
		}
		if err := newResizer(t, f, Horizontal, fastest()).Resize(&c, src, 224, 225, image.Rect(0, 0, 224, 225)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Pix, c.Pix) {
			t.Error(f, "differs")
		}
	}
}
