package still

import (
	"encoding/binary"

	"github.com/millrace/millrace/codecs"
)

// webpHeader is what a WebP's chunks say.
type webpHeader struct {
	header
	size     int64 // of the file, by its RIFF header
	alpha    bool
	animated bool
	delays   []int // of an animation's frames, in milliseconds
}

type webpWalk struct {
	h         webpHeader
	meta      metadata
	exif, xmp []byte
	bitstream bool // a VP8 or VP8L chunk has been seen
}

// headWebP walks the chunks: their heads only, and the small ones. A frame beyond
// the limit ends the walk.
//
// Source: WebP container specification, developers.google.com/speed/webp.
func headWebP(m *media, l codecs.Limits) (webpHeader, error) {
	var riff [12]byte
	if err := m.fill(riff[:], 0); err != nil {
		return webpHeader{}, err
	}
	if string(riff[:4]) != "RIFF" || string(riff[8:]) != "WEBP" {
		return webpHeader{}, m.invalid(codecs.StageProbe, "it does not begin with RIFF and WEBP")
	}
	w := webpWalk{meta: metadata{max: l.MaxMetadata}}
	w.h.header = header{container: WebP, codec: "webp"}
	w.h.size = int64(binary.LittleEndian.Uint32(riff[4:])) + 8
	if w.h.size > m.Size() {
		return webpHeader{}, codecs.Errorf(codecs.CodeTruncated, codecs.StageProbe,
			"the webp picture ends early: it says that it has %d bytes and has %d", w.h.size, m.Size())
	}
	for at := int64(12); at+8 <= w.h.size; {
		var head [8]byte
		if err := m.fill(head[:], at); err != nil {
			return webpHeader{}, err
		}
		n := int64(binary.LittleEndian.Uint32(head[4:]))
		if at+8+n > w.h.size {
			return webpHeader{}, m.invalid(codecs.StageProbe, "its chunk %q is longer than the file", head[:4])
		}
		if err := w.chunk(m, string(head[:4]), at+8, n, l); err != nil {
			return webpHeader{}, err
		}
		at += 8 + n + n&1
	}
	return w.done(m, l)
}

func (w *webpWalk) chunk(m *media, name string, at, n int64, l codecs.Limits) error {
	switch name {
	case "VP8X":
		return w.extended(m, at, n)
	case "VP8 ", "VP8L":
		return w.simple(m, name, at, n)
	case "ANMF":
		return w.frame(m, at, n, l)
	case "ALPH":
		w.h.alpha = true
		return nil
	}
	// An empty chunk costs a read too, so its head counts.
	if err := w.meta.add(WebP, n+8); err != nil {
		return err
	}
	switch {
	case name == "EXIF" && w.exif == nil:
		w.exif = make([]byte, n)
		return m.fill(w.exif, at)
	case name == "XMP " && w.xmp == nil:
		w.xmp = make([]byte, n)
		return m.fill(w.xmp, at)
	}
	return nil
}

// extended reads VP8X: flags, and the canvas.
func (w *webpWalk) extended(m *media, at, n int64) error {
	var b [10]byte
	if n < int64(len(b)) {
		return m.invalid(codecs.StageProbe, "its VP8X chunk is too short")
	}
	if w.h.width != 0 {
		return m.invalid(codecs.StageProbe, "its VP8X chunk does not come first")
	}
	if err := m.fill(b[:], at); err != nil {
		return err
	}
	w.h.alpha = b[0]&0x10 != 0
	w.h.animated = b[0]&0x02 != 0
	w.h.width, w.h.height = 1+uint24(b[4:]), 1+uint24(b[7:])
	return nil
}

// simple reads the head of a bitstream outside an animation.
func (w *webpWalk) simple(m *media, name string, at, n int64) error {
	if w.bitstream {
		return nil // libwebp takes the first
	}
	w.bitstream = true
	b := make([]byte, min(n, 10))
	if err := m.fill(b, at); err != nil {
		return err
	}
	var width, height int
	switch {
	case name == "VP8 " && len(b) == 10 && string(b[3:6]) == "\x9d\x01\x2a":
		width = int(binary.LittleEndian.Uint16(b[6:])) & 0x3FFF
		height = int(binary.LittleEndian.Uint16(b[8:])) & 0x3FFF
		w.h.colour = codecs.Colour{Matrix: "bt470bg", Range: "tv"}
	case name == "VP8L" && len(b) >= 5 && b[0] == 0x2F:
		v := binary.LittleEndian.Uint32(b[1:])
		width, height = 1+int(v&0x3FFF), 1+int(v>>14&0x3FFF)
		w.h.alpha = w.h.alpha || v>>28&1 != 0
	default:
		return m.invalid(codecs.StageProbe, "its %q chunk does not begin as one", name)
	}
	switch {
	case w.h.width == 0:
		w.h.width, w.h.height = width, height
	case !w.h.animated && (width != w.h.width || height != w.h.height):
		return m.invalid(codecs.StageProbe, "its canvas is %dx%d and its picture %dx%d", w.h.width, w.h.height, width, height)
	}
	return nil
}

// frame reads the head of an animation's frame: its delay, and that it lies inside
// the canvas.
func (w *webpWalk) frame(m *media, at, n int64, l codecs.Limits) error {
	var b [16]byte
	if n < int64(len(b)) {
		return m.invalid(codecs.StageProbe, "frame %d is too short", len(w.h.delays))
	}
	if err := m.fill(b[:], at); err != nil {
		return err
	}
	x, y := 2*uint24(b[0:]), 2*uint24(b[3:])
	width, height := 1+uint24(b[6:]), 1+uint24(b[9:])
	if x+width > w.h.width || y+height > w.h.height {
		return m.invalid(codecs.StageProbe, "frame %d lies outside the canvas", len(w.h.delays))
	}
	w.h.delays = append(w.h.delays, uint24(b[12:]))
	return checkFrames(WebP, len(w.h.delays), w.h.width, w.h.height, l)
}

func (w *webpWalk) done(m *media, l codecs.Limits) (webpHeader, error) {
	if w.h.animated && len(w.h.delays) == 0 || !w.h.animated && !w.bitstream {
		return webpHeader{}, codecs.Errorf(codecs.CodeNoFrames, codecs.StageProbe, "the webp picture holds no picture")
	}
	if err := l.CheckSize(codecs.KindImage, w.h.width, w.h.height); err != nil {
		return webpHeader{}, err
	}
	if w.h.size > roomFor(int64(w.h.width)*int64(w.h.height)*int64(max(1, len(w.h.delays))), l) {
		return webpHeader{}, m.invalid(codecs.StageProbe, "it has %d bytes, far more than its pixels can take", w.h.size)
	}
	w.h.orientation = fileOrientation(w.exif, w.xmp)
	w.h.frames = 1
	if w.h.animated {
		w.h.frames = int64(len(w.h.delays))
		w.h.timeBase = codecs.NewRational(1, 1000)
		w.h.duration = timeline(w.h.delays, 1000).end
	}
	return w.h, nil
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
