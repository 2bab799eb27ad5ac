package still

import (
	"compress/lzw"
	"encoding/binary"
	"io"

	"github.com/millrace/millrace/codecs"
)

// gifAnimation decodes a GIF's frames one after another onto a canvas and gives the
// picked ones. image/gif is not used since it would hold all frames at once.
//
// The canvas has two truths: its colours are those that Pillow shows (which puts the
// background colour where a frame is disposed of, and lets a frame without disposal
// inherit the one before), and its alpha is 0 where no frame covers it. So dropping
// alpha gives Pillow's pixels, and compositing gives what browsers show.
type gifAnimation struct {
	media    *media
	g        *gifFile
	shows    times
	animated bool
	picked   []int
	played   int
	canvas   []byte // RGBA
	indices  []byte // of the frame being drawn
	disposal int    // of the last frame that named one
	disposed func() // what becomes of the last frame's area before the next is drawn
	lzw      io.ReadCloser
}

func openGIF(m *media, opt Options, l codecs.Limits) (header, decoder, error) {
	all := opt.Animation == AnimationAll
	most := 1
	if all {
		most = 0
	}
	g, err := headGIF(m, l, most)
	if err != nil {
		return header{}, nil, err
	}
	delays := make([]int, len(g.frames))
	for i, f := range g.frames {
		delays[i] = f.delay
	}
	d := &gifAnimation{media: m, g: g, shows: timeline(delays, 100), animated: len(g.frames) > 1}
	if d.picked, err = pickedFrames(d.shows, opt, l); err != nil {
		return header{}, nil, err
	}
	if d.animated {
		g.duration = d.shows.end
	}
	if !all {
		g.header.frames = 0 // not counted
	}
	return g.header, d, nil
}

func (d *gifAnimation) moments() []codecs.Moment { return d.shows.moments(d.picked) }

func (d *gifAnimation) next() (picture, error) {
	if len(d.picked) == 0 {
		return picture{}, io.EOF
	}
	index := d.picked[0]
	d.picked = d.picked[1:]
	for ; d.played <= index; d.played++ {
		if err := d.draw(d.g.frames[d.played]); err != nil {
			return picture{}, err
		}
	}
	p := picture{width: d.g.width, height: d.g.height, channels: 4, pix: d.canvas, index: int64(index), key: index == 0}
	p.pts = codecs.NewRational(0, 1)
	if d.animated {
		p.pts, p.duration = d.shows.at(index)
	}
	return p, nil
}

func (d *gifAnimation) close() { d.picked, d.canvas, d.indices = nil, nil, nil }

// draw disposes of the frame before and puts f on the canvas.
func (d *gifAnimation) draw(f gifFrame) error {
	if err := d.decode(f); err != nil {
		return err
	}
	first := d.canvas == nil
	if first {
		d.canvas = make([]byte, d.g.width*d.g.height*4)
		if f.transparent >= 0 || f.width*f.height < d.g.width*d.g.height {
			d.fill(0, 0, d.g.width, d.g.height, f.colour(max(f.transparent, 0)))
		}
	}
	if d.disposed != nil {
		d.disposed()
	}
	if f.disposal != 0 {
		d.disposal = f.disposal
	}
	d.disposed = d.disposing(f, first)
	d.paint(f)
	return nil
}

// paint puts the decoded indices on the canvas, but for transparent ones.
func (d *gifAnimation) paint(f gifFrame) {
	var colours [256]uint32
	for i := range colours {
		c := f.colour(i)
		colours[i] = binary.LittleEndian.Uint32([]byte{c[0], c[1], c[2], 255})
	}
	for n := range f.height {
		row := d.row(f, f.row(n))
		for x, index := range d.indices[n*f.width:][:f.width] {
			if int(index) != f.transparent {
				binary.LittleEndian.PutUint32(row[x*4:], colours[index])
			}
		}
	}
}

// disposing prepares what is to be done with f's area once f has been shown.
func (d *gifAnimation) disposing(f gifFrame, first bool) func() {
	switch {
	case d.disposal < 2:
		return nil
	case d.disposal == 2 || first && f.transparent >= 0:
		index := f.transparent
		if index < 0 {
			index = int(d.g.background)
		}
		return func() { d.fill(f.x, f.y, f.width, f.height, f.colour(index)) }
	case first:
		return nil
	}
	saved := make([]byte, 0, f.width*f.height*4)
	for y := range f.height {
		saved = append(saved, d.row(f, y)...)
	}
	return func() {
		for y := range f.height {
			copy(d.row(f, y), saved[y*f.width*4:])
		}
	}
}

// row is row y of f's area on the canvas.
func (d *gifAnimation) row(f gifFrame, y int) []byte {
	return d.canvas[((f.y+y)*d.g.width+f.x)*4:][:f.width*4]
}

// fill makes an area transparent over a colour.
func (d *gifAnimation) fill(x, y, width, height int, c rgb) {
	for j := range height {
		row := d.row(gifFrame{x: x, y: y, width: width}, j)
		for i := 0; i < len(row); i += 4 {
			row[i], row[i+1], row[i+2], row[i+3] = c[0], c[1], c[2], 0
		}
	}
}

// decode reads a frame's palette indices.
func (d *gifAnimation) decode(f gifFrame) error {
	d.indices = grow(d.indices, f.width*f.height)
	blocks := &gifBlocks{r: newGIFReader(d.media, f.data)}
	if d.lzw == nil {
		d.lzw = lzw.NewReader(blocks, lzw.LSB, f.litWidth)
	} else {
		d.lzw.(*lzw.Reader).Reset(blocks, lzw.LSB, f.litWidth)
	}
	if _, err := io.ReadFull(d.lzw, d.indices); err != nil {
		return d.media.fault(codecs.StageDecode, err)
	}
	return nil
}

// colour is a palette entry, black beyond the palette's end, as in Pillow. Without a
// palette indices are gray levels.
func (f gifFrame) colour(index int) rgb {
	if f.palette == nil {
		return rgb{byte(index), byte(index), byte(index)}
	}
	if at := index * 3; at < len(f.palette) {
		return rgb(f.palette[at : at+3])
	}
	return rgb{}
}

// row is where the frame's nth coded row stands.
func (f gifFrame) row(n int) int {
	if !f.interlaced {
		return n
	}
	for _, pass := range [4]struct{ first, step int }{{0, 8}, {4, 8}, {2, 4}, {1, 2}} {
		rows := (f.height - pass.first + pass.step - 1) / pass.step
		if n < rows {
			return pass.first + n*pass.step
		}
		n -= max(rows, 0)
	}
	return f.height - 1
}

// gifBlocks reads the bytes in a chain of data sub-blocks.
type gifBlocks struct {
	r    *gifReader
	left int
}

// ReadByte makes it an io.ByteReader, which is what lzw reads.
func (b *gifBlocks) ReadByte() (byte, error) {
	if b.left == 0 {
		n, err := b.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, io.EOF
		}
		b.left = int(n)
	}
	b.left--
	return b.r.ReadByte()
}

// Read reads what is left of a sub-block.
func (b *gifBlocks) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c, err := b.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = c
	return 1, nil
}
