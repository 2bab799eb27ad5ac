package still

// #cgo pkg-config: libjpeg
// #include "turbo.h"
import "C"

import (
	"unsafe"

	"github.com/millrace/millrace/codecs"
)

// maxScans bounds a progressive JPEG: ordinary ones have about ten, and the limit is
// the one that libjpeg-turbo's own fuzzers use.
const maxScans = 500

// decodeJPEG decodes with libjpeg-turbo's accurate DCT and fancy upsampling: the
// decoder and the settings that Pillow has, hence its bits.
func decodeJPEG(m *media, h jpegHeader, opt Options, l codecs.Limits) (picture, error) {
	data, err := m.all(roomFor(int64(h.width)*int64(h.height), l))
	if err != nil {
		return picture{}, err
	}
	p := picture{width: h.width, height: h.height, channels: 3, pix: make([]byte, h.width*h.height*3)}
	var r C.still_jpeg_result
	codecs.Expose(m.Source)
	C.still_jpeg_decode((*C.uint8_t)(unsafe.SliceData(data)), C.size_t(len(data)),
		(*C.uint8_t)(unsafe.SliceData(p.pix)), C.int(h.width), C.int(h.height),
		C.int(h.components), maxScans, &r)
	if err := m.turboError(&r); err != nil {
		return picture{}, err
	}
	if h.components == 4 {
		p.notes = append(p.notes, "cmyk:inverted")
	}
	damage, err := m.turboDamage(&r, opt)
	p.notes = append(p.notes, damage...)
	return p, err
}

func (m *media) turboError(r *C.still_jpeg_result) error {
	message := C.GoString(&r.message[0])
	switch r.outcome {
	case C.STILL_OK:
		return nil
	case C.STILL_UNSUPPORTED:
		return m.unsupported("libjpeg says: %s", message)
	case C.STILL_DIFFERS:
		return m.invalid(codecs.StageDecode, "its header reads differently the second time")
	case C.STILL_SCANS:
		return codecs.Errorf(codecs.CodeLimitFrames, codecs.StageDecode,
			"the jpeg picture has more than %d scans, each of which goes over the whole picture", maxScans)
	case C.STILL_MEMORY:
		return codecs.Errorf(codecs.CodeOOM, codecs.StageDecode, "the jpeg picture needs more memory than there is")
	}
	return m.invalid(codecs.StageDecode, "libjpeg says: %s", message)
}

// turboDamage judges warnings that mean pixels which the file does not hold.
func (m *media) turboDamage(r *C.still_jpeg_result, opt Options) ([]string, error) {
	switch {
	case r.early == 0 && r.damaged == 0:
		return nil, nil
	case opt.AllowTruncated && r.early != 0:
		return []string{"truncated"}, nil
	case opt.AllowTruncated:
		return []string{"damaged"}, nil
	case r.early != 0:
		return nil, codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode,
			"the jpeg picture's data end early; set allow_truncated to take it with gray in the gap")
	}
	return nil, codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode,
		"the jpeg picture's data are damaged; set allow_truncated to take it as it decodes")
}
