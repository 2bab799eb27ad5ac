package inspect

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// cells is a picture's grid of patches.
type cells struct{ rows, cols int }

// gridOf reads a .grid.npy field: its last two numbers are rows and columns.
func gridOf(data []byte) (cells, error) {
	a, err := patch.ParseNPY(data)
	if err != nil {
		return cells{}, err
	}
	if n := len(a.Data) / 8; a.DType == "int64" && len(a.Shape) == 1 && (n == 2 || n == 3) {
		rows := binary.LittleEndian.Uint64(a.Data[8*(n-2):])
		cols := binary.LittleEndian.Uint64(a.Data[8*(n-1):])
		if rows >= 1 && cols >= 1 && rows <= 1<<14 && cols <= 1<<14 {
			return cells{int(rows), int(cols)}, nil
		}
	}
	return cells{}, fmt.Errorf("the grid is no two or three sizes")
}

// unpatch lays patches out as the picture that they were cut from: the first frame of
// the first time group, or the first tile. It is the inverse of package patch's order:
// channel outermost in a token but for the NaFlex layouts, and 2x2 squares of tokens
// for Qwen's.
func unpatch(data []byte, info pipeline.TokenInfo, g cells) (*image.NRGBA, error) {
	a, err := patch.ParseNPY(data)
	if err != nil {
		return nil, err
	}
	p := info.Patch
	if p < 1 || p > 1<<10 || len(a.Shape) != 2 {
		return nil, fmt.Errorf("patches of side %d in an array of shape %v", p, a.Shape)
	}
	temporal := a.Shape[1] / (3 * p * p)
	if a.Shape[1] != temporal*3*p*p || temporal < 1 || a.Shape[0] < g.rows*g.cols {
		return nil, fmt.Errorf("an array of shape %v holds no grid of %dx%d patches of %d pixels", a.Shape, g.rows, g.cols, p)
	}
	if err := codecs.DefaultLimits().CheckSize(codecs.KindImage, g.cols*p, g.rows*p); err != nil {
		return nil, err
	}
	level, err := levels(a, info)
	if err != nil {
		return nil, err
	}
	o := placing{p: p, run: temporal * p * p, merge: 1, cols: g.cols}
	switch info.Layout {
	case patch.NaFlex, patch.TimmFlex:
		o.run = 0
	case patch.Qwen2VL, patch.Qwen3VL:
		o.merge = 2
	}
	if g.rows%o.merge != 0 || g.cols%o.merge != 0 {
		return nil, fmt.Errorf("a grid of %dx%d patches is of no whole squares of %d", g.rows, g.cols, o.merge)
	}
	img := image.NewNRGBA(image.Rect(0, 0, g.cols*p, g.rows*p))
	for y := range g.rows * p {
		line := img.Pix[y*img.Stride:][:4*g.cols*p]
		for x := range g.cols * p {
			token := o.token(y/p, x/p) * a.Shape[1]
			for c := range 3 {
				line[4*x+c] = level(token+o.value(y%p, x%p, c), c)
			}
			line[4*x+3] = 255
		}
	}
	return img, nil
}

// placing says where a pixel's values are.
type placing struct {
	p, run, merge, cols int // run: values of one channel; 0 is channel innermost
}

func (o placing) token(y, x int) int {
	m := o.merge
	return (y/m*(o.cols/m)+x/m)*m*m + y%m*m + x%m
}

func (o placing) value(i, j, c int) int {
	if o.run == 0 {
		return (i*o.p+j)*3 + c
	}
	return c*o.run + i*o.p + j
}

// levels gives value i of the array, which is of channel c, as a level of 0..255.
func levels(a patch.Array, info pipeline.TokenInfo) (func(i, c int) byte, error) {
	var at func(i int) float64
	le := binary.LittleEndian
	switch {
	case a.DType == "uint8":
		return func(i, _ int) byte { return a.Data[i] }, nil
	case a.DType == "float32":
		at = func(i int) float64 { return float64(math.Float32frombits(le.Uint32(a.Data[4*i:]))) }
	case a.DType == "float16":
		at = func(i int) float64 { return half(le.Uint16(a.Data[2*i:])) }
	case a.DType == "uint16" && info.DType == "bfloat16":
		at = func(i int) float64 { return float64(math.Float32frombits(uint32(le.Uint16(a.Data[2*i:])) << 16)) }
	default:
		return nil, fmt.Errorf("patches of dtype %s", a.DType)
	}
	return func(i, c int) byte {
		v := math.Round((at(i)*info.Std[c] + info.Mean[c]) * 255)
		return byte(min(max(v, 0), 255)) // a NaN stays one, and becomes some level
	}, nil
}

// half is IEEE 754 binary16.
func half(b uint16) float64 {
	exp, frac := int(b>>10&31), float64(b&1023)
	v := math.Ldexp(1024+frac, exp-25)
	switch exp {
	case 0:
		v = math.Ldexp(frac, -24)
	case 31:
		v = math.Inf(1)
	}
	if b&0x8000 != 0 {
		return -v
	}
	return v
}
