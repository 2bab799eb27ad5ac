package video

import (
	"fmt"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// Matrix and range values of ITU-T H.273 and FFmpeg, as far as rules name them.
const (
	matrixRGB, matrixBT709, matrixUnspecified, matrixReserved, matrixBT601, matrixBT2020 = 0, 1, 2, 3, 6, 9

	rangeLimited, rangeFull = 1, 2

	primariesBT2020 = 9

	transferPQ, transferHLG = 16, 18
)

// tagged is how a picture's values are to be read: its tags, or what stands in for
// missing ones.
type tagged struct {
	codecs.Colour
	matrix, primaries, transfer, chroma int
	limited                             bool
}

// hdr names the transfer of high dynamic range, or is "".
func (c tagged) hdr() string {
	switch c.transfer {
	case transferPQ:
		return "pq"
	case transferHLG:
		return "hlg"
	}
	return ""
}

// tagColour applies the rules for missing tags: pictures of BT.2020 primaries, PQ or
// HLG have BT.2020's matrix, others of 720 lines and more BT.709's, smaller ones
// BT.601's; YUV and gray are limited range, RGB is full; PQ and HLG have BT.2020's
// primaries.
func tagColour(t tags, format astiav.PixelFormat, height int) tagged {
	c := tagged{matrix: t.matrix, primaries: t.primaries, transfer: t.trc, chroma: t.chroma}
	if c.hdr() != "" && known(primariesName(t.primaries)) == "" {
		c.primaries = primariesBT2020
		c.Assumed = append(c.Assumed, "primaries")
	}
	switch {
	case isRGB(format):
		c.matrix = matrixRGB
	case t.matrix == matrixRGB || t.matrix == matrixUnspecified || t.matrix == matrixReserved || matrixName(t.matrix) == "":
		c.matrix = matrixBT601
		switch {
		case c.primaries == primariesBT2020:
			c.matrix = matrixBT2020
		case height >= 720:
			c.matrix = matrixBT709
		}
		c.Assumed = append(c.Assumed, "matrix")
	}
	rng := t.rng
	switch {
	case isFullRange(format):
		rng = rangeFull
	case rng == rangeLimited || rng == rangeFull:
	default:
		rng = rangeLimited
		if isRGB(format) {
			rng = rangeFull
		} else {
			c.Assumed = append(c.Assumed, "range")
		}
	}
	c.limited = rng == rangeLimited
	c.Matrix, c.Range = matrixName(c.matrix), rangeName(rng)
	c.Primaries, c.Transfer = known(primariesName(c.primaries)), known(transferName(t.trc))
	return c
}

// known drops the names that FFmpeg gives to absent tags.
func known(name string) string {
	if name == "unknown" || name == "reserved" {
		return ""
	}
	return name
}

// square returns the size that makes pixels of the given aspect square. It only ever
// adds pixels: a wide pixel widens the picture, a tall one heightens it. ok is false
// where there is nothing to do, or where the aspect is beyond 16 and no camera's.
func square(w, h int, sar codecs.Rational) (sw, sh int, ok bool) {
	if sar.Num <= 0 || sar.Den <= 0 || sar.Num == sar.Den || sar.Num > 16*sar.Den || sar.Den > 16*sar.Num {
		return w, h, false
	}
	if sar.Num > sar.Den {
		return int((2*int64(w)*sar.Num + sar.Den) / (2 * sar.Den)), h, true
	}
	return w, int((2*int64(h)*sar.Den + sar.Num) / (2 * sar.Num)), true
}

// filters is the graph for a picture: zimg to full-range planar RGB at the picture's
// own size, and only then, in RGB, to the size that makes pixels square. zimg takes
// the place of chroma samples from the frame, and "left" where it does not say. crop, if
// it is not empty, takes off what was padded, once there is no chroma that it could cut.
func filters(f family, c tagged, tonemap bool, crop string, w, h, sw, sh int) string {
	from := "zscale=matrixin=gbr:rangein=full"
	if f == familyYUV {
		rng := "full"
		if c.limited {
			rng = "limited"
		}
		from = fmt.Sprintf("zscale=matrixin=%d:rangein=%s:filter=bilinear", c.matrix, rng)
	}
	const rgb = ":matrix=gbr:range=full:dither=none,format=gbrp"
	chain := from + rgb + crop
	if tonemap {
		// Approximate curves would differ from one processor to another.
		chain = from + fmt.Sprintf(":primariesin=%d:transferin=%d:transfer=linear:matrix=gbr:range=full:npl=100:agamma=0,format=gbrpf32le", c.primaries, c.transfer) + crop +
			",zscale=primaries=bt709,tonemap=tonemap=hable:desat=0:peak=10" +
			",zscale=transfer=bt709:agamma=0" + rgb
	}
	if sw == w && sh == h {
		return chain
	}
	return fmt.Sprintf("%s,zscale=w=%d:h=%d:filter=lanczos:dither=none,format=gbrp", chain, sw, sh)
}
