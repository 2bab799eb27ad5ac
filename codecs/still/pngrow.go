package still

import (
	"encoding/binary"
	"fmt"
)

// unfilter undoes a PNG row filter in place. last is the row above, bpp the bytes
// between a byte and its neighbour on the left.
//
// Source: PNG specification, third edition, section 9.
func unfilter(filter byte, row, last []byte, bpp int) error {
	last = last[:len(row)]
	switch filter {
	case 0:
	case 1:
		for i := bpp; i < len(row); i++ {
			row[i] += row[i-bpp]
		}
	case 2:
		for i := range row {
			row[i] += last[i]
		}
	case 3:
		for i := range min(bpp, len(row)) {
			row[i] += last[i] / 2
		}
		for i := bpp; i < len(row); i++ {
			row[i] += byte((int(row[i-bpp]) + int(last[i])) / 2)
		}
	case 4:
		for c := range min(bpp, len(row)) {
			paeth(row[c:], last[c:], bpp)
		}
	default:
		return fmt.Errorf("filter %d does not exist", filter)
	}
	return nil
}

// paeth undoes the Paeth filter for one byte of each pixel, so that the neighbours
// on the left and above it stay in registers.
func paeth(row, last []byte, bpp int) {
	var a, c int // left, and above it
	for i := 0; i < len(row); i += bpp {
		b := int(last[i])
		pa, pb := b-c, a-c
		pc := abs(pa + pb)
		pa, pb = abs(pa), abs(pb)
		if pa > pb || pa > pc {
			if a = b; pb > pc {
				a = c
			}
		}
		a = (a + int(row[i])) & 0xFF
		row[i] = byte(a)
		c = b
	}
}

func abs(v int) int {
	mask := v >> 63
	return (v ^ mask) - mask
}

// pixels converts the current row, n pixels of it, to RGB or RGBA.
func (d *pngRows) pixels(out []byte, n int) {
	in := d.row[1:]
	switch {
	case d.h.colourType == pngRGB && d.h.depth == 8 && d.channels == 3,
		d.h.colourType == pngRGBA && d.h.depth == 8:
		copy(out, in[:n*d.channels])
	case d.h.colourType == pngPalette:
		for i := range n {
			d.put(out, i, d.colours[sample(in, i, d.h.depth)])
		}
	case d.h.colourType == pngGray:
		d.gray(out, in, n)
	case d.h.colourType == pngRGB:
		d.keyed(out, in, n)
	default:
		d.alpha(out, in, n)
	}
}

func (d *pngRows) put(out []byte, i int, c [4]byte) {
	copy(out[i*d.channels:(i+1)*d.channels], c[:])
}

// gray converts 1 to 16 bits; fewer than 8 are stretched to 0..255.
func (d *pngRows) gray(out, in []byte, n int) {
	for i := range n {
		v := sample(in, i, d.h.depth)
		c := [4]byte{3: 255}
		if v == d.key[0] {
			c[3] = 0
		}
		switch {
		case d.h.depth < 8:
			v = v * 255 / (1<<d.h.depth - 1)
		case d.h.depth == 16 && d.clip:
			v = min(v, 255)
		case d.h.depth == 16:
			v >>= 8
		}
		c[0], c[1], c[2] = byte(v), byte(v), byte(v)
		d.put(out, i, c)
	}
}

// keyed converts RGB of 16 bits, or with a transparent colour.
func (d *pngRows) keyed(out, in []byte, n int) {
	for i := range n {
		c := [4]byte{3: 255}
		same := true
		for j := range 3 {
			v := sample(in, i*3+j, d.h.depth)
			same = same && v == d.key[j]
			c[j] = byte(v >> (d.h.depth - 8))
		}
		if same {
			c[3] = 0
		}
		d.put(out, i, c)
	}
}

// alpha converts gray with alpha, and RGBA of 16 bits: the high byte of each sample.
func (d *pngRows) alpha(out, in []byte, n int) {
	step := d.h.depth / 8
	for i := range n {
		if d.h.colourType == pngGrayAlpha {
			v := in[i*2*step]
			d.put(out, i, [4]byte{v, v, v, in[(i*2+1)*step]})
			continue
		}
		s := in[i*4*step:]
		d.put(out, i, [4]byte{s[0], s[step], s[2*step], s[3*step]})
	}
}

// sample is the ith sample of a row.
func sample(row []byte, i, depth int) int {
	switch depth {
	case 8:
		return int(row[i])
	case 16:
		return int(binary.BigEndian.Uint16(row[i*2:]))
	}
	bit := i * depth
	return int(row[bit/8]) >> (8 - depth - bit%8) & (1<<depth - 1)
}
