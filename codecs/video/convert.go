package video

import (
	"fmt"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// converter makes RGB of decoded frames. It keeps the last graph, since frames seldom
// change.
type converter struct {
	ffmpeg.Owner // the two frames below
	out, planar  *astiav.Frame
	graph        *graph // nil, or that of key
	key          graphKey
	pix          []byte
}

// graphKey is everything a graph is built from, and what zscale looks at only once.
type graphKey struct {
	w, h, format, chroma int
	filters              string
}

func newConverter() (*converter, error) {
	c := &converter{out: astiav.AllocFrame(), planar: astiav.AllocFrame()}
	for _, f := range []*astiav.Frame{c.out, c.planar} {
		if f != nil {
			c.Own(f.Free)
		}
	}
	if c.out == nil || c.planar == nil {
		c.close()
		return nil, ffmpeg.ErrAlloc
	}
	return c, nil
}

func (c *converter) close() {
	c.drop()
	c.Free()
}

// drop frees the graph.
func (c *converter) drop() {
	if c.graph != nil {
		c.graph.Free()
	}
	c.graph, c.key = nil, graphKey{}
}

// view is how a picture is to be shown, and under which rules.
type view struct {
	orientation
	sar codecs.Rational
	opt Options
	lim codecs.Limits
}

// convert fills out with the frame's picture: RGB, square pixels, upright. It uses the
// frame up. out.Pix is c's own and is overwritten by the next call.
func (c *converter) convert(f *astiav.Frame, t tags, v view, out *codecs.Frame) error {
	w, h, format := f.Width(), f.Height(), f.PixelFormat().Name()
	fam := familyOf(f.PixelFormat())
	if fam == familyNone {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "pixels come as %s, which has no exact way to RGB here", format)
	}
	col := tagColour(t, f.PixelFormat(), h)
	out.Colour, out.BeforeWidth, out.BeforeHeight = col.Colour, w, h
	tonemap, err := v.dynamics(col, out)
	if err != nil {
		return err
	}
	if t.alpha {
		out.Applied = append(out.Applied, "alpha:dropped")
	}
	sw, sh, scaled := square(w, h, v.sar)
	if scaled {
		if err := v.lim.CheckSize(codecs.KindVideo, sw, sh); err != nil {
			return err
		}
		out.Applied = append(out.Applied, fmt.Sprintf("sar:%d/%d", v.sar.Num, v.sar.Den))
	} else if v.sar.Num != v.sar.Den {
		out.Applied = append(out.Applied, "sar:ignored")
	}
	out.Applied = append(out.Applied, v.applied()...)
	picture, limited := f, col.limited
	if fam == familyYUV || scaled || tonemap {
		if fam == familyDirect && (!tonemap || limited || !takenByZimg(f.PixelFormat())) {
			if err := toPlanar(f, c.planar, limited); err != nil {
				c.planar.Unref()
				return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "%s pixels could not be read: %w", format, err)
			}
			defer c.planar.Unref()
			picture = c.planar
		}
		crop := ""
		if padded, err := pad(picture, c.planar); err != nil || padded {
			defer c.planar.Unref()
			if err != nil {
				return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "%s pixels could not be read: %w", format, err)
			}
			picture, crop = c.planar, fmt.Sprintf(",crop=%d:%d:0:0", w, h)
		}
		if err := c.filter(picture, filters(fam, col, tonemap, crop, w, h, sw, sh), col.chroma); err != nil {
			return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode,
				"%dx%d %s pixels with matrix %q could not be made RGB: %w", w, h, format, col.Matrix, err)
		}
		defer c.out.Unref()
		picture, limited = c.out, false
	}
	return c.fill(picture, v.orientation, limited, out)
}

// dynamics decides on PQ and HLG.
func (v view) dynamics(col tagged, out *codecs.Frame) (tonemap bool, err error) {
	switch hdr := col.hdr(); {
	case hdr == "":
		return false, nil
	case v.opt.HDR == Refuse:
		return false, codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "frame %d has high dynamic range (%s), which the setting hdr: %s does not take; tonemap would", out.Index, hdr, Refuse)
	case v.opt.HDR == Tonemap:
		out.Applied = append(out.Applied, "tonemap:hable")
		return true, nil
	default:
		out.Applied = append(out.Applied, "hdr:"+hdr)
		return false, nil
	}
}

func (c *converter) fill(picture *astiav.Frame, o orientation, limited bool, out *codecs.Frame) error {
	out.Width, out.Height = picture.Width(), picture.Height()
	if o.turned() {
		out.Width, out.Height = out.Height, out.Width
	}
	n := out.Width * out.Height * 3
	if cap(c.pix) < n {
		c.pix = make([]byte, n)
	}
	out.Pix = c.pix[:n]
	if err := paint(picture, out.Pix, o, limited); err != nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "%s pixels could not be read: %w", picture.PixelFormat().Name(), err)
	}
	return nil
}

// filter runs one frame through the graph that text spells, into c.out, which is then
// to be unreferenced.
func (c *converter) filter(f *astiav.Frame, text string, chroma int) error {
	key := graphKey{f.Width(), f.Height(), int(f.PixelFormat()), chroma, text}
	if key != c.key {
		c.drop()
		var err error
		if c.graph, err = newGraph(key.w, key.h, key.format, text); err != nil {
			return err
		}
		c.key = key
	}
	if err := c.graph.push(f); err != nil {
		return err
	}
	c.out.Unref()
	if err := c.graph.pull(c.out); err != nil {
		return err
	}
	if familyOf(c.out.PixelFormat()) != familyDirect {
		return fmt.Errorf("the filters gave %s", c.out.PixelFormat().Name())
	}
	return nil
}
