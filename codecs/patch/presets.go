package patch

// Preset returns the Spec of a model family by its usual name, its dtype left open.
func Preset(name string) (Spec, bool) {
	s, ok := Presets()[name]
	return s, ok
}

// Presets returns all of them, as a map that is the caller's own. Values are those of
// the published checkpoints' configurations; qwen2.5-vl-video is the video processor's
// own default. The Qwen families bound a clip otherwise than a still, hence -video, whose
// Media is "video".
func Presets() map[string]Spec {
	clip := Spec{Name: "clip", Layout: ViT, Patch: 32, Resize: "shortest_edge", Size: 224, Crop: 224,
		Filter: Bicubic, Mean: clipMean, Std: clipStd}
	clip16, clip14 := clip, clip
	clip16.Patch, clip14.Patch = 16, 14
	return map[string]Spec{
		"vit-base-patch16-224": {Name: "vit", Layout: ViT, Patch: 16, Resize: "square", Size: 224,
			Filter: Bilinear, Mean: half, Std: half},
		"clip-vit-base-patch32":  clip,
		"clip-vit-base-patch16":  clip16,
		"clip-vit-large-patch14": clip14,
		"siglip-base-patch16-224": {Name: "siglip", Layout: ViT, Patch: 16, Resize: "square", Size: 224,
			Filter: Bicubic, Mean: half, Std: half},
		"siglip-so400m-patch14-384": {Name: "siglip", Layout: ViT, Patch: 14, Resize: "square", Size: 384,
			Filter: Bicubic, Mean: half, Std: half},
		"siglip2-base-patch16-224": {Name: "siglip2", Layout: ViT, Patch: 16, Resize: "square", Size: 224,
			Filter: Bilinear, Mean: half, Std: half},
		"siglip2-base-patch16-naflex": {Name: "siglip2", Layout: NaFlex, Patch: 16, MaxPatches: 256,
			Filter: Bilinear, Mean: half, Std: half},
		"dinov2-base": {Name: "dinov2", Layout: ViT, Patch: 14, Resize: "shortest_edge", Size: 256, Crop: 224,
			Filter: Bicubic, Mean: imagenetMean, Std: imagenetStd},
		"naflexvit-base-patch16": {Name: "naflexvit", Layout: TimmFlex, Patch: 16, MaxPatches: 256,
			Filter: Bicubic, Mean: half, Std: half},
		"qwen2.5-vl": {Name: "qwen", Layout: Qwen2VL, Patch: 14, TemporalPatch: 2, Merge: 2,
			MinPixels: 3136, MaxPixels: 12845056, Filter: Bicubic, Mean: clipMean, Std: clipStd},
		"qwen2.5-vl-video": {Name: "qwen", Layout: Qwen2VL, Media: "video", Patch: 14, TemporalPatch: 2, Merge: 2,
			MinPixels: 128 * 784, MaxPixels: 768 * 784, Filter: Bicubic, Mean: clipMean, Std: clipStd},
		"qwen3-vl": {Name: "qwen", Layout: Qwen3VL, Patch: 16, TemporalPatch: 2, Merge: 2,
			MinPixels: 65536, MaxPixels: 16777216, Filter: Bicubic, Mean: half, Std: half},
		"qwen3-vl-video": {Name: "qwen", Layout: Qwen3VL, Media: "video", Patch: 16, TemporalPatch: 2, Merge: 2,
			MinPixels: 4096, MaxPixels: 25165824, Filter: Bicubic, Mean: half, Std: half},
		"pixtral-12b": {Name: "pixtral", Layout: Pixtral, Patch: 16, Size: 1024,
			Filter: Bicubic, Mean: clipMean, Std: clipStd},
		"llava-next": {Name: "llava", Layout: LLaVANext, Patch: 14, Size: 336,
			Pinpoints: [][2]int{{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}},
			Filter:    Bicubic, Mean: clipMean, Std: clipStd},
		"videomae-base": {Name: "videomae", Layout: VideoMAE, Patch: 16, TemporalPatch: 2, Frames: 16,
			Resize: "shortest_edge", Size: 224, Crop: 224, Filter: Bilinear, Mean: imagenetMean, Std: imagenetStd},
	}
}
