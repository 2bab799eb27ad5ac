package patch

import (
	"math"

	"github.com/millrace/millrace/codecs"
)

// The size rules. Each takes a picture's height and width, both 1 or more, and
// returns those after the resize. All arithmetic is float64 and rounds as Python's
// does, since a size that is one off is another grid.

// mostAspect is the ratio of sides beyond which the Qwen processors refuse a picture.
const mostAspect = 200

// size is height and width in pixels.
type size struct{ h, w int }

func (s size) pixels() int64 { return int64(s.h) * int64(s.w) }

// shortestEdge makes the shorter side edge and cuts the other's fraction off.
func shortestEdge(s size, edge int) size {
	if s.w <= s.h {
		return size{int(float64(edge*s.h) / float64(s.w)), edge}
	}
	return size{edge, int(float64(edge*s.w) / float64(s.h))}
}

// naflexSize is the largest size, near the picture's aspect, that most patches cover
// (SigLIP2's get_image_size_for_max_num_patches).
func naflexSize(s size, patch, most int) size {
	const epsilon = 1e-5
	fit := func(n int, scale float64) int {
		return max(patch, int(math.Ceil(float64(float64(n)*scale)/float64(patch)))*patch)
	}
	lo, hi := epsilon/10, 100.0
	for hi-lo >= epsilon {
		scale := (lo + hi) / 2
		if fit(s.h, scale)/patch*(fit(s.w, scale)/patch) <= most {
			lo = scale
		} else {
			hi = scale
		}
	}
	return size{fit(s.h, lo), fit(s.w, lo)}
}

// smartSize brings frames pictures of one size to multiples of factor, with all their
// pixels between least and most (smart_resize of the Qwen processors). Stills and
// Qwen2-VL clips count one picture; Qwen3-VL clips count all, rounded to temporal.
func smartSize(s size, factor int, least, most int64, frames, temporal int) (size, error) {
	h, w, t := float64(s.h), float64(s.w), float64(frames)
	if max(h, w)/min(h, w) > mostAspect {
		return size{}, codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify,
			"the picture is %dx%d; this layout takes sides of a ratio up to %d", s.w, s.h, mostAspect)
	}
	f := float64(factor)
	high, wide := math.RoundToEven(h/f)*f, math.RoundToEven(w/f)*f
	whole := math.RoundToEven(t/float64(temporal)) * float64(temporal)
	switch n := whole * high * wide; {
	case n > float64(most):
		beta := math.Sqrt(t * h * w / float64(most))
		high = max(f, math.Floor(h/beta/f)*f)
		wide = max(f, math.Floor(w/beta/f)*f)
	case n < float64(least):
		beta := math.Sqrt(float64(least) / (t * h * w))
		high = math.Ceil(float64(h*beta)/f) * f
		wide = math.Ceil(float64(w*beta)/f) * f
	}
	return size{int(high), int(wide)}, nil
}

// longestEdge shrinks a picture to edge, never enlarges it, and rounds both sides up
// to patches (Pixtral's get_resize_output_image_size).
func longestEdge(s size, edge, patch int) (size, error) {
	h, w := s.h, s.w
	if ratio := max(float64(h)/float64(edge), float64(w)/float64(edge)); ratio > 1 {
		h, w = int(math.Floor(float64(h)/ratio)), int(math.Floor(float64(w)/ratio))
	}
	if h < 1 || w < 1 {
		return size{}, codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify,
			"the picture is %dx%d: with its longer side at %d the other has no pixel left", s.w, s.h, edge)
	}
	return size{((h-1)/patch + 1) * patch, ((w-1)/patch + 1) * patch}, nil
}

// bestPinpoint chooses the canvas that keeps the most of the picture's pixels, then
// the one that wastes the least (LLaVA-NeXT's select_best_resolution).
func bestPinpoint(s size, pinpoints [][2]int) size {
	var best size
	most, least := 0, math.MaxInt
	for _, p := range pinpoints {
		scale := min(float64(p[1])/float64(s.w), float64(p[0])/float64(s.h))
		kept := min(int(float64(float64(s.w)*scale))*int(float64(float64(s.h)*scale)), s.w*s.h)
		waste := p[0]*p[1] - kept
		if kept > most || kept == most && waste < least {
			best, most, least = size{p[0], p[1]}, kept, waste
		}
	}
	return best
}

// inside is the largest size of the picture's aspect in canvas (LLaVA-NeXT's
// get_patch_output_size).
func inside(s, canvas size) size {
	wide, high := float64(canvas.w)/float64(s.w), float64(canvas.h)/float64(s.h)
	if wide < high {
		return size{min(int(math.Ceil(float64(float64(s.h)*wide))), canvas.h), canvas.w}
	}
	return size{canvas.h, min(int(math.Ceil(float64(float64(s.w)*high))), canvas.w)}
}

// centre is where the middle edge pixels of a side of n lie: the span from..from+count
// of the picture that is kept, and where it starts in the result. What the picture
// does not cover stays black.
func centre(n, edge int) (from, count, at int) {
	if n >= edge {
		return (n - edge) / 2, edge, 0
	}
	return 0, n, (edge - n + 1) / 2
}
