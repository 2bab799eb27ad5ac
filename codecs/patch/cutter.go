package patch

import (
	"errors"
	"fmt"
	"image"

	"github.com/millrace/millrace/codecs"
)

// Cutter makes the tokens of single pictures, by one compiled Spec.
//
// The result and its arrays belong to the Cutter and are valid until its next call.
// Errors about the picture are of type *[codecs.Error]; the Cutter can be used on.
// Not safe for concurrent use.
type Cutter interface {
	Cut(p codecs.Pixels) (*Tokens, error)
}

// ClipCutter makes the tokens of clips, frame by frame, so that no more than one frame
// at full size need be in memory. What holds for a [Cutter] holds here.
type ClipCutter interface {
	// Start begins a clip of that many frames, the first of that size, and forgets
	// one that was not finished.
	Start(frames, width, height int) error
	// Add cuts the next frame. It keeps nothing of p.
	Add(p codecs.Pixels) error
	// Finish returns the clip's tokens after its last frame was added.
	Finish() (*Tokens, error)
}

// New compiles s, after filling its defaults, for single pictures.
func New(s Spec, l Limits) (Cutter, error) {
	c, err := compile(s, l)
	if err != nil {
		return nil, err
	}
	if !c.layout.stills {
		return nil, fmt.Errorf("tokens %q: layout %s takes clips, not single pictures; give it clips of %d frames", s.Name, s.Layout, c.spec.Frames)
	}
	return c, nil
}

// NewClip compiles s, after filling its defaults, for clips.
func NewClip(s Spec, l Limits) (ClipCutter, error) {
	c, err := compile(s, l)
	if err != nil {
		return nil, err
	}
	if !c.layout.clips {
		return nil, fmt.Errorf("tokens %q: layout %s takes single pictures, not clips; write %s, %s or %s for clips", s.Name, s.Layout, VideoMAE, Qwen2VL, Qwen3VL)
	}
	return clips{c}, nil
}

// cutter is the one engine of all layouts: they differ in the size rule (frame.go)
// and in the order of tokens and values (order.go).
type cutter struct {
	spec    Spec
	layout  layout
	limits  Limits
	order   order
	resizer *Resizer
	table   *table // nil for uint8

	shape   shape         // of the picture at hand
	picture codecs.Pixels // resized, cropped or padded
	part    codecs.Pixels // the part of picture that is not padding, where there is some

	want, got int    // frames of the clip at hand, and those added
	bytes     []byte // all tokens as cut, one byte a value
	result    result
}

func compile(s Spec, l Limits) (*cutter, error) {
	if err := errors.Join(s.Validate(), l.Validate()); err != nil {
		return nil, err
	}
	s = s.Normalise()
	c := &cutter{spec: s, limits: l}
	c.layout, _ = layoutOf(s.Layout)
	c.order = order{patch: s.Patch, temporal: max(s.TemporalPatch, 1), merge: max(s.Merge, 1), innerRGB: c.layout.innerRGB}
	var err error
	if c.resizer, err = NewResizer(s.Filter, s.PassOrder); err != nil {
		return nil, err
	}
	if s.DType != UInt8 {
		c.table = newTable(s.DType, s.Mean, s.Std)
	}
	return c, nil
}

// Cut makes the tokens of one picture. A layout with time takes it for a clip of one
// frame, which is repeated until a token is full.
func (c *cutter) Cut(p codecs.Pixels) (*Tokens, error) {
	if err := check(p); err != nil {
		return nil, err
	}
	if err := c.start(1, size{p.Height, p.Width}, false); err != nil {
		return nil, err
	}
	if err := c.add(p); err != nil {
		return nil, err
	}
	return c.finish()
}

// clips is the face of a cutter for clips.
type clips struct{ *cutter }

func (c clips) Start(frames, width, height int) error {
	if frames < 1 || width < 1 || height < 1 {
		return codecs.Errorf(codecs.CodeLayout, codecs.StagePatchify, "a clip of %d frames of %dx%d has no tokens", frames, width, height)
	}
	return c.start(frames, size{height, width}, true)
}

