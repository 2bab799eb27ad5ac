package patch

import "slices"

// The layouts.
const (
	ViT       = "vit"         // ViT, CLIP, SigLIP, DINOv2: one fixed square
	NaFlex    = "naflex"      // SigLIP2 NaFlex: padded to a budget, with a mask
	TimmFlex  = "timm_naflex" // timm's NaFlexVit: the same with coordinates and a bool mask
	Qwen2VL   = "qwen2vl"     // Qwen2-VL and Qwen2.5-VL, stills and clips
	Qwen3VL   = "qwen3vl"     // Qwen3-VL, stills and clips
	Pixtral   = "pixtral"     // Pixtral: any size
	LLaVANext = "llava_next"  // LLaVA-NeXT: the whole picture, then tiles of it
	VideoMAE  = "videomae"    // VideoMAE: clips of a fixed length
)

// Layouts lists what this build knows.
func Layouts() []string {
	return []string{ViT, NaFlex, TimmFlex, Qwen2VL, Qwen3VL, Pixtral, LLaVANext, VideoMAE}
}

// layout is what the code needs to know of a layout, beside its size rule.
type layout struct {
	fields   []string // of Spec, by YAML name, beyond those that all have
	innerRGB bool     // channel innermost in a token; else outermost
	defaults Spec
	stills   bool
	clips    bool
}

var (
	half         = [3]float64{0.5, 0.5, 0.5}
	clipMean     = [3]float64{0.48145466, 0.4578275, 0.40821073}
	clipStd      = [3]float64{0.26862954, 0.26130258, 0.27577711}
	imagenetMean = [3]float64{0.485, 0.456, 0.406}
	imagenetStd  = [3]float64{0.229, 0.224, 0.225}
)

// layoutOf returns a layout by name.
func layoutOf(name string) (layout, bool) {
	square := []string{"resize", "size", "crop"}
	qwen := []string{"min_pixels", "max_pixels", "temporal_patch", "merge"}
	switch name {
	case ViT:
		return layout{fields: square, stills: true, defaults: Spec{
			Patch: 16, Resize: "square", Size: 224, Filter: Bilinear, Mean: half, Std: half}}, true
	case NaFlex:
		return layout{fields: []string{"max_patches"}, innerRGB: true, stills: true, defaults: Spec{
			Patch: 16, MaxPatches: 256, Filter: Bilinear, Mean: half, Std: half}}, true
	case TimmFlex:
		return layout{fields: []string{"max_patches"}, innerRGB: true, stills: true, defaults: Spec{
			Patch: 16, MaxPatches: 256, Filter: Bicubic, Mean: half, Std: half}}, true
	case Qwen2VL:
		return layout{fields: qwen, stills: true, clips: true, defaults: Spec{
			Patch: 14, TemporalPatch: 2, Merge: 2, MinPixels: 3136, MaxPixels: 12845056,
			Filter: Bicubic, Mean: clipMean, Std: clipStd}}, true
	case Qwen3VL:
		return layout{fields: qwen, stills: true, clips: true, defaults: Spec{
			Patch: 16, TemporalPatch: 2, Merge: 2, MinPixels: 65536, MaxPixels: 16777216,
			Filter: Bicubic, Mean: half, Std: half}}, true
	case Pixtral:
		return layout{fields: []string{"size"}, stills: true, defaults: Spec{
			Patch: 16, Size: 1024, Filter: Bicubic, Mean: clipMean, Std: clipStd}}, true
	case LLaVANext:
		return layout{fields: []string{"size", "pinpoints"}, stills: true, defaults: Spec{
			Patch: 14, Size: 336, Filter: Bicubic, Mean: clipMean, Std: clipStd,
			Pinpoints: [][2]int{{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}}}}, true
	case VideoMAE:
		return layout{fields: slices.Concat(square, []string{"temporal_patch", "frames"}), clips: true, defaults: Spec{
			Patch: 16, TemporalPatch: 2, Frames: 16, Resize: "shortest_edge", Size: 224,
			Filter: Bilinear, Mean: imagenetMean, Std: imagenetStd}}, true
	}
	return layout{}, false
}
