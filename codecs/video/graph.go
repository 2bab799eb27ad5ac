package video

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// graph is a chain of FFmpeg's filters with one way in and one way out, for pictures of
// one size and format.
type graph struct {
	ffmpeg.Owner
	source, sink *astiav.FilterContext
}

// newGraph builds the chain that filters spells. FFmpeg puts no conversion of its own
// between them: a format that a filter does not take is an error.
func newGraph(w, h, format int, filters string) (*graph, error) {
	g := &graph{}
	if err := g.build(w, h, format, filters); err != nil {
		g.Free()
		return nil, err
	}
	return g, nil
}

func (g *graph) build(w, h, format int, filters string) error {
	fg := astiav.AllocFilterGraph()
	if fg == nil {
		return ffmpeg.ErrAlloc
	}
	g.Own(fg.Free)
	fg.SetThreadCount(1)
	convertNothing(fg)
	src, sink := astiav.FindFilterByName("buffer"), astiav.FindFilterByName("buffersink")
	if src == nil || sink == nil || astiav.FindFilterByName("zscale") == nil {
		return errors.New("this FFmpeg was built without the zscale filter")
	}
	var err error
	if g.source, err = fg.NewFilterContext(src, "in", astiav.FilterArgs{
		"video_size": fmt.Sprintf("%dx%d", w, h), "pix_fmt": strconv.Itoa(format),
		"time_base": "1/1000", "pixel_aspect": "1/1",
	}); err != nil {
		return err
	}
	// Freed one by one, ahead of the graph: astiav keeps each in a map until told.
	g.Own(g.source.Free)
	if g.sink, err = fg.NewFilterContext(sink, "out", nil); err != nil {
		return err
	}
	g.Own(g.sink.Free)
	outputs, inputs := astiav.AllocFilterInOut(), astiav.AllocFilterInOut()
	defer inputs.Free()
	defer outputs.Free()
	if outputs == nil || inputs == nil {
		return ffmpeg.ErrAlloc
	}
	outputs.SetName("in")
	outputs.SetFilterContext(g.source)
	outputs.SetPadIdx(0)
	inputs.SetName("out")
	inputs.SetFilterContext(g.sink)
	inputs.SetPadIdx(0)
	if err := fg.Parse(filters, inputs, outputs); err != nil {
		return err
	}
	return fg.Configure()
}

// push gives the graph a picture, which is used up; nil says that no more comes.
func (g *graph) push(f *astiav.Frame) error { return g.source.BuffersrcAddFrame(f, 0) }

// share gives the graph a picture that stays the caller's as well.
func (g *graph) share(f *astiav.Frame) error {
	return g.source.BuffersrcAddFrame(f, astiav.NewBuffersrcFlags(astiav.BuffersrcFlagKeepRef))
}

// pull takes the next picture out of the graph, into the empty out.
func (g *graph) pull(out *astiav.Frame) error { return g.sink.BuffersinkGetFrame(out, 0) }