func (c clips) Add(p codecs.Pixels) error {
	if err := check(p); err != nil {
		return err
	}
	if c.got >= c.want {
		return fmt.Errorf("clip: frame %d of a clip of %d", c.got+1, c.want)
	}
	if c.spec.Layout == VideoMAE { // each frame by itself; the Qwen ones all to the first's size
		s, err := c.shapeOf(size{p.Height, p.Width}, c.want, true)
		if err != nil {
			return err
		}
		c.shape = s
	}
	return c.add(p)
}

func (c clips) Finish() (*Tokens, error) {
	if c.got != c.want || c.want == 0 {
		return nil, fmt.Errorf("clip: finished after %d of %d frames", c.got, c.want)
	}
	return c.finish()
}

// start finds the sizes, checks them against the limits and makes room.
func (c *cutter) start(frames int, from size, clip bool) error {
	c.want, c.got = 0, 0
	s, err := c.shapeOf(from, frames, clip)
	if err != nil {
		return err
	}
	groups := (frames + c.order.temporal - 1) / c.order.temporal
	if s.tiles > 0 {
		groups = s.tiles
	}
	g := grid{groups, s.cut.h / c.spec.Patch, s.cut.w / c.spec.Patch}
	rows := max(g.tokens(), int64(c.spec.MaxPatches))
	if err := c.limits.tokens(from, rows, int64(c.order.values()*dtypeBytes(c.spec.DType))); err != nil {
		return err
	}
	c.want, c.shape = frames, s
	c.bytes = resized(c.bytes, int(rows)*c.order.values())
	c.result.begin(c, from, g, int(rows))
	return nil
}

// add resizes a picture and cuts it into its place among the tokens.
func (c *cutter) add(p codecs.Pixels) error {
	if c.shape.tiles > 0 {
		return c.addTiles(p)
	}
	if err := c.render(p); err != nil {
		return err
	}
	c.place(c.got)
	c.got++
	return nil
}

// place cuts the picture at hand as the clip's frame number n.
func (c *cutter) place(n int) {
	g := c.result.grid
	per := g.h * g.w * c.order.values()
	c.resizer.kernel.cut(c.order, c.bytes[n/c.order.temporal*per:][:per], c.picture, image.Point{}, g.h, g.w, n%c.order.temporal)
}

// addTiles cuts the whole picture squashed to one tile, then the tiles of its canvas.
func (c *cutter) addTiles(p codecs.Pixels) error {
	g, tile := c.result.grid, c.spec.Size
	per := g.h * g.w * c.order.values()
	if err := c.resizer.Resize(&c.picture, p, tile, tile, image.Rect(0, 0, tile, tile)); err != nil {
		return err
	}
	c.resizer.kernel.cut(c.order, c.bytes[:per], c.picture, image.Point{}, g.h, g.w, 0)
	if err := c.render(p); err != nil {
		return err
	}
	at := per
	for y := 0; y < c.shape.canvas.h; y += tile {
		for x := 0; x < c.shape.canvas.w; x += tile {
			c.resizer.kernel.cut(c.order, c.bytes[at:at+per], c.picture, image.Pt(x, y), g.h, g.w, 0)
			at += per
		}
	}
	c.got++
	return nil
}

// render resizes p and crops or pads it, into c.picture.
func (c *cutter) render(p codecs.Pixels) error {
	s := c.shape
	if s.keep.Dx() == s.canvas.w && s.keep.Dy() == s.canvas.h {
		return c.resizer.Resize(&c.picture, p, s.resized.w, s.resized.h, s.keep)
	}
	if err := c.resizer.Resize(&c.part, p, s.resized.w, s.resized.h, s.keep); err != nil {
		return err
	}
	c.picture.Width, c.picture.Height = s.canvas.w, s.canvas.h
	c.picture.Pix = resized(c.picture.Pix, s.canvas.w*s.canvas.h*3)
	clear(c.picture.Pix)
	for y := range c.part.Height {
		copy(row(c.picture, s.at.Y+y)[s.at.X*3:], row(c.part, y))
	}
	return nil
}

// finish repeats the last frame until its group is full, and makes the result.
func (c *cutter) finish() (*Tokens, error) {
	for n := c.got; n%c.order.temporal != 0; n++ {
		c.place(n)
	}
	c.want, c.got = 0, 0
	return c.result.tokens(c), nil
}
