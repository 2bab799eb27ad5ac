package video

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// converter makes RGB of decoded frames. It keeps the last graph, since frames seldom
// change.
type converter struct {
	ffmpeg.Owner // the two frames below
	out, planar  *astiav.Frame
	graph        ffmpeg.Owner
	key          graphKey
	source, sink *astiav.FilterContext
	pix          []byte
}

// graphKey is everything a graph is built from.
type graphKey struct {
	w, h, format int
	filters      string
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
	c.graph.Free()
	c.Free()
}

// convert fills out with the frame's picture: RGB, square pixels, upright. It uses the
// frame up. out.Pix is c's own and is overwritten by the next call.
func (c *converter) convert(f *astiav.Frame, t tags, sar codecs.Rational, o orientation, lim codecs.Limits, out *codecs.Frame) error {
	w, h := f.Width(), f.Height()
	fam := familyOf(f.PixelFormat())
	if fam == familyNone {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "pixels come as %s, which has no exact way to RGB here", f.PixelFormat().Name())
	}
	col := tagColour(t, f.PixelFormat(), h)
	out.Colour, out.BeforeWidth, out.BeforeHeight = col.Colour, w, h
	if hasAlpha(f.PixelFormat()) {
		out.Applied = append(out.Applied, "alpha:dropped")
	}
	sw, sh, scaled := square(w, h, sar)
	if scaled {
		if err := lim.CheckSize(codecs.KindVideo, sw, sh); err != nil {
			return err
		}
		out.Applied = append(out.Applied, fmt.Sprintf("sar:%d/%d", sar.Num, sar.Den))
	}
	out.Applied = append(out.Applied, o.applied()...)
	picture, limited := f, col.limited
	if fam == familyYUV || scaled {
		var err error
		if picture, err = c.filter(f, fam, filters(fam, col, w, h, sw, sh), limited); err != nil {
			return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode,
				"%dx%d %s pixels with matrix %q could not be made RGB: %w", w, h, f.PixelFormat().Name(), col.Matrix, err)
		}
		defer c.out.Unref()
		limited = false
	}
	return c.fill(picture, o, limited, out)
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

// filter runs one frame through the graph; the result is c.out, to be unreferenced.
func (c *converter) filter(f *astiav.Frame, fam family, text string, limited bool) (*astiav.Frame, error) {
	in := f
	if fam == familyDirect {
		if err := toPlanar(f, c.planar, limited); err != nil {
			c.planar.Unref()
			return nil, err
		}
		defer c.planar.Unref()
		in = c.planar
	}
	key := graphKey{in.Width(), in.Height(), int(in.PixelFormat()), text}
	if key != c.key {
		c.graph.Free()
		c.key = graphKey{}
		if err := c.build(key); err != nil {
			c.graph.Free()
			return nil, err
		}
		c.key = key
	}
	if err := c.source.BuffersrcAddFrame(in, 0); err != nil {
		return nil, err
	}
	c.out.Unref()
	if err := c.sink.BuffersinkGetFrame(c.out, 0); err != nil {
		return nil, err
	}
	if familyOf(c.out.PixelFormat()) != familyDirect {
		return nil, fmt.Errorf("the filters gave %s", c.out.PixelFormat().Name())
	}
	return c.out, nil
}

func (c *converter) build(key graphKey) error {
	g := astiav.AllocFilterGraph()
	if g == nil {
		return ffmpeg.ErrAlloc
	}
	c.graph.Own(g.Free)
	g.SetThreadCount(1)
	src, sink := astiav.FindFilterByName("buffer"), astiav.FindFilterByName("buffersink")
	if src == nil || sink == nil || astiav.FindFilterByName("zscale") == nil {
		return errors.New("this FFmpeg was built without the zscale filter")
	}
	var err error
	if c.source, err = g.NewFilterContext(src, "in", astiav.FilterArgs{
		"video_size": fmt.Sprintf("%dx%d", key.w, key.h), "pix_fmt": strconv.Itoa(key.format),
		"time_base": "1/1000", "pixel_aspect": "1/1",
	}); err != nil {
		return err
	}
	// Freed one by one, ahead of the graph: astiav keeps each in a map until told.
	c.graph.Own(c.source.Free)
	if c.sink, err = g.NewFilterContext(sink, "out", nil); err != nil {
		return err
	}
	c.graph.Own(c.sink.Free)
	outputs, inputs := astiav.AllocFilterInOut(), astiav.AllocFilterInOut()
	defer inputs.Free()
	defer outputs.Free()
	if outputs == nil || inputs == nil {
		return ffmpeg.ErrAlloc
	}
	outputs.SetName("in")
	outputs.SetFilterContext(c.source)
	outputs.SetPadIdx(0)
	inputs.SetName("out")
	inputs.SetFilterContext(c.sink)
	inputs.SetPadIdx(0)
	if err := g.Parse(key.filters, inputs, outputs); err != nil {
		return err
	}
	return g.Configure()
}
