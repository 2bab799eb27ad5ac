package patch

import (
	"image"

	"github.com/millrace/millrace/codecs"
)

// order says where a pixel's values stand among the tokens. It covers all layouts:
//
//   - token (t, h, w) stands at ((t*(gh/m) + h/m)*(gw/m) + w/m)*m*m + (h%m)*m + w%m
//     for merge m, which is row by row for m = 1;
//   - inside it, channel outermost, value ((c*P + d)*p + i)*p + j is channel c of
//     frame d of the group, row i, column j of the patch; channel innermost (one
//     frame only), it is (i*p + j)*3 + c.
type order struct {
	patch, temporal, merge int
	innerRGB               bool
}

// values is the number of values in a token.
func (o order) values() int { return 3 * o.temporal * o.patch * o.patch }

// run is how many values of one channel stand together.
func (o order) run() int {
	if o.innerRGB {
		return 1
	}
	return o.temporal * o.patch * o.patch
}

// index is the place of cell (y, x) in a time group of gw columns.
func (o order) index(y, x, gw int) int {
	m := o.merge
	return (y/m*(gw/m)+x/m)*m*m + y%m*m + x%m
}

// cut is the reference's; see kernel.
func (o order) cut(dst []byte, pic codecs.Pixels, at image.Point, gh, gw, d int) {
	p, values := o.patch, o.values()
	for y := range gh {
		for x := range gw {
			token := dst[o.index(y, x, gw)*values:][:values]
			from := ((at.Y+y*p)*pic.Width + at.X + x*p) * 3
			for i := range p {
				line := pic.Pix[from+i*pic.Width*3:][:3*p]
				if o.innerRGB {
					copy(token[i*3*p:], line)
				} else {
					o.split(token[(d*p+i)*p:], line)
				}
			}
		}
	}
}

// split stores one row of a patch, channel by channel.
func (o order) split(token, line []byte) {
	run, n := o.run(), len(line)/3
	red, green, blue := token[:n], token[run:][:n], token[2*run:][:n]
	for j := range red {
		px := line[3*j : 3*j+3]
		red[j], green[j], blue[j] = px[0], px[1], px[2]
	}
}
