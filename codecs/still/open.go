package still

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/codecs"
)

// header is what the front of a file says, checked against the limits.
type header struct {
	container, codec string
	width, height    int // as coded
	orientation      orientation
	frames           int64 // 0 where only reading the whole file would tell
	colour           codecs.Colour
	timeBase         codecs.Rational // of an animation
	duration         codecs.Rational // of an animation, where known
}

func (h header) info() codecs.Info {
	degrees, mirrored := h.orientation.turn()
	return codecs.Info{
		Kind: codecs.KindImage, Container: h.container, Codec: h.codec,
		Width: h.width, Height: h.height, Rotation: degrees, Mirrored: mirrored,
		Frames: h.frames, TimeBase: h.timeBase, Duration: h.duration, Colour: h.colour,
	}
}

// Probe reads what the file's structure says, without decoding a pixel, and checks
// it against limits. container is as [Sniff] named it. Frames is 0 for a GIF: its
// frames can only be counted by reading all of it, as Open does when asked for all.
//
// Errors are *[codecs.Error], except that a failure of src itself comes back
// wrapped as it is, since the picture is not at fault.
func Probe(src codecs.Source, container string, limits codecs.Limits) (info codecs.Info, err error) {
	m := &media{Source: src, container: container}
	defer m.recovered(codecs.StageProbe, &err)
	var h header
	switch container {
	case JPEG:
		var j jpegHeader
		j, err = headJPEG(m, limits)
		h = j.header
	case PNG:
		var p pngHeader
		p, err = headPNG(m, limits)
		h = p.header
	case GIF:
		var g *gifFile
		g, err = headGIF(m, limits, 1)
		if err == nil {
			h = g.header
			h.frames = 0
		}
	case WebP:
		var w webpHeader
		w, err = headWebP(m, limits)
		h = w.header
	case AVIF:
		var a avifHeader
		a, err = headAVIF(m, limits)
		h = a.header
	case BMP, TIFF:
		h, err = headPlain(m, limits)
	default:
		err = fmt.Errorf("container %q is not one that still pictures come in", container)
	}
	if err != nil {
		return codecs.Info{}, m.fault(codecs.StageProbe, err)
	}
	return h.info(), nil
}

// Open reads the file's structure, checks it against limits and returns its
// pictures: one with AnimationFirst, else those that opt.Pick picks. container is
// as [Sniff] named it; src must stay readable until the Frames are closed. Pixels
// are decoded by Next, and no more than one picture is held at a time. ctx is
// looked at before each picture is decoded; one decoding is not interrupted.
//
// A still has PTS 0/1 and no duration. An animation's delays under 20 ms count as
// 100 ms, as all browsers take them, since files mean "as fast as in 1995" by them.
//
// Errors are as with [Probe], and plain errors for a wrong opt.
func Open(ctx context.Context, src codecs.Source, container string, opt Options, limits codecs.Limits) (_ codecs.Frames, err error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("still options: %w", err)
	}
	if err := opt.allows(container); err != nil {
		return nil, err
	}
	m := &media{Source: src, container: container}
	defer m.recovered(codecs.StageProbe, &err)
	h, d, err := open(m, opt, limits)
	if err != nil {
		return nil, m.fault(codecs.StageProbe, err)
	}
	background, _ := parseColour(opt.Background) // validated above
	return &reader{ctx: ctx, media: m, info: h.info(), picks: d.moments(), decoder: d, opt: opt, limits: limits,
		orientation: h.orientation, background: background}, nil
}

// open picks the container's decoder: the only place that knows all of them.
func open(m *media, opt Options, l codecs.Limits) (header, decoder, error) {
	switch m.container {
	case JPEG:
		h, err := headJPEG(m, l)
		return h.header, once(func() (picture, error) { return decodeJPEG(m, h, opt, l) }), err
	case PNG:
		h, err := headPNG(m, l)
		return h.header, once(func() (picture, error) { return decodePNG(m, h, opt) }), err
	case GIF:
		return openGIF(m, opt, l)
	case WebP:
		return openWebP(m, opt, l)
	case AVIF:
		h, err := headAVIF(m, l)
		return h.header, once(func() (picture, error) { return decodeAVIF(m, h) }), err
	case BMP, TIFF:
		h, err := headPlain(m, l)
		return h, once(func() (picture, error) { return decodePlain(m, h, opt, l) }), err
	}
	return header{}, nil, fmt.Errorf("container %q is not one that still pictures come in", m.container)
}
