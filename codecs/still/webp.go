package still

// #cgo pkg-config: libwebp libwebpdemux
// #include "webpc.h"
import "C"

import (
	"io"
	"unsafe"

	"github.com/millrace/millrace/codecs"
)

// openWebP decodes stills, and animations of which only the first frame is wanted
// or all, with libwebp: its upsampling of chroma is what Pillow's pixels have.
func openWebP(m *media, opt Options, l codecs.Limits) (header, decoder, error) {
	h, err := headWebP(m, l)
	switch {
	case err != nil:
		return header{}, nil, err
	case !h.animated:
		return h.header, once(func() (picture, error) { return decodeWebP(m, h) }), nil
	}
	shows := timeline(h.delays, 1000)
	picked, err := pickedFrames(shows, opt, l)
	return h.header, &webpAnimation{media: m, h: h, shows: shows, all: opt.Animation == AnimationAll, picked: picked}, err
}

func decodeWebP(m *media, h webpHeader) (picture, error) {
	data, err := m.all(h.size)
	if err != nil {
		return picture{}, err
	}
	p := picture{width: h.width, height: h.height, channels: 3}
	if h.alpha {
		p.channels = 4
	}
	p.pix = make([]byte, p.width*p.height*p.channels)
	codecs.Expose(m.Source)
	status := C.still_webp_decode((*C.uint8_t)(unsafe.SliceData(data)), C.size_t(len(data)),
		(*C.uint8_t)(unsafe.SliceData(p.pix)), C.int(p.width), C.int(p.height), C.int(p.channels))
	return p, m.webpError(int(status))
}

// webpError names libwebp's VP8StatusCode.
func (m *media) webpError(status int) error {
	switch status {
	case 0:
		return nil
	case 1:
		return codecs.Errorf(codecs.CodeOOM, codecs.StageDecode, "the webp picture needs more memory than there is")
	case 4:
		return m.unsupported("libwebp does not have a feature that it uses")
	case 5, 7:
		return m.fault(codecs.StageDecode, io.ErrUnexpectedEOF)
	}
	return m.invalid(codecs.StageDecode, "libwebp can not read its bitstream (status %d)", status)
}

// webpAnimation composites an animation's frames one after another and gives the
// picked ones. It is one C object, freed by close.
type webpAnimation struct {
	media  *media
	h      webpHeader
	shows  times
	all    bool // not only the first, which counts as a still
	picked []int
	played int // frames composited so far
	c      *C.still_webp
}

func (w *webpAnimation) moments() []codecs.Moment { return w.shows.moments(w.picked) }

func (w *webpAnimation) next() (picture, error) {
	if len(w.picked) == 0 {
		return picture{}, io.EOF
	}
	if w.c == nil {
		codecs.Expose(w.media.Source)
		if err := w.start(); err != nil {
			return picture{}, err
		}
	}
	index := w.picked[0]
	w.picked = w.picked[1:]
	var canvas *C.uint8_t
	for ; w.played <= index; w.played++ {
		if C.still_webp_next(w.c, &canvas) == 0 {
			return picture{}, w.media.invalid(codecs.StageDecode, "libwebp can not decode frame %d", w.played)
		}
	}
	p := picture{width: w.h.width, height: w.h.height, channels: 4, index: int64(index), key: index == 0}
	p.pix = unsafe.Slice((*byte)(canvas), p.width*p.height*4)
	p.pts, p.duration = w.shows.at(index)
	if !w.all {
		p.duration = codecs.Rational{}
	}
	return p, nil
}

// start reads the file into C's memory, since the C object keeps a pointer to it
// between calls.
func (w *webpAnimation) start() error {
	w.c = C.still_webp_new(C.size_t(w.h.size))
	if w.c == nil {
		return w.media.webpError(1)
	}
	data := unsafe.Slice((*byte)(C.still_webp_data(w.c)), w.h.size)
	if err := w.media.fill(data, 0); err != nil {
		return err
	}
	var width, height, frames C.int
	if C.still_webp_start(w.c, &width, &height, &frames) == 0 {
		return w.media.invalid(codecs.StageDecode, "libwebp can not read its structure")
	}
	if int(width) != w.h.width || int(height) != w.h.height || int(frames) != len(w.h.delays) {
		return w.media.invalid(codecs.StageDecode, "its structure reads differently the second time")
	}
	return nil
}

func (w *webpAnimation) close() {
	C.still_webp_free(w.c)
	w.c = nil
	w.picked = nil
}
