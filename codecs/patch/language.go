package patch

import "math"

// language is how many places a picture's tokens take in the sequence of a language
// model, as the model's own processor counts them (transformers 4.57):
//
//   - qwen2vl, qwen3vl: patches by the square of merge (Qwen2VLProcessor and
//     Qwen3VLProcessor, grid_thw.prod() // merge_size**2). Not counted are the vision
//     start and end tokens, and the times that Qwen3-VL writes before each group.
//   - pixtral: a place for each patch, and one at the end of each row, [IMG_BREAK] or at
//     last [IMG_END] (PixtralProcessor).
//   - llava_next: the whole picture's patches, and those of the canvas without its black
//     border, with a newline for each row (LlavaNextProcessor._get_number_of_features;
//     its class token is added and taken off again).
//   - others have no language model of their own, and count their patches without
//     padding. A class token or registers are the model's, and not counted.
func (c *cutter) language(from size, g grid) int {
	switch c.spec.Layout {
	case Qwen2VL, Qwen3VL:
		return int(g.tokens()) / (c.spec.Merge * c.spec.Merge)
	case Pixtral:
		return g.h * (g.w + 1)
	case LLaVANext:
		tile := c.spec.Size
		canvas := unpadded(from, size{c.shape.canvas.h / tile * g.h, c.shape.canvas.w / tile * g.w})
		return g.h*g.w + canvas.h*(canvas.w+1)
	}
	return int(g.tokens())
}

// unpadded is the canvas, in patches, without the rows or columns that hold nothing of
// a picture of size from: LlavaNextProcessor._get_unpadded_features. An extreme aspect
// leaves no row at all, or no column, and only newlines then.
func unpadded(from, canvas size) size {
	h, w := float64(from.h), float64(from.w)
	ch, cw := float64(canvas.h), float64(canvas.w)
	if w/h > cw/ch {
		canvas.h -= (canvas.h - floor7(h*(cw/w))) / 2 * 2
	} else {
		canvas.w -= (canvas.w - floor7(w*(ch/h))) / 2 * 2
	}
	return canvas
}

// floor7 is Python's int(round(x, 7)) for x >= 0: x cut to a whole number, unless its
// seventh decimal rounds up to the next one. No float64 lies half-way.
func floor7(x float64) int {
	if up := math.Ceil(x); up-x < 0.5e-7 {
		return int(up)
	}
	return int(x)
}
