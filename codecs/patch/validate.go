package patch

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bounds of what a Spec may say, far above every known model's.
const (
	mostSide    = 16384 // pixels: size, crop, pinpoints
	mostPatch   = 256   // pixels: patch
	mostPatches = 1 << 20
	mostFrames  = 4096
	mostPixels  = 1 << 32
	mostName    = 64 // bytes
)

// Validate refuses a Spec that can not be compiled: which field, why, and what to
// write. Defaults count as given.
func (s Spec) Validate() error {
	n := s.Normalise()
	l, ok := layoutOf(s.Layout)
	if !ok {
		return fmt.Errorf("tokens %q: layout %q is not known; write one of %s", s.Name, s.Layout, strings.Join(Layouts(), ", "))
	}
	for _, check := range []func(layout) error{n.checkName, s.checkUnused, n.checkRanges, n.checkWords, n.checkGeometry, n.checkNumbers} {
		if err := check(l); err != nil {
			return fmt.Errorf("tokens %q: %w", n.Name, err)
		}
	}
	return nil
}

// checkName keeps names fit for a shard's member names, which end at the first dot.
func (s Spec) checkName(layout) error {
	fits := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' }
	if len(s.Name) > mostName || strings.ContainsFunc(s.Name, func(r rune) bool { return !fits(r) }) {
		return fmt.Errorf("name: write up to %d of a-z, 0-9, - and _, as in siglip2", mostName)
	}
	return nil
}

// checkUnused refuses fields that the layout would silently ignore.
func (s Spec) checkUnused(l layout) error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"resize", s.Resize != ""}, {"size", s.Size != 0}, {"crop", s.Crop != 0}, {"max_patches", s.MaxPatches != 0},
		{"min_pixels", s.MinPixels != 0}, {"max_pixels", s.MaxPixels != 0}, {"temporal_patch", s.TemporalPatch != 0},
		{"merge", s.Merge != 0}, {"frames", s.Frames != 0}, {"pinpoints", len(s.Pinpoints) != 0},
	} {
		if f.set && !slices.Contains(l.fields, f.name) {
			return fmt.Errorf("%s: layout %s has no use for it; leave it out (it takes %s)", f.name, s.Layout, strings.Join(l.fields, ", "))
		}
	}
	return nil
}

func (s Spec) checkRanges(l layout) error {
	for _, f := range []struct {
		name     string
		n        int64
		lo, high int64
	}{
		{"patch", int64(s.Patch), 1, mostPatch}, {"size", int64(s.Size), 1, mostSide}, {"crop", int64(s.Crop), 0, mostSide},
		{"max_patches", int64(s.MaxPatches), 1, mostPatches}, {"min_pixels", s.MinPixels, 1, mostPixels},
		{"max_pixels", s.MaxPixels, 1, mostPixels}, {"temporal_patch", int64(s.TemporalPatch), 1, 64},
		{"merge", int64(s.Merge), 1, 16}, {"frames", int64(s.Frames), 1, mostFrames},
	} {
		if (f.name == "patch" || slices.Contains(l.fields, f.name)) && (f.n < f.lo || f.n > f.high) {
			return fmt.Errorf("%s: %d is out of range; write %d to %d", f.name, f.n, f.lo, f.high)
		}
	}
	return nil
}

func (s Spec) checkWords(l layout) error {
	if slices.Contains(l.fields, "resize") && s.Resize != "square" && s.Resize != "shortest_edge" {
		return fmt.Errorf("resize: %q is not known; write square or shortest_edge", s.Resize)
	}
	if s.Media != "" && s.Media != "image" && s.Media != "video" {
		return fmt.Errorf("media: %q is not known; write image or video, or leave it out", s.Media)
	}
	if s.Media == "image" && !l.stills {
		return fmt.Errorf("media: layout %s cuts clips alone; write media: video, or leave it out", s.Layout)
	}
	if s.Filter.support() == 0 {
		return fmt.Errorf("filter: %q is not known; write one of %v", s.Filter, Filters())
	}
	if s.PassOrder != Horizontal && s.PassOrder != Pillow13 {
		return fmt.Errorf("pass_order: %q is not known; write %s or %s", s.PassOrder, Horizontal, Pillow13)
	}
	if dtypeBytes(s.DType) == 0 {
		return fmt.Errorf("dtype: %q is not known; write one of %s", s.DType, strings.Join(DTypes(), ", "))
	}
	return nil
}

// checkGeometry refuses sizes that contradict each other.
func (s Spec) checkGeometry(l layout) error {
	square := slices.Contains(l.fields, "crop")
	switch {
	case square && s.Crop > s.Size && s.Resize == "square":
		return fmt.Errorf("crop: %d is more than size %d; write %d or less, or leave it out", s.Crop, s.Size, s.Size)
	case square && s.side() < s.Patch:
		return fmt.Errorf("patch: %d is more than the %d pixels that size and crop leave; write a smaller patch", s.Patch, s.side())
	case s.Layout == Pixtral && s.Size < s.Patch:
		return fmt.Errorf("size: the longest edge %d is less than patch %d; write %d or more", s.Size, s.Patch, s.Patch)
	case s.Layout == VideoMAE && s.Frames%s.TemporalPatch != 0:
		return fmt.Errorf("frames: %d is no multiple of temporal_patch %d; write %d", s.Frames, s.TemporalPatch, (s.Frames/s.TemporalPatch+1)*s.TemporalPatch)
	case slices.Contains(l.fields, "merge"):
		cell := int64(s.Patch*s.Merge) * int64(s.Patch*s.Merge)
		if s.MinPixels > s.MaxPixels || s.MaxPixels < cell {
			return fmt.Errorf("max_pixels: %d is less than min_pixels %d or one cell of %d pixels; write more", s.MaxPixels, s.MinPixels, cell)
		}
	case s.Layout == LLaVANext:
		return s.checkPinpoints()
	}
	return nil
}

func (s Spec) checkPinpoints() error {
	if s.Size < s.Patch {
		return fmt.Errorf("size: the tile of %d pixels is smaller than patch %d; write %d or more", s.Size, s.Patch, s.Patch)
	}
	for _, p := range s.Pinpoints {
		if p[0] < 1 || p[1] < 1 || p[0] > mostSide || p[1] > mostSide || p[0]%s.Size != 0 || p[1]%s.Size != 0 {
			return fmt.Errorf("pinpoints: (%d, %d) is not made of whole tiles of size %d; write multiples of it", p[0], p[1], s.Size)
		}
	}
	return nil
}

func (s Spec) checkNumbers(layout) error {
	for c := range 3 {
		// float32 is what the processors divide by, so it must not become 0 there either.
		if v := float32(s.Std[c]); !(v > 0) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("std: channel %d is %v; write three numbers above 0, as in [0.5, 0.5, 0.5]", c, s.Std[c])
		}
		if v := float32(s.Mean[c]); math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("mean: channel %d is %v; write three finite numbers", c, s.Mean[c])
		}
	}
	return nil
}

// side is the square that vit and videomae keep.
func (s Spec) side() int {
	if s.Crop > 0 {
		return s.Crop
	}
	return s.Size
}
