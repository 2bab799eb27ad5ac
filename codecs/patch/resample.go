package patch

import (
	"fmt"
	"image"

	"github.com/millrace/millrace/codecs"
)

// PassOrder says which direction of a resize runs first. Values are rounded and
// clipped to bytes between the passes, so it shows at hard edges.
type PassOrder string

// The pass orders.
const (
	// Horizontal always runs the horizontal pass first, as Pillow did before 13.
	Horizontal PassOrder = "horizontal"
	// Pillow13 runs the vertical pass first where the height shrinks, and by more
	// than twice what the width does.
	Pillow13 PassOrder = "pillow13"
)

// axesKept bounds the cache of weights: pictures of one source share their sizes.
const axesKept = 8

// Resizer resizes pictures exactly as Pillow's Image.resize does for 8-bit RGB
// (Resample.c). It keeps the weights of the last sizes and its buffers between
// calls. Not safe for concurrent use.
type Resizer struct {
	filter Filter
	order  PassOrder
	kernel kernel
	axes   [axesKept]axis
	oldest int // the next of axes to be replaced
	middle []byte
}

// NewResizer returns a Resizer with the fastest implementation for this machine.
func NewResizer(f Filter, o PassOrder) (*Resizer, error) {
	if f.support() == 0 {
		return nil, fmt.Errorf("filter %q is not one of %v", f, Filters())
	}
	if o != Horizontal && o != Pillow13 {
		return nil, fmt.Errorf("pass order %q is not one of %s, %s", o, Horizontal, Pillow13)
	}
	return &Resizer{filter: f, order: o, kernel: fastest()}, nil
}

// Resize resizes src to width x height pixels and stores the part keep of the result
// in dst, whose Pix is reused where it is large enough. Only what keep needs is
// computed. dst must not share memory with src. Sizes are the caller's to limit.
func (r *Resizer) Resize(dst *codecs.Pixels, src codecs.Pixels, width, height int, keep image.Rectangle) error {
	if err := check(src); err != nil {
		return err
	}
	if width < 1 || height < 1 {
		return codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify,
			"a picture of %dx%d can not be resized to %dx%d", src.Width, src.Height, width, height)
	}
	if keep.Empty() || !keep.In(image.Rect(0, 0, width, height)) {
		return fmt.Errorf("resize: the part to keep, %v, is not inside %dx%d", keep, width, height)
	}
	dst.Width, dst.Height = keep.Dx(), keep.Dy()
	dst.Pix = resized(dst.Pix, keep.Dx()*keep.Dy()*3)

	switch {
	case width == src.Width && height == src.Height:
		for y := range keep.Dy() {
			copy(row(*dst, y), row(src, keep.Min.Y+y)[keep.Min.X*3:])
		}
	case height == src.Height:
		x := r.axis(src.Width, width, keep.Min.X, keep.Max.X)
		r.kernel.across(dst.Pix, dst.Width*3, src.Pix[keep.Min.Y*src.Width*3:], src.Width*3, dst.Height, 0, x)
	case width == src.Width:
		y := r.axis(src.Height, height, keep.Min.Y, keep.Max.Y)
		r.kernel.down(dst.Pix, dst.Width*3, src.Pix[keep.Min.X*3:], src.Width*3, dst.Width*3, 0, y)
	default:
		x := r.axis(src.Width, width, keep.Min.X, keep.Max.X)
		y := r.axis(src.Height, height, keep.Min.Y, keep.Max.Y)
		r.both(dst, src, x, y)
	}
	return nil
}

// both runs the two passes in the order that the sizes ask for, through a buffer
// that holds no more than what the second pass reads.
func (r *Resizer) both(dst *codecs.Pixels, src codecs.Pixels, x, y *axis) {
	stride := src.Width * 3
	if r.order == Pillow13 && y.in > y.out && y.in-y.out > 2*(x.in-x.out) {
		lo, hi := x.span()
		n := (hi - lo) * 3
		r.middle = resized(r.middle, n*dst.Height)
		r.kernel.down(r.middle, n, src.Pix[lo*3:], stride, n, 0, y)
		r.kernel.across(dst.Pix, dst.Width*3, r.middle, n, dst.Height, lo, x)
		return
	}
	lo, hi := y.span()
	n := dst.Width * 3
	r.middle = resized(r.middle, n*(hi-lo))
	r.kernel.across(r.middle, n, src.Pix[lo*stride:], stride, hi-lo, 0, x)
	r.kernel.down(dst.Pix, n, r.middle, n, n, lo, y)
}

// axis returns the weights for these sizes, from the cache where they are in it.
// The result is valid until the second next call.
func (r *Resizer) axis(in, out, from, to int) *axis {
	for i := range r.axes {
		if a := &r.axes[i]; a.matches(in, out, from, to) {
			if i == r.oldest { // keep it past the next replacement
				r.oldest = (r.oldest + 1) % axesKept
			}
			return a
		}
	}
	a := &r.axes[r.oldest]
	r.oldest = (r.oldest + 1) % axesKept
	a.compute(r.filter, in, out, from, to)
	return a
}

// check refuses a picture whose bytes do not fit its size.
func check(p codecs.Pixels) error {
	if p.Width < 1 || p.Height < 1 || len(p.Pix)/3/p.Width != p.Height || len(p.Pix) != p.Width*p.Height*3 {
		return codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify,
			"the picture is said to be %dx%d but has %d bytes of RGB", p.Width, p.Height, len(p.Pix))
	}
	return nil
}

// row returns row y of p.
func row(p codecs.Pixels, y int) []byte { return p.Pix[y*p.Width*3:][:p.Width*3] }
