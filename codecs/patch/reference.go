package patch

import (
	"image"

	"github.com/millrace/millrace/codecs"
)

// kernel is one implementation of the two passes of a resize, and of cutting what it
// gives into patches. All give equal bytes.
type kernel struct {
	name string
	// across resizes rows of RGB pixels horizontally. Row r of the source starts at
	// src[r*srcStride], with input column skip of the axis as its first pixel.
	across func(dst []byte, dstStride int, src []byte, srcStride, rows, skip int, a *axis)
	// down resizes vertically: n bytes of each row. Row r of the source starts at
	// src[r*srcStride], with input row skip of the axis as the first.
	down func(dst []byte, dstStride int, src []byte, srcStride, n, skip int, a *axis)
	// cut stores gh x gw patches of pic, from the point at on, as frame d of one time
	// group, whose tokens are dst.
	cut func(o order, dst []byte, pic codecs.Pixels, at image.Point, gh, gw, d int)
}

// reference is the plain form that the others are tested against.
var reference = kernel{name: "go", across: acrossGo, down: downGo, cut: order.cut}

func acrossGo(dst []byte, dstStride int, src []byte, srcStride, rows, skip int, a *axis) {
	for r := range rows {
		from, to := src[r*srcStride:], dst[r*dstStride:]
		for i, first := range a.first {
			at := (int(first) - skip) * 3
			weights := a.weight[i*a.slots:][:a.count[i]]
			pixels := from[at : at+3*len(weights)]
			red, green, blue := int32(weightHalf), int32(weightHalf), int32(weightHalf)
			for _, w := range weights {
				red += w * int32(pixels[0])
				green += w * int32(pixels[1])
				blue += w * int32(pixels[2])
				pixels = pixels[3:]
			}
			o := to[3*i : 3*i+3]
			o[0], o[1], o[2] = clip(red), clip(green), clip(blue)
		}
	}
}

func downGo(dst []byte, dstStride int, src []byte, srcStride, n, skip int, a *axis) {
	var sums [256]int32
	for i, first := range a.first {
		weights := a.weight[i*a.slots:][:a.count[i]]
		for x := 0; x < n; x += len(sums) {
			part := sums[:min(len(sums), n-x)]
			for k := range part {
				part[k] = weightHalf
			}
			for j, w := range weights {
				row := src[(int(first)-skip+j)*srcStride+x:][:len(part)]
				for k, p := range row {
					part[k] += w * int32(p)
				}
			}
			o := dst[i*dstStride+x:][:len(part)]
			for k, s := range part {
				o[k] = clip(s)
			}
		}
	}
}

// clip rounds a fixed-point sum to a byte.
func clip(sum int32) byte { return byte(min(max(sum>>weightBits, 0), 255)) }
