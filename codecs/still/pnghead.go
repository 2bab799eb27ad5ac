package still

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/millrace/millrace/codecs"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// PNG colour types: bits for palette, colour and alpha.
const (
	pngGray      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGrayAlpha = 4
	pngRGBA      = 6
)

// pngHeader is what a PNG's chunks say. An APNG is its default picture.
type pngHeader struct {
	header
	depth, colourType int
	interlaced        bool
	palette           []byte // 3 bytes a colour
	transparency      []byte // tRNS, as it stands, of a sound length
	data              int64  // offset of the first IDAT chunk
}

type pngWalk struct {
	h         pngHeader
	meta      metadata
	exif, xmp []byte
	pixels    int64 // bytes in IDAT chunks
}

// headPNG walks all chunks, since EXIF may also stand behind the pixels. Compressed
// text and colour profiles are stepped over, never inflated.
//
// Source: PNG specification, third edition, sections 5 and 11.
func headPNG(m *media, l codecs.Limits) (pngHeader, error) {
	var front [8 + 8 + 13 + 4]byte
	if err := m.fill(front[:], 0); err != nil {
		return pngHeader{}, err
	}
	if string(front[:8]) != pngMagic || string(front[12:16]) != "IHDR" || binary.BigEndian.Uint32(front[8:]) != 13 {
		return pngHeader{}, m.invalid(codecs.StageProbe, "it does not begin with a PNG signature and an IHDR chunk")
	}
	if crc32.ChecksumIEEE(front[12:29]) != binary.BigEndian.Uint32(front[29:]) {
		return pngHeader{}, m.invalid(codecs.StageProbe, "its IHDR chunk has a wrong checksum")
	}
	w := pngWalk{meta: metadata{max: l.MaxMetadata}}
	if err := w.h.ihdr(m, front[16:29], l); err != nil {
		return pngHeader{}, err
	}
	for at := int64(len(front)); ; {
		end, err := w.chunk(m, &at, l)
		if err != nil {
			return pngHeader{}, err
		}
		if end {
			break
		}
	}
	if w.h.data == 0 {
		return pngHeader{}, codecs.Errorf(codecs.CodeNoFrames, codecs.StageProbe, "the png picture holds no pixels (no IDAT chunk)")
	}
	if w.h.colourType == pngPalette && w.h.palette == nil {
		return pngHeader{}, m.invalid(codecs.StageProbe, "it has palette indices and no palette")
	}
	w.h.orientation = fileOrientation(w.exif, w.xmp)
	return w.h, nil
}

func (h *pngHeader) ihdr(m *media, b []byte, l codecs.Limits) error {
	width, height := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	h.depth, h.colourType, h.interlaced = int(b[8]), int(b[9]), b[12] == 1
	h.header = header{container: PNG, codec: "png", frames: 1, width: int(width), height: int(height)}
	if width > 1<<31-1 || height > 1<<31-1 {
		return m.invalid(codecs.StageProbe, "its size is %dx%d", width, height)
	}
	if !pngDepth(h.colourType, h.depth) || b[10] != 0 || b[11] != 0 || b[12] > 1 {
		return m.invalid(codecs.StageProbe, "its IHDR chunk has values that PNG does not have (depth %d, colour type %d, %d, %d, %d)",
			b[8], b[9], b[10], b[11], b[12])
	}
	return l.CheckSize(codecs.KindImage, h.width, h.height)
}

func pngDepth(colourType, depth int) bool {
	switch colourType {
	case pngGray:
		return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
	case pngPalette:
		return depth == 1 || depth == 2 || depth == 4 || depth == 8
	case pngRGB, pngGrayAlpha, pngRGBA:
		return depth == 8 || depth == 16
	}
	return false
}

// chunk reads the chunk at *at, or steps over it, and moves *at behind it. The walk
// ends with IEND, or with the file once there have been pixels: whether they are all
// there is for the decoder to find.
func (w *pngWalk) chunk(m *media, at *int64, l codecs.Limits) (end bool, err error) {
	if w.h.data != 0 && *at+12 > m.Size() {
		return true, nil
	}
	var head [8]byte
	if err := m.fill(head[:], *at); err != nil {
		return false, err
	}
	n, name, body := int64(binary.BigEndian.Uint32(head[:])), string(head[4:]), *at+8
	if name == "IEND" {
		return true, nil
	}
	if name == "IDAT" {
		if w.h.data == 0 {
			w.h.data = *at
		}
		if w.pixels += n; w.pixels > roomFor(int64(w.h.width)*int64(w.h.height), l) {
			return false, m.invalid(codecs.StageProbe, "it has %d bytes of pixels, far more than its size can take", w.pixels)
		}
		n = 0 // counts as no metadata
	}
	// The head of each chunk counts, so that a file of empty chunks ends too.
	if err := w.meta.add(PNG, n+12); err != nil {
		return false, err
	}
	*at = body + int64(binary.BigEndian.Uint32(head[:])) + 4
	if *at > m.Size() && w.h.data != 0 {
		return true, nil
	}
	return false, w.keep(m, name, body, n)
}

// keep reads the chunks that matter.
func (w *pngWalk) keep(m *media, name string, body, n int64) error {
	switch name {
	case "PLTE":
		if n == 0 || n%3 != 0 || n > 768 || w.h.palette != nil {
			return m.invalid(codecs.StageProbe, "its palette has %d bytes", n)
		}
		return w.checked(m, name, &w.h.palette, body, n)
	case "tRNS":
		if w.h.transparency != nil || !w.h.soundTransparency(int(min(n, 1<<10))) {
			return nil // libpng drops it too
		}
		return w.checked(m, name, &w.h.transparency, body, n)
	case "eXIf":
		if w.exif == nil {
			w.exif = make([]byte, n)
			return m.fill(w.exif, body)
		}
	case "iTXt":
		if w.xmp == nil {
			text := make([]byte, n)
			err := m.fill(text, body)
			w.xmp = pngXMP(text)
			return err
		}
	}
	return nil
}

// checked reads a chunk whose damage would change pixels, and its checksum.
func (w *pngWalk) checked(m *media, name string, into *[]byte, body, n int64) error {
	b := make([]byte, 4+n+4)
	if err := m.fill(b, body-4); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(b[:4+n]) != binary.BigEndian.Uint32(b[4+n:]) {
		return m.invalid(codecs.StageProbe, "its %s chunk has a wrong checksum", name)
	}
	*into = b[4 : 4+n]
	return nil
}

func (h *pngHeader) soundTransparency(n int) bool {
	switch h.colourType {
	case pngGray:
		return n == 2
	case pngRGB:
		return n == 6
	case pngPalette:
		return n >= 1 && n <= 256 && h.palette != nil
	}
	return false
}

// pngXMP is the packet in an uncompressed iTXt chunk of XMP's keyword, or nil.
func pngXMP(text []byte) []byte {
	rest, ok := bytes.CutPrefix(text, []byte("XML:com.adobe.xmp\x00\x00\x00"))
	if !ok {
		return nil
	}
	if _, rest, ok = bytes.Cut(rest, []byte{0}); !ok { // language
		return nil
	}
	_, rest, _ = bytes.Cut(rest, []byte{0}) // translated keyword
	return rest
}
