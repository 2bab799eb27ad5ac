package patch

import (
	"fmt"
	"image"

	"github.com/millrace/millrace/codecs"
)

// Limits bounds what one picture or clip may become. Each is checked before the
// allocation that it bounds.
type Limits struct {
	MaxPixels int64 `yaml:"max_pixels" json:"max_pixels"` // one picture at any step: resized, between the passes, padded
	MaxTokens int64 `yaml:"max_tokens" json:"max_tokens"` // padding included
	MaxBytes  int64 `yaml:"max_bytes" json:"max_bytes"`   // of the patches array
}

// DefaultLimits allow every preset its largest picture.
func DefaultLimits() Limits {
	return Limits{MaxPixels: 64e6, MaxTokens: 4 << 20, MaxBytes: 512 << 20}
}

// Validate refuses limits that are zero or negative, by name.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name string
		n    int64
	}{{"max_pixels", l.MaxPixels}, {"max_tokens", l.MaxTokens}, {"max_bytes", l.MaxBytes}} {
		if v.n < 1 {
			return fmt.Errorf("patch limits: %s is %d: every limit needs a value of 1 or more", v.name, v.n)
		}
	}
	return nil
}

// picture checks the size of one resized picture that came from one of size from.
func (l Limits) picture(from, to size) error {
	if to.pixels() > l.MaxPixels {
		return codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePatchify,
			"the picture is %dx%d and would be resized to %dx%d, %d pixels; the limit is %d",
			from.w, from.h, to.w, to.h, to.pixels(), l.MaxPixels)
	}
	return nil
}

// between checks what lies between the two passes of a resize of which keep is kept.
func (l Limits) between(from size, keep image.Point, o PassOrder) error {
	n := int64(from.h) * int64(keep.X)
	if o == Pillow13 {
		n = max(n, int64(from.w)*int64(keep.Y))
	}
	if n > l.MaxPixels {
		return codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePatchify,
			"the picture is %dx%d and would pass through %d pixels on its way to %dx%d; the limit is %d",
			from.w, from.h, n, keep.X, keep.Y, l.MaxPixels)
	}
	return nil
}

// tokens checks the array of n tokens of the given bytes.
func (l Limits) tokens(from size, n, bytes int64) error {
	switch {
	case n > l.MaxTokens:
		return codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePatchify,
			"the picture is %dx%d and would become %d tokens; the limit is %d", from.w, from.h, n, l.MaxTokens)
	case n*bytes > l.MaxBytes:
		return codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePatchify,
			"the picture is %dx%d and would become %d tokens of %d bytes; the limit is %d bytes",
			from.w, from.h, n, bytes, l.MaxBytes)
	}
	return nil
}
