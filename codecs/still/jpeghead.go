package still

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"github.com/millrace/millrace/codecs"
)

// jpegHeader is what stands before a JPEG's first scan.
type jpegHeader struct {
	header
	components int
	precision  int
}

// JPEG marker codes, ITU-T T.81 table B.1.
const (
	markerSOF0 = 0xC0
	markerDHT  = 0xC4
	markerJPG  = 0xC8
	markerDAC  = 0xCC
	markerSOI  = 0xD8
	markerEOI  = 0xD9
	markerSOS  = 0xDA
	markerAPP0 = 0xE0
	markerCOM  = 0xFE
)

var (
	exifPrefix = []byte("Exif\x00\x00")
	xmpPrefix  = []byte("http://ns.adobe.com/xap/1.0/\x00")
)

// jpegWalk collects what the segments say.
type jpegWalk struct {
	h         jpegHeader
	meta      metadata
	exif, xmp []byte
	adobeRGB  bool // Adobe's marker says that the three components are RGB
	jfif      bool
}

// headJPEG walks the segments up to the first scan and checks what they say.
func headJPEG(m *media, l codecs.Limits) (jpegHeader, error) {
	r := bufio.NewReader(io.NewSectionReader(m, 0, m.Size()))
	w := jpegWalk{meta: metadata{max: l.MaxMetadata}}
	w.h.header = header{container: JPEG, codec: "mjpeg", frames: 1}
	for {
		marker, err := nextMarker(r)
		if err != nil {
			return jpegHeader{}, err
		}
		if marker == markerSOS {
			break
		}
		if err := w.segment(m, r, marker, l); err != nil {
			return jpegHeader{}, err
		}
	}
	if w.h.width == 0 {
		return jpegHeader{}, m.invalid(codecs.StageProbe, "its first scan comes before its size")
	}
	w.h.orientation = fileOrientation(w.exif, w.xmp)
	if w.h.components == 3 && (w.jfif || !w.adobeRGB) {
		w.h.colour = codecs.Colour{Matrix: "bt470bg", Range: "pc"}
	}
	return w.h, nil
}

// nextMarker skips to the next marker, over fill bytes and over stray bytes, as
// libjpeg does.
func nextMarker(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != 0xFF {
			continue
		}
		for b == 0xFF {
			if b, err = r.ReadByte(); err != nil {
				return 0, err
			}
		}
		if b != 0 {
			return b, nil
		}
	}
}

func (w *jpegWalk) segment(m *media, r *bufio.Reader, marker byte, l codecs.Limits) error {
	switch {
	case marker == markerSOI, marker == 0x01, marker >= 0xD0 && marker <= 0xD7:
		return nil // no parameters
	case marker == markerEOI:
		return m.invalid(codecs.StageProbe, "it ends before its first scan")
	}
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(size[:])) - 2
	if n < 0 {
		return m.invalid(codecs.StageProbe, "a segment (marker %#02x) is shorter than its own length", marker)
	}
	if marker >= markerAPP0 && marker <= 0xEF || marker == markerCOM {
		if err := w.meta.add(JPEG, int64(n)); err != nil {
			return err
		}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	switch {
	case marker == markerAPP0:
		w.jfif = w.jfif || bytes.HasPrefix(body, []byte("JFIF\x00"))
	case marker == markerAPP0+1:
		w.app1(body)
	case marker == markerAPP0+14:
		w.adobeRGB = len(body) >= 12 && string(body[:5]) == "Adobe" && body[11] == 0
	case marker >= markerSOF0 && marker <= 0xCF && marker != markerDHT && marker != markerJPG && marker != markerDAC:
		return w.frame(m, marker, body, l)
	}
	return nil
}

// app1 keeps the first EXIF and the first XMP block.
func (w *jpegWalk) app1(body []byte) {
	switch {
	case w.exif == nil && bytes.HasPrefix(body, exifPrefix):
		w.exif = body
	case w.xmp == nil && bytes.HasPrefix(body, xmpPrefix):
		w.xmp = body[len(xmpPrefix):]
	}
}

// frame reads a frame header: size, precision, components.
func (w *jpegWalk) frame(m *media, marker byte, body []byte, l codecs.Limits) error {
	if len(body) < 6 {
		return m.invalid(codecs.StageProbe, "its frame header is too short")
	}
	if w.h.width != 0 {
		return m.invalid(codecs.StageProbe, "it has two frame headers")
	}
	w.h.precision = int(body[0])
	w.h.height = int(binary.BigEndian.Uint16(body[1:]))
	w.h.width = int(binary.BigEndian.Uint16(body[3:]))
	w.h.components = int(body[5])
	switch marker {
	case 0xC0, 0xC1, 0xC2, 0xC9, 0xCA: // baseline, extended, progressive; the same two with arithmetic coding
	default:
		return m.unsupported("its coding (lossless or hierarchical, marker %#02x) is one that libjpeg does not have", marker)
	}
	switch {
	case w.h.precision != 8:
		return m.unsupported("it has %d bits a sample; 8 are taken", w.h.precision)
	case w.h.components != 1 && w.h.components != 3 && w.h.components != 4:
		return m.unsupported("it has %d components; 1 (gray), 3 (colour) and 4 (CMYK) are taken", w.h.components)
	case w.h.height == 0:
		return m.unsupported("its height stands after its first scan (DNL), which libjpeg does not read")
	}
	return l.CheckSize(codecs.KindImage, w.h.width, w.h.height)
}
