// Package patch turns pictures into the token arrays that a vision model's own
// processor would make: sizes, the Pillow-exact resampler, crops, normalising and
// patch layouts. Pure arithmetic: no files, no FFmpeg, no clock.
package patch

// Spec describes one token output of a recipe. Its zero fields are filled by the
// layout's defaults when it is compiled.
type Spec struct {
	// Name prefixes the sample's fields: NAME.patches.npy, NAME.mask.npy, ...
	Name string `yaml:"name" json:"name"`
	// Layout is "vit" or "naflex" (see Layouts for what this build knows).
	Layout string `yaml:"layout" json:"layout"`
	// Patch is the patch's side in pixels.
	Patch int `yaml:"patch,omitempty" json:"patch,omitempty"`
	// Resize, vit: "square" squashes to Size x Size; "shortest_edge" makes the
	// shorter side Size and keeps the aspect.
	Resize string `yaml:"resize,omitempty" json:"resize,omitempty"`
	Size   int    `yaml:"size,omitempty" json:"size,omitempty"`
	// Crop, vit: the centre square that is kept; 0 keeps all (square) or Size (shortest_edge).
	Crop int `yaml:"crop,omitempty" json:"crop,omitempty"`
	// MaxPatches, naflex: the token budget N; arrays are padded to it.
	MaxPatches int `yaml:"max_patches,omitempty" json:"max_patches,omitempty"`
	// Filter is Pillow's: "bilinear", "bicubic", "lanczos", "box".
	Filter string `yaml:"filter,omitempty" json:"filter,omitempty"`
	// PassOrder is "horizontal" (Pillow before 13, the default) or "pillow13".
	PassOrder string `yaml:"pass_order,omitempty" json:"pass_order,omitempty"`
	// DType of the patches: "uint8" (as cut), "float32", "float16", "bfloat16"
	// (stored as uint16).
	DType string `yaml:"dtype,omitempty" json:"dtype,omitempty"`
	// Mean and Std normalise the float dtypes: (byte/255 - mean) / std, per RGB channel.
	Mean [3]float64 `yaml:"mean,omitempty" json:"mean,omitzero"`
	Std  [3]float64 `yaml:"std,omitempty" json:"std,omitzero"`
}

// Array is a dense array in C order, little-endian, ready to be written as .npy.
type Array struct {
	DType string // numpy's name: "uint8", "float32", "float16", "uint16", "int32", "int64"
	Shape []int
	Data  []byte
}

// Tokens is what one picture became.
type Tokens struct {
	// Patches is [tokens, values]. Owned by the cutter, valid until its next call;
	// likewise all other arrays.
	Patches Array
	// Mask is [tokens] int32, 1 for real tokens; only layouts that pad have it.
	Mask *Array
	// Grid is int64, (rows, columns) of patches, or as the layout's processor gives it.
	Grid Array
	// Coords is [tokens, 2] int32 (row, column) of each patch; only where the layout has it.
	Coords *Array
	// Resized is (width, height) after the resize, before any crop.
	ResizedWidth, ResizedHeight int
	// Count is the number of real tokens.
	Count int
}
