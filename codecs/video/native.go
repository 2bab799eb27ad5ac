package video

//#cgo pkg-config: libavfilter libavformat libavcodec libavutil
//#cgo CFLAGS: -O3
//#include "native.h"
import "C"

import (
	"unsafe"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

const noTime = ffmpeg.NoTime

// packetData is the packet's payload in place: valid until the packet's next use.
// Packet.Data would copy it.
func packetData(p *astiav.Packet) []byte {
	data := C.mr_packet_data(ffmpeg.Raw(p))
	if data == nil || p.Size() <= 0 {
		return nil
	}
	return unsafe.Slice((*byte)(data), p.Size())
}

// isPicture tells cover art and thumbnails from video.
func isPicture(s *astiav.Stream) bool { return C.mr_is_picture(ffmpeg.Raw(s)) != 0 }

// videoDelay is how many pictures the track's decoder holds back to reorder them.
func videoDelay(s *astiav.Stream) int { return int(C.mr_video_delay(ffmpeg.Raw(s))) }

// flush makes a drained or running decoder ready for a new keyframe.
func flush(cc *astiav.CodecContext) { C.mr_flush(ffmpeg.Raw(cc)) }

// tags is what a decoded frame says of itself, by FFmpeg's numbers (ITU-T H.273).
// Times are ticks of the stream's time base, or noTime.
type tags struct {
	time, duration                      int64
	matrix, rng, primaries, trc, chroma int
	damaged                             bool
	interlaced, topFirst                bool
	alpha                               bool // there was transparency, which is gone
	// turn is the display matrix that the stream itself gives the picture, or nil.
	turn []byte
}

func frameTags(f *astiav.Frame) tags {
	var t C.mr_tags
	C.mr_frame_tags(f.UnsafePointer(), &t)
	return tags{
		time: int64(t.time), duration: int64(t.duration),
		matrix: int(t.matrix), rng: int(t._range), primaries: int(t.primaries), trc: int(t.transfer),
		chroma: int(t.chroma), damaged: t.errors != 0,
		interlaced: t.interlaced != 0, topFirst: t.top_first != 0,
		alpha: hasAlpha(f.PixelFormat()),
	}
}

func matrixName(v int) string    { return C.GoString(C.mr_matrix_name(C.int(v))) }
func rangeName(v int) string     { return C.GoString(C.mr_range_name(C.int(v))) }
func primariesName(v int) string { return C.GoString(C.mr_primaries_name(C.int(v))) }
func transferName(v int) string  { return C.GoString(C.mr_transfer_name(C.int(v))) }

// family is how a pixel format becomes RGB.
type family int

const (
	familyNone   family = C.MR_UNSUPPORTED
	familyYUV    family = C.MR_YUV    // by zimg
	familyDirect family = C.MR_DIRECT // RGB, palette, gray: by moving bytes
)

func familyOf(f astiav.PixelFormat) family { return family(C.mr_family(C.int(f))) }

func hasAlpha(f astiav.PixelFormat) bool { return C.mr_has_alpha(C.int(f)) != 0 }

// takenByZimg tells the formats, of YUV and of RGB, that zimg takes as they are.
func takenByZimg(f astiav.PixelFormat) bool { return C.mr_taken_by_zimg(C.int(f)) != 0 }

// stripAlpha leaves a planar frame without its plane of transparency.
func stripAlpha(f *astiav.Frame) { C.mr_strip_alpha(f.UnsafePointer()) }

// convertNothing keeps a filter graph from putting conversions between filters.
func convertNothing(g *astiav.FilterGraph) { C.mr_convert_nothing(ffmpeg.Raw(g)) }

func isRGB(f astiav.PixelFormat) bool { return C.mr_is_rgb(C.int(f)) != 0 }

// isFullRange knows the yuvj formats, which say so by name.
func isFullRange(f astiav.PixelFormat) bool { return C.mr_is_full_range(C.int(f)) != 0 }

// paint writes a frame of familyDirect into dst, an RGB picture of the frame's size
// turned by o.
func paint(f *astiav.Frame, dst []byte, o orientation, limited bool) error {
	w, h := f.Width(), f.Height()
	start, xstep, ystep := o.steps(w, h)
	if len(dst) != w*h*3 || len(dst) == 0 {
		return astiav.ErrBufferTooSmall
	}
	ret := C.mr_paint(f.UnsafePointer(), (*C.uint8_t)(&dst[start]), C.int64_t(xstep), C.int64_t(ystep), flag(limited))
	if ret < 0 {
		return astiav.Error(ret)
	}
	return nil
}

// pad fills the empty dst with a frame whose sides zimg would refuse, as they are no
// multiple of what a chroma sample covers, and reports whether it is such a frame.
func pad(f, dst *astiav.Frame) (bool, error) {
	ret := C.mr_pad(f.UnsafePointer(), dst.UnsafePointer())
	if ret < 0 {
		return false, astiav.Error(ret)
	}
	return ret > 0, nil
}

// toPlanar fills the empty dst with a frame of familyDirect as full-range GBRP.
func toPlanar(f, dst *astiav.Frame, limited bool) error {
	if ret := C.mr_to_planar(f.UnsafePointer(), dst.UnsafePointer(), flag(limited)); ret < 0 {
		return astiav.Error(ret)
	}
	return nil
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
