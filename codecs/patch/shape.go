package patch

import (
	"image"

	"github.com/millrace/millrace/codecs"
)

// shape is what a picture becomes on its way to tokens: it is resized, a part of that
// is kept, and lies in a canvas that is black elsewhere and is cut into patches.
type shape struct {
	resized size
	keep    image.Rectangle // of the resized picture
	canvas  size
	at      image.Point // of keep, in canvas
	cut     size        // what one grid covers: the canvas, or a tile of it
	tiles   int         // llava_next: grids in all, else 0
}

// shapeOf is the size rule of the layout, under the limits.
func (c *cutter) shapeOf(from size, frames int, clip bool) (shape, error) {
	s, err := c.rule(from, frames, clip)
	if err != nil {
		return shape{}, err
	}
	if s.keep.Empty() {
		s.keep = image.Rect(0, 0, s.resized.w, s.resized.h)
	}
	if s.canvas == (size{}) {
		s.canvas = s.resized
	}
	if s.cut == (size{}) {
		s.cut = s.canvas
	}
	for _, to := range []size{s.resized, s.canvas} {
		if err := c.limits.picture(from, to); err != nil {
			return shape{}, err
		}
	}
	return s, c.limits.between(from, s.keep.Size(), c.spec.PassOrder)
}

func (c *cutter) rule(from size, frames int, clip bool) (shape, error) {
	sp := c.spec
	switch sp.Layout {
	case NaFlex, TimmFlex:
		return shape{resized: naflexSize(from, sp.Patch, sp.MaxPatches)}, nil
	case Pixtral:
		to, err := longestEdge(from, sp.Size, sp.Patch)
		return shape{resized: to}, err
	case Qwen2VL, Qwen3VL:
		to, err := c.qwenSize(from, frames, clip)
		return shape{resized: to}, err
	case LLaVANext:
		canvas := bestPinpoint(from, sp.Pinpoints)
		to := inside(from, canvas)
		return shape{resized: to, canvas: canvas, at: image.Pt((canvas.w-to.w)/2, (canvas.h-to.h)/2),
			cut: size{sp.Size, sp.Size}, tiles: 1 + canvas.h/sp.Size*(canvas.w/sp.Size)}, nil
	case VideoMAE:
		if frames != sp.Frames {
			return shape{}, codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify, "the clip has %d frames; this layout takes %d", frames, sp.Frames)
		}
	}
	return c.square(from), nil
}

// square is the rule of vit and videomae.
func (c *cutter) square(from size) shape {
	sp := c.spec
	to := size{sp.Size, sp.Size}
	if sp.Resize == "shortest_edge" {
		to = shortestEdge(from, sp.Size)
	}
	if sp.Crop == 0 {
		return shape{resized: to}
	}
	y, h, top := centre(to.h, sp.Crop)
	x, w, left := centre(to.w, sp.Crop)
	return shape{resized: to, keep: image.Rect(x, y, x+w, y+h), canvas: size{sp.Crop, sp.Crop}, at: image.Pt(left, top)}
}

// qwenSize adds what Qwen3-VL asks of clips to smartSize: its budget covers all
// frames, and it never enlarges what is smaller than a cell.
func (c *cutter) qwenSize(from size, frames int, clip bool) (size, error) {
	sp, cell := c.spec, c.spec.Patch*c.spec.Merge
	if !clip || sp.Layout == Qwen2VL {
		return smartSize(from, cell, sp.MinPixels, sp.MaxPixels, 1, 1)
	}
	if frames < sp.TemporalPatch {
		return size{}, codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify, "the clip has %d frames; this layout takes %d or more", frames, sp.TemporalPatch)
	}
	if from.h < cell || from.w < cell {
		return size{}, codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify, "the clip's frames are %dx%d; this layout takes sides of %d or more", from.w, from.h, cell)
	}
	return smartSize(from, cell, sp.MinPixels, sp.MaxPixels, frames, sp.TemporalPatch)
}
