package still

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/millrace/millrace/codecs"
)

// gifFile is a GIF's structure: where each frame's data are, and how it is shown.
type gifFile struct {
	header
	background byte
	palette    []byte // global, 3 bytes a colour; nil without one
	frames     []gifFrame
}

type gifFrame struct {
	x, y, width, height int
	palette             []byte // its own, or the global one, or nil
	interlaced          bool
	delay               int // hundredths of a second
	disposal            int
	transparent         int // palette index, or -1
	litWidth            int
	data                int64 // offset of the first data sub-block
}

// GIF block introducers and extension labels.
const (
	gifExtension = '!'
	gifImage     = ','
	gifTrailer   = ';'
	gifControl   = 0xF9
)

// gifReader is a buffered reader that knows where it is.
type gifReader struct {
	*bufio.Reader
	section *io.SectionReader
}

func newGIFReader(m *media, at int64) *gifReader {
	s := io.NewSectionReader(m, at, m.Size()-at)
	return &gifReader{bufio.NewReaderSize(s, 16<<10), s}
}

func (r *gifReader) pos() int64 {
	at, _ := r.section.Seek(0, io.SeekCurrent)
	return at - int64(r.Buffered())
}

// headGIF walks the file until it has seen most frames (0: all of them), without
// decoding any.
//
// Source: GIF89a specification, CompuServe 1990.
func headGIF(m *media, l codecs.Limits, most int) (*gifFile, error) {
	r := newGIFReader(m, 0)
	g := &gifFile{header: header{container: GIF, codec: "gif", timeBase: codecs.NewRational(1, 100)}}
	if err := g.screen(m, r); err != nil {
		return nil, err
	}
	meta := metadata{max: l.MaxMetadata}
	next := gifFrame{transparent: -1}
	for most == 0 || len(g.frames) < most {
		block, err := r.ReadByte()
		if err == io.EOF && len(g.frames) > 0 {
			break // a missing trailer is common, and Pillow does not mind
		}
		if err != nil {
			return nil, err
		}
		switch block {
		case gifExtension:
			if err := next.extension(r, &meta); err != nil {
				return nil, err
			}
		case gifImage:
			if err := g.image(m, r, next, l); err != nil {
				return nil, err
			}
			if len(g.frames) == most {
				break
			}
			if err := skipBlocks(r); err != nil {
				return nil, err
			}
			next = gifFrame{transparent: -1}
		case gifTrailer:
			return g, g.complete()
		default: // stray bytes, over which Pillow steps
			if err := meta.add(GIF, 1); err != nil {
				return nil, err
			}
		}
	}
	return g, g.complete()
}

func (g *gifFile) complete() error {
	if len(g.frames) == 0 {
		return codecs.Errorf(codecs.CodeNoFrames, codecs.StageProbe, "the gif picture holds no picture")
	}
	g.header.frames = int64(len(g.frames))
	return nil
}

// screen reads the header, the logical screen and the global palette.
func (g *gifFile) screen(m *media, r *gifReader) error {
	var b [13]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	if s := string(b[:6]); s != "GIF87a" && s != "GIF89a" {
		return m.invalid(codecs.StageProbe, "it does not begin with GIF87a or GIF89a")
	}
	g.width = int(binary.LittleEndian.Uint16(b[6:]))
	g.height = int(binary.LittleEndian.Uint16(b[8:]))
	g.background = b[11]
	var err error
	g.palette, err = gifPalette(r, b[10])
	return err
}

func gifPalette(r *gifReader, flags byte) ([]byte, error) {
	if flags&0x80 == 0 {
		return nil, nil
	}
	p := make([]byte, 3<<(1+flags&7))
	_, err := io.ReadFull(r, p)
	return p, err
}

// extension keeps a graphic control's values for the next image and skips the rest.
func (f *gifFrame) extension(r *gifReader, meta *metadata) error {
	label, err := r.ReadByte()
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		n, err := r.ReadByte()
		if err != nil {
			return err
		}
		if err := meta.add(GIF, int64(n)+1); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		var b [255]byte
		if _, err := io.ReadFull(r, b[:n]); err != nil {
			return err
		}
		if label == gifControl && first && n >= 4 {
			f.disposal = int(b[0] >> 2 & 7)
			f.delay = int(binary.LittleEndian.Uint16(b[1:]))
			f.transparent = -1
			if b[0]&1 != 0 {
				f.transparent = int(b[3])
			}
		}
	}
}

// image reads an image's descriptor and palette, up to its data.
func (g *gifFile) image(m *media, r *gifReader, f gifFrame, l codecs.Limits) error {
	var b [9]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	f.x = int(binary.LittleEndian.Uint16(b[0:]))
	f.y = int(binary.LittleEndian.Uint16(b[2:]))
	f.width = int(binary.LittleEndian.Uint16(b[4:]))
	f.height = int(binary.LittleEndian.Uint16(b[6:]))
	f.interlaced = b[8]&0x40 != 0
	own, err := gifPalette(r, b[8])
	if err != nil {
		return err
	}
	if f.palette = own; own == nil {
		f.palette = g.palette
	}
	lit, err := r.ReadByte()
	if err != nil {
		return err
	}
	if lit < 2 || lit > 8 {
		return m.invalid(codecs.StageProbe, "frame %d has codes of %d bits", len(g.frames), lit)
	}
	f.litWidth = int(lit)
	f.data = r.pos()
	if len(g.frames) == 0 {
		// The first frame may reach over the screen, which then grows, as in Pillow.
		g.width, g.height = max(g.width, f.x+f.width), max(g.height, f.y+f.height)
		if err := l.CheckSize(codecs.KindImage, g.width, g.height); err != nil {
			return err
		}
	}
	if f.width == 0 || f.height == 0 || f.x+f.width > g.width || f.y+f.height > g.height {
		return m.invalid(codecs.StageProbe, "frame %d is %dx%d at %d,%d on a screen of %dx%d",
			len(g.frames), f.width, f.height, f.x, f.y, g.width, g.height)
	}
	g.frames = append(g.frames, f)
	return checkFrames(GIF, len(g.frames), g.width, g.height, l)
}

func skipBlocks(r *gifReader) error {
	for {
		n, err := r.ReadByte()
		if err != nil || n == 0 {
			return err
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
	}
}
