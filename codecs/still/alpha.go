package still

// dropAlpha writes RGBA pixels to dst, len(pix)/4*3 bytes, forgetting alpha.
func dropAlpha(dst, pix []byte) {
	for i := range len(pix) / 4 {
		s := pix[i*4 : i*4+3 : i*4+3]
		d := dst[i*3 : i*3+3 : i*3+3]
		d[0], d[1], d[2] = s[0], s[1], s[2]
	}
}

// overColour writes RGBA pixels (alpha not multiplied in) over an opaque colour to
// dst, len(pix)/4*3 bytes. Rounding is that of Pillow's
// Image.paste with a mask, which is how training code fills backgrounds.
func overColour(dst, pix []byte, bg rgb) {
	n := len(pix) / 4
	for i := range n {
		s := [4]byte(pix[i*4 : i*4+4])
		d := dst[i*3 : i*3+3 : i*3+3]
		if s[3] == 255 {
			d[0], d[1], d[2] = s[0], s[1], s[2]
			continue
		}
		a := uint32(s[3])
		for c := range 3 {
			d[c] = div255(uint32(s[c])*a + uint32(bg[c])*(255-a))
		}
	}
}

// div255 is round(v/255) for v up to 255*255, in integers.
func div255(v uint32) byte {
	v += 128
	return byte((v>>8 + v) >> 8)
}

// opaque reports whether no RGBA pixel lets anything through.
func opaque(pix []byte) bool {
	for i := 3; i < len(pix); i += 4 {
		if pix[i] != 255 {
			return false
		}
	}
	return true
}
