package audio

//#cgo pkg-config: libavformat libavcodec libavutil libswresample
//#cgo CFLAGS: -O3
//#include "native.h"
import "C"

import (
	"slices"
	"unsafe"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// sound is what a decoded frame says of itself. time is in ticks of its stream, or
// [ffmpeg.NoTime].
type sound struct {
	time                    int64
	samples, channels, rate int
	known                   bool // mix can read it
}

func soundOf(f *astiav.Frame) sound {
	var s C.mr_sound
	C.mr_sound_frame(f.UnsafePointer(), &s)
	return sound{time: int64(s.time), samples: int(s.samples), channels: int(s.channels), rate: int(s.rate), known: s.known != 0}
}

// mix writes the mean of the channels of the samples from the frame's sample from on.
func mix(f *astiav.Frame, from int, out []float32) {
	if len(out) > 0 {
		C.mr_sound_mix(f.UnsafePointer(), C.int(from), C.int(len(out)), (*C.float)(&out[0]))
	}
}

// fill copies samples into a mono frame that was allocated for as many.
func fill(f *astiav.Frame, samples []int16) {
	C.mr_sound_fill(f.UnsafePointer(), (*C.int16_t)(&samples[0]), C.int(len(samples)))
}

// setTimeBase tells a decoder what its packets' times count.
func setTimeBase(cc *astiav.CodecContext, s *astiav.Stream) {
	C.mr_sound_time_base(ffmpeg.Raw(cc), ffmpeg.Raw(s))
}

// exactDuration reports whether a declared duration is not just a guess by bit rate.
func exactDuration(fc *astiav.FormatContext) bool {
	return C.mr_sound_exact_duration(ffmpeg.Raw(fc)) != 0
}

// resampler changes the rate of one continuous stretch of mono sound.
type resampler struct {
	ffmpeg.Owner
	c        unsafe.Pointer
	from, to int
	piece    int // input samples at a time, so that the room for what comes out is bounded
	room     []float32
}

// newResampler returns nil where FFmpeg can not make one, as when it has no soxr.
func newResampler(from, to int) *resampler {
	const most = 32768 // output samples of a piece
	c := C.mr_resampler(C.int(from), C.int(to))
	if c == nil {
		return nil
	}
	r := &resampler{c: c, from: from, to: to, piece: max(16, min(most, most*from/to))}
	r.Own(func() { C.mr_resampler_free(c) })
	return r
}

// push resamples in and appends to out what is ready.
func (r *resampler) push(in, out []float32) ([]float32, error) {
	for len(in) > 0 {
		n := min(r.piece, len(in))
		r.make(n)
		got := C.mr_resample(r.c, (*C.float)(&in[0]), C.int(n), (*C.float)(&r.room[0]), C.int(len(r.room)))
		if got < 0 {
			return out, astiav.Error(got)
		}
		out = append(out, r.room[:got]...)
		in = in[n:]
	}
	return out, nil
}

// end appends all that is still held. Nothing may be pushed after it.
func (r *resampler) end(out []float32) ([]float32, error) {
	for {
		r.make(0)
		got := C.mr_resample(r.c, nil, 0, (*C.float)(&r.room[0]), C.int(len(r.room)))
		if got < 0 {
			return out, astiav.Error(got)
		}
		if got == 0 {
			return out, nil
		}
		out = append(out, r.room[:got]...)
	}
}

func (r *resampler) make(n int) {
	r.room = slices.Grow(r.room[:0], int(C.mr_resample_room(r.c, C.int(r.from), C.int(r.to), C.int(n))))
	r.room = r.room[:cap(r.room)]
}
