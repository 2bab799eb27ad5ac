package still

import "strconv"

// orientation is EXIF's 1..8, or 0 where the file says nothing, with who said it.
type orientation struct {
	value int
	by    string // "exif", "xmp", or "irot" for AVIF's own properties
}

// note is the orientation's entry in Frame.Applied, or "" where nothing is done.
func (o orientation) note() string {
	if o.value < 2 {
		return ""
	}
	return o.by + ":" + strconv.Itoa(o.value)
}

// turn splits an orientation into a left-right flip and then a clockwise rotation.
func (o orientation) turn() (degrees int, mirrored bool) {
	switch o.value {
	case 2:
		return 0, true
	case 3:
		return 180, false
	case 4:
		return 180, true
	case 5:
		return 270, true
	case 6:
		return 90, false
	case 7:
		return 90, true
	case 8:
		return 270, false
	}
	return 0, false
}

// orient undoes orientation o on an RGB picture of w x h: the rule is that of
// Pillow's ImageOps.exif_transpose. It returns pix itself where there is nothing
// to do, else new pixels in dst (grown where too small), and their size.
func orient(dst, pix []byte, w, h, o int) ([]byte, int, int) {
	if o < 2 || o > 8 {
		return pix, w, h
	}
	// The output pixel (x, y) is the input pixel start + x*dx + y*dy.
	last, row := w*h-1, w
	ow, oh := w, h
	var start, dx, dy int
	switch o {
	case 2:
		start, dx, dy = row-1, -1, row
	case 3:
		start, dx, dy = last, -1, -row
	case 4:
		start, dx, dy = last-row+1, 1, -row
	case 5:
		start, dx, dy = 0, row, 1
	case 6:
		start, dx, dy = last-row+1, -row, 1
	case 7:
		start, dx, dy = last, -row, -1
	case 8:
		start, dx, dy = row-1, row, -1
	}
	if o >= 5 {
		ow, oh = h, w
	}
	dst = grow(dst, w*h*3)
	at := 0
	for y := range oh {
		from := start + y*dy
		for range ow {
			s := pix[from*3 : from*3+3 : from*3+3]
			d := dst[at : at+3 : at+3]
			d[0], d[1], d[2] = s[0], s[1], s[2]
			at += 3
			from += dx
		}
	}
	return dst, ow, oh
}

// grow returns a slice of n bytes, b's own memory where it is large enough.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
