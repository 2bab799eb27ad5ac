package patch

import "encoding/binary"

// grid counts time groups (or tiles), rows and columns of patches.
type grid struct{ t, h, w int }

func (g grid) tokens() int64 { return int64(g.t) * int64(g.h) * int64(g.w) }

// result holds a cutter's output arrays, which are reused.
type result struct {
	grid   grid
	rows   int    // tokens with padding
	places int    // in a language model
	values []byte // patches in the wanted dtype, where that is not uint8
	out    Tokens

	mask, coords Array
	gridBytes    [24]byte
	shapes       [7]int // of the arrays: patches 2, grid 1, mask 1, coords 2
}

// begin makes room for rows tokens, of which the grid's are real, made of a picture or
// clip of size from.
func (r *result) begin(c *cutter, from size, g grid, rows int) {
	r.grid, r.rows, r.places = g, rows, c.language(from, g)
	if c.table != nil {
		r.values = resized(r.values, rows*c.order.values()*dtypeBytes(c.spec.DType))
	}
}

// tokens finishes the arrays from the cutter's bytes.
func (r *result) tokens(c *cutter) *Tokens {
	count := int(r.grid.tokens())
	real := count * c.order.values()
	data := c.bytes
	if c.table == nil {
		clear(c.bytes[real:])
	} else {
		width := dtypeBytes(c.spec.DType)
		data = r.values
		c.table.put(data, c.bytes[:real], c.order.run(), width)
		clear(data[real*width:]) // padding is 0, not normalised black
	}
	r.shapes = [7]int{r.rows, c.order.values(), 0, r.rows, r.rows, 2}
	r.out = Tokens{
		Patches:      Array{DType: storedAs(c.spec.DType), Shape: r.shapes[0:2], Data: data},
		Grid:         r.gridArray(c.spec.Layout),
		ResizedWidth: c.shape.resized.w, ResizedHeight: c.shape.resized.h,
		Count: count, Language: r.places,
	}
	if c.shape.tiles > 0 {
		r.out.ResizedWidth, r.out.ResizedHeight = c.shape.canvas.w, c.shape.canvas.h
	}
	if c.spec.MaxPatches > 0 {
		r.padded(c.spec.Layout, count)
	}
	return &r.out
}

func (r *result) gridArray(layout string) Array {
	numbers := [3]int{r.grid.t, r.grid.h, r.grid.w}
	n := numbers[:]
	switch layout {
	case ViT, NaFlex, TimmFlex, Pixtral:
		n = numbers[1:]
	}
	for i, v := range n {
		binary.LittleEndian.PutUint64(r.gridBytes[8*i:], uint64(v))
	}
	r.shapes[2] = len(n)
	return Array{DType: "int64", Shape: r.shapes[2:3], Data: r.gridBytes[:8*len(n)]}
}

// padded adds the mask, and for timm the coordinates, of layouts that pad.
func (r *result) padded(layout string, count int) {
	r.mask.DType, r.mask.Shape = "int32", r.shapes[3:4]
	width := 4
	if layout == TimmFlex {
		r.mask.DType, width = "bool", 1
	}
	r.mask.Data = resized(r.mask.Data, r.rows*width)
	clear(r.mask.Data)
	for i := range count {
		r.mask.Data[i*width] = 1
	}
	r.out.Mask = &r.mask
	if layout != TimmFlex {
		return
	}
	r.coords.DType, r.coords.Shape = "int64", r.shapes[4:6]
	r.coords.Data = resized(r.coords.Data, r.rows*16)
	clear(r.coords.Data)
	for i := range count {
		binary.LittleEndian.PutUint64(r.coords.Data[16*i:], uint64(i/r.grid.w))
		binary.LittleEndian.PutUint64(r.coords.Data[16*i+8:], uint64(i%r.grid.w))
	}
	r.out.Coords = &r.coords
}
