package patch

import "cmp"

// Normalise returns s with its zero fields filled by the layout's defaults, so that
// equal meanings are equal documents. An unknown layout is left as it is, for
// [Spec.Validate] to refuse. Mean alone is never filled: with a Std given, zero is a
// mean that was meant.
func (s Spec) Normalise() Spec {
	l, ok := layoutOf(s.Layout)
	if !ok {
		return s
	}
	d := l.defaults
	s.Name = cmp.Or(s.Name, s.Layout)
	s.Patch = cmp.Or(s.Patch, d.Patch)
	s.Resize = cmp.Or(s.Resize, d.Resize)
	s.Size = cmp.Or(s.Size, d.Size)
	s.MaxPatches = cmp.Or(s.MaxPatches, d.MaxPatches)
	s.MinPixels = cmp.Or(s.MinPixels, d.MinPixels)
	s.MaxPixels = cmp.Or(s.MaxPixels, d.MaxPixels)
	s.TemporalPatch = cmp.Or(s.TemporalPatch, d.TemporalPatch)
	s.Merge = cmp.Or(s.Merge, d.Merge)
	s.Frames = cmp.Or(s.Frames, d.Frames)
	s.Filter = cmp.Or(s.Filter, d.Filter)
	s.PassOrder = cmp.Or(s.PassOrder, Horizontal)
	s.DType = cmp.Or(s.DType, UInt8)
	if s.Crop == 0 && s.Resize == "shortest_edge" {
		s.Crop = s.Size
	}
	if len(s.Pinpoints) == 0 {
		s.Pinpoints = d.Pinpoints
	}
	if s.Mean == [3]float64{} && s.Std == [3]float64{} {
		s.Mean, s.Std = d.Mean, d.Std
	}
	return s
}
