package patch

import (
	"image"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// counted is a kernel that only counts the pixels that each pass has to make.
func counted(across, down *int) kernel {
	return kernel{
		name:   "counted",
		across: func(_ []byte, _ int, _ []byte, _, rows, _ int, a *axis) { *across += rows * len(a.first) },
		down:   func(_ []byte, _ int, _ []byte, _, n, _ int, a *axis) { *down += n / 3 * len(a.first) },
		cut:    order.cut,
	}
}

// TestOnlyKeptIsComputed counts what is computed for a centre crop: in each pass the
// columns and rows that the crop keeps, and in the first one no more lines than the
// second reads.
func TestOnlyKeptIsComputed(t *testing.T) {
	for _, k := range []struct {
		name         string
		w, h         int
		order        PassOrder
		across, down int
	}{
		// Resized to 398x224; the crop keeps 224 columns.
		{"wide", 1920, 1080, Horizontal, 224 * 1080, 224 * 224},
		// Resized to 224x398; the crop keeps rows 87 to 310. Their centres are at 422.1 to
		// 1497.9, and bicubic reaches 2 * 1920/398 rows to either side: rows 412 to 1507.
		{"tall", 1080, 1920, Horizontal, 224 * 1096, 224 * 224},
		// The vertical pass is first, on all columns, but makes the kept rows only.
		{"tall, Pillow 13", 1080, 2920, Pillow13, 224 * 224, 1080 * 224},
		// The horizontal one is, since the width shrinks more.
		{"wide, Pillow 13", 2920, 1070, Pillow13, 224 * 1070, 224 * 224},
		{"square, nothing cropped", 500, 500, Horizontal, 224 * 500, 224 * 224},
	} {
		s := Presets()["clip-vit-base-patch32"]
		s.PassOrder = k.order
		c := mustNew(t, s)
		var across, down int
		c.resizer.kernel = counted(&across, &down)
		if _, err := c.Cut(codecs.Pixels{Width: k.w, Height: k.h, Pix: make([]byte, k.w*k.h*3)}); err != nil {
			t.Fatal(err)
		}
		if across != k.across || down != k.down {
			t.Errorf("%s: %d pixels across and %d down (%d and %d lines), want %d and %d", k.name, across, down, across/224, down/224, k.across, k.down)
		}
	}
}

// TestOnlyNeededIsRead changes all that a kept part does not depend on.
func TestOnlyNeededIsRead(t *testing.T) {
	const w, h, toW, toH = 300, 260, 60, 52
	keep := image.Rect(20, 15, 40, 37)
	for _, f := range Filters() {
		src := noise(w, h, 1)
		r := newResizer(t, f, Horizontal, fastest())
		var want, got codecs.Pixels
		if err := r.Resize(&want, src, toW, toH, keep); err != nil {
			t.Fatal(err)
		}
		x0, x1 := r.axis(w, toW, keep.Min.X, keep.Max.X).span()
		y0, y1 := r.axis(h, toH, keep.Min.Y, keep.Max.Y).span()
		for y := range h {
			for x := range w {
				if x < x0 || x >= x1 || y < y0 || y >= y1 {
					clear(src.Pix[(y*w+x)*3:][:3])
				}
			}
		}
		if err := r.Resize(&got, src, toW, toH, keep); err != nil || sum(got.Pix) != sum(want.Pix) {
			t.Errorf("%s: the part depends on pixels outside %v (%v)", f, image.Rect(x0, y0, x1, y1), err)
		}
		if x0 == 0 || y0 == 0 || x1 == w || y1 == h {
			t.Errorf("%s: reads to the border", f)
		}
	}
}
