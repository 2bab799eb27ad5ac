package patch

// Spec describes one token output of a recipe. Its zero fields are filled by the
// layout's defaults (see [Spec.Normalise]); fields that the layout has no use for
// must stay empty.
type Spec struct {
	// Name prefixes the sample's fields: NAME.patches.npy, NAME.mask.npy, ...
	// The layout's name unless said.
	Name string `yaml:"name" json:"name"`
	// Layout is one of [Layouts].
	Layout string `yaml:"layout" json:"layout"`
	// Media is the kind of media that it is cut from: "" (any that fits the layout),
	// "image" or "video". A layout of single pictures can be cut from a video's frames;
	// one that takes clips only has no use for "image".
	Media string `yaml:"media,omitempty" json:"media,omitempty"`
	// Patch is the patch's side in pixels.
	Patch int `yaml:"patch,omitempty" json:"patch,omitempty"`
	// Resize, vit and videomae: "square" squashes to Size x Size; "shortest_edge"
	// makes the shorter side Size and keeps the aspect.
	Resize string `yaml:"resize,omitempty" json:"resize,omitempty"`
	// Size in pixels. vit, videomae: see Resize. pixtral: the longest edge.
	// llava_next: the tile's side.
	Size int `yaml:"size,omitempty" json:"size,omitempty"`
	// Crop, vit and videomae: the centre square that is kept, black where the picture
	// is smaller; 0 keeps all (square) or Size (shortest_edge).
	Crop int `yaml:"crop,omitempty" json:"crop,omitempty"`
	// MaxPatches, naflex and timm_naflex: the token budget N; arrays are padded to it.
	MaxPatches int `yaml:"max_patches,omitempty" json:"max_patches,omitempty"`
	// MinPixels and MaxPixels, qwen2vl and qwen3vl: bounds of the resized picture
	// (of the whole clip, for a qwen3vl clip).
	MinPixels int64 `yaml:"min_pixels,omitempty" json:"min_pixels,omitempty"`
	MaxPixels int64 `yaml:"max_pixels,omitempty" json:"max_pixels,omitempty"`
	// TemporalPatch, qwen2vl, qwen3vl and videomae: frames in one token.
	TemporalPatch int `yaml:"temporal_patch,omitempty" json:"temporal_patch,omitempty"`
	// Merge, qwen2vl and qwen3vl: the side of the square of patches that the model
	// joins into one token of its language model.
	Merge int `yaml:"merge,omitempty" json:"merge,omitempty"`
	// Frames, videomae: the clip's length.
	Frames int `yaml:"frames,omitempty" json:"frames,omitempty"`
	// Pinpoints, llava_next: the resolutions to choose from, each (height, width).
	Pinpoints [][2]int `yaml:"pinpoints,omitempty" json:"pinpoints,omitempty"`
	// Filter is Pillow's: "bilinear", "bicubic", "lanczos", "box".
	Filter Filter `yaml:"filter,omitempty" json:"filter,omitempty"`
	// PassOrder is "horizontal" (Pillow before 13, the default) or "pillow13".
	PassOrder PassOrder `yaml:"pass_order,omitempty" json:"pass_order,omitempty"`
	// DType of the patches: "uint8" (as cut, the default), "float32", "float16",
	// "bfloat16" (stored as uint16).
	DType string `yaml:"dtype,omitempty" json:"dtype,omitempty"`
	// Mean and Std normalise the float dtypes: (byte/255 - mean) / std, per RGB
	// channel. They travel with uint8 too, for the loader to apply.
	Mean [3]float64 `yaml:"mean,omitempty" json:"mean,omitzero"`
	Std  [3]float64 `yaml:"std,omitempty" json:"std,omitzero"`
}

// RowBytes is the size of one patch in its dtype. s must be normalised.
func (s Spec) RowBytes() int64 {
	return int64(3 * s.Patch * s.Patch * max(s.TemporalPatch, 1) * dtypeBytes(s.DType))
}

// Array is a dense array in C order, little-endian, ready to be written as .npy.
type Array struct {
	DType string // numpy's name: "uint8", "float32", "float64", "float16", "uint16", "int32", "int64", "bool"
	Shape []int
	Data  []byte
}

// Tokens is what one picture or clip became.
type Tokens struct {
	// Patches is [tokens, values]. Owned by the cutter, valid until its next call;
	// likewise all other arrays.
	Patches Array
	// Mask is [tokens], 1 for real tokens; only layouts that pad have it. int32 for
	// naflex, bool for timm_naflex, as their processors give it.
	Mask *Array
	// Grid is int64: (rows, columns) of patches for vit, naflex, timm_naflex and
	// pixtral; (time groups, rows, columns) for qwen2vl, qwen3vl and videomae;
	// (tiles, rows, columns) for llava_next.
	Grid Array
	// Coords is [tokens, 2] int64, (row, column) of each patch; only timm_naflex has
	// it, elsewhere it follows from the grid.
	Coords *Array
	// ResizedWidth and ResizedHeight are the size after the resize, before any crop.
	// llava_next: of the padded canvas that was cut into tiles.
	ResizedWidth, ResizedHeight int
	// Count is the number of real tokens: patches, without padding.
	Count int
	// Language is how many places they take in the sequence of a language model, text
	// not counted: Count by merge squared for qwen2vl and qwen3vl; with the row ends for
	// pixtral; without the canvas's border and with newlines for llava_next; Count for
	// the others. A class token is counted nowhere.
	Language int
}
