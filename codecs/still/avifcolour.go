package still

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/codecs"
)

// Matrix coefficients of ISO/IEC 23091-2 that have a name here.
const (
	matrixRGB         = 0
	matrixBT709       = 1
	matrixUnspecified = 2
	matrixBT470BG     = 5
	matrixBT601       = 6
	matrixBT2020      = 9
)

// avifColour is a colr box in FFmpeg's words.
func avifColour(n *nclx) codecs.Colour {
	if n == nil {
		return codecs.Colour{}
	}
	c := codecs.Colour{Range: "tv"}
	if n.full {
		c.Range = "pc"
	}
	switch n.matrix {
	case matrixRGB:
		c.Matrix = "gbr"
	case matrixBT709:
		c.Matrix = "bt709"
	case matrixUnspecified:
		c.Matrix, c.Assumed = "smpte170m", []string{"matrix"}
	case matrixBT470BG:
		c.Matrix = "bt470bg"
	case matrixBT601:
		c.Matrix = "smpte170m"
	case matrixBT2020:
		c.Matrix = "bt2020nc"
	}
	return c
}

// avifConverter makes RGB of a picture's planes by libyuv's integer rule, which is
// what libavif, and so Pillow, uses for 8-bit pictures: coefficients times 64,
// chroma upsampled bilinearly between its sites at the middle of luma's.
type avifConverter struct {
	p              *yuv
	identity       bool
	yScale         int // luma, times 0x101, to 6 fractional bits over 2^16
	yBias          int
	ub, ug, vg, vr int
	chromaWidth    int
}

func (m *media) avifConverter(p *yuv) (*avifConverter, error) {
	c := &avifConverter{p: p}
	var kr, kb float64
	switch p.nclx.matrix {
	case matrixRGB:
		c.identity = p.u != nil
		if c.identity && (p.shiftX != 0 || !p.nclx.full) {
			return nil, m.unsupported("its RGB has chroma at half size or limited range")
		}
		kr, kb = 0.299, 0.114 // gray
	case matrixBT709:
		kr, kb = 0.2126, 0.0722
	case matrixUnspecified, matrixBT470BG, matrixBT601:
		kr, kb = 0.299, 0.114
	case matrixBT2020:
		kr, kb = 0.2627, 0.0593
	default:
		return nil, m.unsupported("its colour matrix has number %d", p.nclx.matrix)
	}
	c.chromaWidth = (p.width + p.shiftX) >> p.shiftX
	c.coefficients(kr, kb, p.nclx.full)
	return c, nil
}

func (c *avifConverter) coefficients(kr, kb float64, full bool) {
	kg := 1 - kr - kb
	y, uv, black := 1.0, 1.0, 0.0
	if !full {
		y, uv, black = 1.164, 255.0/224, 16 // three digits, as in libyuv
	}
	if !full && c.p.u == nil {
		y = 255.0 / 219 // gray is converted by libavif itself
	}
	fixed := func(v float64) int { return int(math.Round(v * 64)) }
	c.yScale = int(math.Round(y * 64 * 256 * 256 / 257))
	c.yBias = fixed(-y*black) + 32
	c.vr, c.ub = fixed(uv*2*(1-kr)), min(fixed(uv*2*(1-kb)), 128) // so that libyuv's bytes hold it
	c.ug, c.vg = fixed(uv*2*(1-kb)*kb/kg), fixed(uv*2*(1-kr)*kr/kg)
}

func (c *avifConverter) convert(p picture) {
	at := 0
	for y := range p.height {
		for x := range p.width {
			l := c.p.at(c.p.y, y*p.width+x)
			u, v := 128, 128
			if c.p.u != nil {
				u, v = c.chroma(c.p.u, x, y), c.chroma(c.p.v, x, y)
			}
			out := p.pix[at : at+3 : at+3]
			if c.identity {
				out[0], out[1], out[2] = byte(v), byte(l), byte(u)
			} else {
				l1 := l*0x101*c.yScale>>16 + c.yBias
				out[0] = clamp((l1 + c.vr*(v-128)) >> 6)
				out[1] = clamp((l1 - c.ug*(u-128) - c.vg*(v-128)) >> 6)
				out[2] = clamp((l1 + c.ub*(u-128)) >> 6)
			}
			if p.channels == 4 {
				p.pix[at+3] = 255
			}
			at += p.channels
		}
	}
}

// chroma is a plane's value at luma's x, y: the nearest site three times and its
// neighbour once, on each axis on which chroma is at half size.
func (c *avifConverter) chroma(plane []byte, x, y int) int {
	p := c.p
	if p.shiftX == 0 {
		return p.at(plane, y*c.chromaWidth+x)
	}
	x0, x1 := sites(x, c.chromaWidth)
	if x == p.width-1 {
		x1 = x0 // libyuv takes the last column's own site, also where it has a neighbour
	}
	if p.shiftY == 0 {
		row := y * c.chromaWidth
		return (3*p.at(plane, row+x0) + p.at(plane, row+x1) + 2) >> 2
	}
	y0, y1 := sites(y, (p.height+1)>>1)
	y0, y1 = y0*c.chromaWidth, y1*c.chromaWidth
	return (9*p.at(plane, y0+x0) + 3*p.at(plane, y0+x1) + 3*p.at(plane, y1+x0) + p.at(plane, y1+x1) + 8) >> 4
}

// sites are the chroma site nearest to a luma position and the next nearest.
func sites(at, size int) (near, next int) {
	near = at >> 1
	if at&1 == 0 {
		return near, max(near-1, 0)
	}
	return near, min(near+1, size-1)
}

// at is a sample as 8 bits: of deeper ones the high bits, as libyuv takes them.
func (p *yuv) at(plane []byte, i int) int {
	if p.depth == 8 {
		return int(plane[i])
	}
	return min(int(binary.LittleEndian.Uint16(plane[i*2:]))>>(p.depth-8), 255)
}

func clamp(v int) byte { return byte(min(max(v, 0), 255)) }

// putAlpha fills in alpha, and divides it out of the colours where they were
// multiplied by it.
func putAlpha(p picture, a *yuv, multiplied bool) {
	for i := range p.width * p.height {
		v := a.at(a.y, i)
		if !a.nclx.full {
			v = int(clamp(((v-16)*255 + 109) / 219))
		}
		s := p.pix[i*4 : i*4+4 : i*4+4]
		s[3] = byte(v)
		if multiplied {
			divideOut(s)
		}
	}
}

// divideOut undoes a pixel's multiplication by its alpha, with libyuv's 16-bit
// arithmetic, down to what it makes of colours that are far brighter than their
// alpha allows.
func divideOut(s []byte) {
	if s[3] == 255 {
		return
	}
	inverse := 0
	if s[3] > 0 {
		inverse = min(1<<16/int(s[3]), 1<<16-1)
	}
	for c := range 3 {
		s[c] = clamp(int(int16(int(s[c]) * 257 * inverse >> 16)))
	}
}
