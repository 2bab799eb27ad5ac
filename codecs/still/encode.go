package still

// #include "turbo.h"
// #include "webpc.h"
import "C"

import (
	"bytes"
	"fmt"
	"image/png"
	"unsafe"

	"github.com/millrace/millrace/codecs"
)

// Subsampling is how much colour a JPEG keeps.
type Subsampling string

// The subsamplings that [EncodeJPEG] writes.
const (
	Subsample420 Subsampling = "4:2:0" // colour at half size: smaller files
	Subsample444 Subsampling = "4:4:4" // colour at full size: text and screens stay sharp
)

const maxJPEGSide, maxWebPSide = 65500, 16383

// EncodeJPEG encodes p as a baseline JPEG by libjpeg-turbo. quality is 1 to 100.
// Equal input gives equal bytes with the same libjpeg-turbo.
func EncodeJPEG(p codecs.Pixels, quality int, subsampling Subsampling) ([]byte, error) {
	if err := encodable("jpeg", p, maxJPEGSide); err != nil {
		return nil, err
	}
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("encode jpeg: quality is %d; it goes from 1 to 100", quality)
	}
	if subsampling != Subsample420 && subsampling != Subsample444 {
		return nil, fmt.Errorf("encode jpeg: subsampling %q is not one of %s, %s", subsampling, Subsample420, Subsample444)
	}
	half := C.int(0)
	if subsampling == Subsample420 {
		half = 1
	}
	var size C.size_t
	var r C.still_jpeg_result
	out := C.still_jpeg_encode((*C.uint8_t)(unsafe.SliceData(p.Pix)), C.int(p.Width), C.int(p.Height), C.int(quality), half, &size, &r)
	defer C.still_jpeg_free(out)
	if out == nil {
		return nil, fmt.Errorf("encode jpeg: %s (outcome %d)", C.GoString(&r.message[0]), r.outcome)
	}
	return append([]byte(nil), unsafe.Slice((*byte)(out), size)...), nil
}

// WebPQuality is how a WebP is encoded: 0 to 100 lossy, or Lossless.
type WebPQuality int

// Lossless keeps every bit.
const Lossless WebPQuality = -1

// EncodeWebP encodes p by libwebp. A side may have 16383 pixels.
func EncodeWebP(p codecs.Pixels, quality WebPQuality) ([]byte, error) {
	if err := encodable("webp", p, maxWebPSide); err != nil {
		return nil, err
	}
	if quality < Lossless || quality > 100 {
		return nil, fmt.Errorf("encode webp: quality is %d; it goes from 0 to 100, or is %d for lossless", quality, Lossless)
	}
	lossless := C.int(0)
	if quality == Lossless {
		lossless = 1
	}
	var size C.size_t
	out := C.still_webp_encode((*C.uint8_t)(unsafe.SliceData(p.Pix)), C.int(p.Width), C.int(p.Height), C.float(quality), lossless, &size)
	defer C.still_webp_release(out)
	if out == nil {
		return nil, fmt.Errorf("encode webp: libwebp could not encode %dx%d pixels (out of memory?)", p.Width, p.Height)
	}
	return append([]byte(nil), unsafe.Slice((*byte)(out), size)...), nil
}

// EncodePNG encodes p without loss.
func EncodePNG(p codecs.Pixels) ([]byte, error) {
	if err := encodable("png", p, 1<<20); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, toNRGBA(p)); err != nil {
		return nil, fmt.Errorf("encode png: %w", err)
	}
	return b.Bytes(), nil
}

func encodable(format string, p codecs.Pixels, side int) error {
	if !sound(p) {
		return fmt.Errorf("encode %s: %d bytes are not the pixels of a %dx%d picture", format, len(p.Pix), p.Width, p.Height)
	}
	if p.Width > side || p.Height > side {
		return fmt.Errorf("encode %s: the picture is %dx%d; a side may have %d pixels", format, p.Width, p.Height, side)
	}
	return nil
}
