package ffmpeg

//#cgo pkg-config: libavformat libavutil
//#include "native.h"
import "C"

import (
	"unsafe"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// NoTime is FFmpeg's AV_NOPTS_VALUE.
const NoTime = -1 << 63

// Raw returns the C object behind an astiav value. All of astiav's types that are used
// here hold it in their first field, and only Frame hands it out.
func Raw[T any](v *T) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(v)) }

// IsDefault reports whether the container marks the track as the one to play.
func IsDefault(s *astiav.Stream) bool { return C.mr_is_default(Raw(s)) != 0 }

// readOnly makes the demuxer skip the packets of all other streams.
func readOnly(fc *astiav.FormatContext, stream int) { C.mr_read_only(Raw(fc), C.int(stream)) }

func maxAlloc(bytes int64) { C.mr_max_alloc(C.int64_t(bytes)) }

func findStreamInfo(fc *astiav.FormatContext, maxPixels int64) error {
	if ret := C.mr_find_stream_info(Raw(fc), C.int64_t(maxPixels)); ret < 0 {
		return astiav.Error(ret)
	}
	return nil
}

// Rational is FFmpeg's fraction, unknown unless above 0.
func Rational(r astiav.Rational) codecs.Rational {
	if r.Num() <= 0 || r.Den() <= 0 {
		return codecs.Rational{}
	}
	return codecs.NewRational(int64(r.Num()), int64(r.Den()))
}

// Seconds is a number of ticks as time.
func Seconds(ticks int64, base codecs.Rational) codecs.Rational {
	return codecs.Rational{Num: ticks, Den: 1}.Scaled(base.Num, base.Den)
}
