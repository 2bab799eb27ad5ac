//go:build cgo

package patch

// #cgo CFLAGS: -O2
// #cgo noescape millrace_across_avx2
// #cgo nocallback millrace_across_avx2
// #cgo noescape millrace_down_avx2
// #cgo nocallback millrace_down_avx2
// #cgo noescape millrace_cut_avx2
// #cgo nocallback millrace_cut_avx2
// #include "avx2_amd64.h"
import "C"

import (
	"image"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/millrace/millrace/codecs"
)

// fastest returns the best implementation for this machine.
func fastest() kernel {
	if cpu.X86.HasAVX2 {
		return kernel{name: "avx2", across: acrossAVX2, down: downAVX2, cut: cutAVX2}
	}
	return reference
}

// acrossAVX2 hands all rows to C but the last few, behind which fewer bytes remain
// than its 16-byte loads may touch.
func acrossAVX2(dst []byte, dstStride int, src []byte, srcStride, rows, skip int, a *axis) {
	safe := 0
	if reach := (a.reach-skip)*3 + 4; len(src) >= reach {
		safe = min(rows, (len(src)-reach)/srcStride+1)
	}
	if safe > 0 {
		_ = dst[(safe-1)*dstStride+3*len(a.first)-1]
		C.millrace_across_avx2(
			bytePtr(dst), C.size_t(dstStride), bytePtr(src), C.size_t(srcStride), C.size_t(safe),
			C.size_t(len(a.first)), C.int32_t(skip), intPtr(a.first), intPtr(a.count),
			(*C.int16_t)(unsafe.Pointer(unsafe.SliceData(a.halves))), C.size_t(a.slots))
	}
	if safe < rows {
		acrossGo(dst[safe*dstStride:], dstStride, src[safe*srcStride:], srcStride, rows-safe, skip, a)
	}
}

func downAVX2(dst []byte, dstStride int, src []byte, srcStride, n, skip int, a *axis) {
	last := len(a.first) - 1
	_ = dst[last*dstStride+n-1]
	_ = src[(int(a.first[last]+a.count[last])-skip-1)*srcStride+n-1]
	if n < 32 {
		downGo(dst, dstStride, src, srcStride, n, skip, a)
		return
	}
	C.millrace_down_avx2(
		bytePtr(dst), C.size_t(dstStride), bytePtr(src), C.size_t(srcStride), C.size_t(n),
		C.size_t(len(a.first)), C.int32_t(skip), intPtr(a.first), intPtr(a.count),
		(*C.int16_t)(unsafe.Pointer(unsafe.SliceData(a.halves))), C.size_t(a.slots))
}

// cutAVX2 leaves to the reference what it would gain little by: narrow patches, and
// channel innermost, which is copied row by row.
func cutAVX2(o order, dst []byte, pic codecs.Pixels, at image.Point, gh, gw, d int) {
	if o.innerRGB || o.patch < 8 {
		o.cut(dst, pic, at, gh, gw, d)
		return
	}
	stride, p := pic.Width*3, o.patch
	dst, from := dst[:gh*gw*o.values()], pic.Pix[at.Y*stride+at.X*3:]
	_ = from[(gh*p-1)*stride+gw*p*3-1]
	C.millrace_cut_avx2(
		bytePtr(dst[d*p*p:]), bytePtr(from), C.size_t(stride), C.size_t(gh), C.size_t(gw),
		C.size_t(p), C.size_t(o.merge), C.size_t(o.values()), C.size_t(o.run()))
}

func bytePtr(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

func intPtr(n []int32) *C.int32_t { return (*C.int32_t)(unsafe.SliceData(n)) }
