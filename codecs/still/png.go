package still

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zlib"

	"github.com/millrace/millrace/codecs"
)

// decodePNG decodes pixels straight to RGB, or RGBA where there is alpha. image/png
// is not used: it makes RGBA or paletted pictures that would have to be gone over
// again, over a slower inflater.
func decodePNG(m *media, h pngHeader, opt Options) (_ picture, err error) {
	blocks := &pngBlocks{media: m, at: h.data}
	inflater, err := zlib.NewReader(bufio.NewReaderSize(blocks, 32<<10))
	if err != nil {
		return picture{}, m.pngFault(err)
	}
	defer inflater.Close()
	d := newPNGRows(h, opt)
	p := picture{width: h.width, height: h.height, channels: d.channels, pix: make([]byte, h.width*h.height*d.channels)}
	if h.depth == 16 && h.colourType == pngGray {
		p.notes = []string{opt.gray16Note()}
	}
	if h.interlaced {
		err = d.interlaced(inflater, p)
	} else {
		err = d.plain(inflater, p)
	}
	if err != nil {
		return picture{}, m.pngFault(err)
	}
	// The end of the stream has the checksum over all pixels.
	var rest [1]byte
	if n, err := inflater.Read(rest[:]); n == 0 && err != io.EOF && err != nil {
		return picture{}, m.pngFault(err)
	}
	return p, nil
}

func (m *media) pngFault(err error) error {
	if errors.Is(err, zlib.ErrHeader) {
		err = errors.New("its pixels are not a zlib stream")
	}
	return m.fault(codecs.StageDecode, err)
}

// pngBlocks reads what the consecutive IDAT chunks hold.
type pngBlocks struct {
	media *media
	at    int64 // of the next chunk
	body  int64 // of the current chunk's unread bytes
	left  int64
}

// Read gives bytes of one chunk at a time.
func (b *pngBlocks) Read(p []byte) (int, error) {
	for b.left == 0 {
		var head [8]byte
		if err := b.media.fill(head[:], b.at); err != nil {
			return 0, err
		}
		if string(head[4:]) != "IDAT" {
			return 0, io.EOF
		}
		b.body, b.left = b.at+8, int64(binary.BigEndian.Uint32(head[:]))
		b.at = b.body + b.left + 4
	}
	p = p[:min(int64(len(p)), b.left)]
	n, err := b.media.ReadAt(p, b.body)
	b.body += int64(n)
	b.left -= int64(n)
	if n == len(p) {
		err = nil
	}
	return n, err
}

// pngRows turns filtered rows into pixels.
type pngRows struct {
	h         pngHeader
	channels  int
	bits      int // a pixel
	clip      bool
	row, last []byte // filter byte, then the row's bytes
	colours   [256][4]byte
	key       [3]int // the transparent colour, or -1
}

func newPNGRows(h pngHeader, opt Options) *pngRows {
	samples := map[int]int{pngGray: 1, pngRGB: 3, pngPalette: 1, pngGrayAlpha: 2, pngRGBA: 4}[h.colourType]
	d := &pngRows{h: h, channels: 3, bits: samples * h.depth, key: [3]int{-1, -1, -1}, clip: opt.Gray16 == Gray16Clip}
	if h.colourType == pngGrayAlpha || h.colourType == pngRGBA || h.transparency != nil {
		d.channels = 4
	}
	size := 1 + (h.width*d.bits+7)/8
	d.row, d.last = make([]byte, size), make([]byte, size)
	switch {
	case h.colourType == pngPalette:
		d.palette()
	case h.transparency != nil:
		for i := range len(h.transparency) / 2 {
			d.key[i] = int(binary.BigEndian.Uint16(h.transparency[i*2:])) & (1<<h.depth - 1)
		}
	}
	return d
}

// palette fills the colours: what the palette lacks is black, as in Pillow.
func (d *pngRows) palette() {
	for i := range d.colours {
		d.colours[i][3] = 255
		if i*3 < len(d.h.palette) {
			copy(d.colours[i][:3], d.h.palette[i*3:])
		}
		if i < len(d.h.transparency) {
			d.colours[i][3] = d.h.transparency[i]
		}
	}
}

func (d *pngRows) plain(r io.Reader, p picture) error {
	stride := p.width * d.channels
	for y := range p.height {
		if err := d.read(r, len(d.row)); err != nil {
			return err
		}
		d.pixels(p.pix[y*stride:][:stride], p.width)
		d.row, d.last = d.last, d.row
	}
	return nil
}

// interlaced reads Adam7's seven small pictures.
func (d *pngRows) interlaced(r io.Reader, p picture) error {
	line := make([]byte, p.width*d.channels)
	for _, pass := range [7]struct{ x, y, dx, dy int }{
		{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
	} {
		width := (p.width - pass.x + pass.dx - 1) / pass.dx
		if width <= 0 {
			continue
		}
		clear(d.last)
		for y := pass.y; y < p.height; y += pass.dy {
			if err := d.read(r, 1+(width*d.bits+7)/8); err != nil {
				return err
			}
			d.pixels(line, width)
			for i := range width {
				to := (y*p.width + pass.x + i*pass.dx) * d.channels
				copy(p.pix[to:to+d.channels], line[i*d.channels:])
			}
			d.row, d.last = d.last, d.row
		}
	}
	return nil
}

// read reads a row of size bytes and undoes its filter.
func (d *pngRows) read(r io.Reader, size int) error {
	row := d.row[:size]
	if _, err := io.ReadFull(r, row); err != nil {
		return err
	}
	return unfilter(row[0], row[1:], d.last[1:size], max(1, d.bits/8))
}
