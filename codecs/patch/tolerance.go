package patch

// Tolerance is how far tokens may be from what the model's own processor gives for the
// same pixels, in levels of 255; 0 means equal bits.
//
// Single pictures of every layout, and VideoMAE's clips, are equal to the processors
// that resize with Pillow. The video processors of the Qwen families exist for tensors
// alone, whose resampling rounds otherwise (torchvision's antialiased resize): a clip's
// frames are equal to the same family's Pillow path, and within 2 levels of its video
// processor, as its own two paths are of each other.
func (s Spec) Tolerance(clip bool) int {
	if clip && (s.Layout == Qwen2VL || s.Layout == Qwen3VL) {
		return 2
	}
	return 0
}
