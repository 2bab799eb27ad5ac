package video

import (
	"encoding/binary"
	"fmt"
	"math"
)

// orientation is what a viewer does to the coded picture: a left-right flip, then a
// turn clockwise.
type orientation struct {
	mirrored bool
	degrees  int // 0, 90, 180, 270
}

// parseMatrix reads a display matrix (ISO/IEC 14496-12, 8.4.2.3) as FFmpeg hands it
// out: nine native 32-bit values. ok is false for turns that are no quarter turns and
// for skews; scales are ignored, as the demuxer has made sample aspect of them.
func parseMatrix(b []byte) (o orientation, ok bool) {
	if len(b) < 36 {
		return orientation{}, false
	}
	v := func(i int) float64 { return float64(int32(binary.NativeEndian.Uint32(b[4*i:]))) }
	// x' = ax + cy, y' = bx + dy; y points down.
	a, bb, c, d := v(0), v(1), v(3), v(4)
	x, y := math.Hypot(a, bb), math.Hypot(c, d)
	if x == 0 || y == 0 {
		return orientation{}, false
	}
	for _, o := range orientations {
		m := o.matrix()
		if near(a/x, m[0]) && near(bb/x, m[1]) && near(c/y, m[2]) && near(d/y, m[3]) {
			return o, true
		}
	}
	return orientation{}, false
}

// near allows for what 16.16 fixed point leaves of a quarter turn.
func near(a, b float64) bool { return math.Abs(a-b) < 1e-3 }

var orientations = [8]orientation{
	{false, 0}, {false, 90}, {false, 180}, {false, 270},
	{true, 0}, {true, 90}, {true, 180}, {true, 270},
}

// matrix is a, b, c, d of the orientation.
func (o orientation) matrix() [4]float64 {
	m := [4]float64{1, 0, 0, 1}
	if o.mirrored {
		m[0] = -1
	}
	for range o.degrees / 90 {
		// A turn clockwise takes (x, y) to (-y, x).
		m = [4]float64{-m[1], m[0], -m[3], m[2]}
	}
	return m
}

// turned reports whether width and height change places.
func (o orientation) turned() bool { return o.degrees%180 == 90 }

// steps says where the pixels of a w x h picture land in the oriented RGB picture:
// pixel (x, y) at start + x*xstep + y*ystep.
func (o orientation) steps(w, h int) (start, xstep, ystep int) {
	m := o.matrix()
	stride := 3 * w
	if o.turned() {
		stride = 3 * h
	}
	xstep = 3*int(m[0]) + stride*int(m[1])
	ystep = 3*int(m[2]) + stride*int(m[3])
	// Steps that go backwards start at their far end.
	if xstep < 0 {
		start -= xstep * (w - 1)
	}
	if ystep < 0 {
		start -= ystep * (h - 1)
	}
	return start, xstep, ystep
}

// applied lists the steps for Frame.Applied.
func (o orientation) applied() []string {
	var s []string
	if o.mirrored {
		s = append(s, "flip:horizontal")
	}
	if o.degrees != 0 {
		s = append(s, fmt.Sprintf("rotate:%d", o.degrees))
	}
	return s
}
