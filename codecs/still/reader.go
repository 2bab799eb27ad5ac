package still

import (
	"context"
	"io"
	"slices"

	"github.com/millrace/millrace/codecs"
)

// picture is one decoded picture, before alpha and orientation are dealt with.
type picture struct {
	width, height int
	channels      int    // 3, or 4 with alpha that is not multiplied in
	pix           []byte // width*height*channels; the decoder's own, until its next call
	index         int64
	pts, duration codecs.Rational
	key           bool
	notes         []string // what the decoder had to do, for Frame.Applied
}

// decoder gives a file's pictures in order, then io.EOF. close may be called twice.
type decoder interface {
	// moments are those of all pictures that next gives; asked before the first.
	moments() []codecs.Moment
	next() (picture, error)
	close()
}

// still is the decoder of a file with one picture.
type still struct{ decode func() (picture, error) }

func once(decode func() (picture, error)) decoder { return &still{decode} }

func (s *still) moments() []codecs.Moment { return []codecs.Moment{{PTS: codecs.NewRational(0, 1)}} }

func (s *still) next() (picture, error) {
	if s.decode == nil {
		return picture{}, io.EOF
	}
	decode := s.decode
	s.decode = nil
	p, err := decode()
	p.pts, p.key = codecs.NewRational(0, 1), true
	return p, err
}

func (s *still) close() { s.decode = nil }

// reader is the codecs.Frames that Open returns.
type reader struct {
	ctx         context.Context
	media       *media
	info        codecs.Info
	picks       []codecs.Moment
	decoder     decoder
	opt         Options
	limits      codecs.Limits
	orientation orientation
	background  rgb
	frame       codecs.Frame
	flat        []byte // pixels without alpha, reused
	turned      []byte // pixels after orientation, reused
	err         error  // final
}

// Info describes the picture as it is in the file.
func (r *reader) Info() codecs.Info { return r.info }

// Picks lists the pictures that are picked.
func (r *reader) Picks() []codecs.Moment { return slices.Clone(r.picks) }

// Next decodes the next picked picture, or returns io.EOF.
func (r *reader) Next() (*codecs.Frame, error) {
	if r.err != nil {
		return nil, r.err
	}
	f, err := r.read()
	if err != nil {
		r.err = err
		r.decoder.close()
		return nil, err
	}
	return f, nil
}

// Close frees the decoder's foreign memory.
func (r *reader) Close() error {
	r.decoder.close()
	if r.err == nil {
		r.err = io.EOF
	}
	return nil
}

func (r *reader) read() (_ *codecs.Frame, err error) {
	if err := context.Cause(r.ctx); err != nil {
		return nil, err
	}
	defer r.media.recovered(codecs.StageDecode, &err)
	p, err := r.decoder.next()
	if err == io.EOF {
		return nil, err
	}
	if err != nil {
		return nil, r.media.fault(codecs.StageDecode, err)
	}
	// The header was checked before; this is the picture that came out.
	if err := r.limits.CheckSize(codecs.KindImage, p.width, p.height); err != nil {
		return nil, err
	}
	return r.finish(p), nil
}

// finish makes a frame of a picture: alpha first, then orientation.
func (r *reader) finish(p picture) *codecs.Frame {
	f := &r.frame
	*f = codecs.Frame{
		Index: p.index, PTS: p.pts, Duration: p.duration, Key: p.key,
		BeforeWidth: p.width, BeforeHeight: p.height,
		Colour: r.info.Colour, Applied: p.notes,
	}
	pix := p.pix
	if p.channels == 4 {
		pix = r.flatten(f, pix)
	}
	if note := r.orientation.note(); note != "" {
		f.Applied = append(f.Applied, note)
	}
	f.Pix, f.Width, f.Height = orient(r.turned, pix, p.width, p.height, r.orientation.value)
	if r.orientation.value > 1 {
		r.turned = f.Pix
	}
	return f
}

func (r *reader) flatten(f *codecs.Frame, pix []byte) []byte {
	r.flat = grow(r.flat, len(pix)/4*3)
	switch {
	case opaque(pix):
		dropAlpha(r.flat, pix)
	case r.opt.DropAlpha:
		dropAlpha(r.flat, pix)
		f.Applied = append(f.Applied, "alpha:dropped")
	default:
		overColour(r.flat, pix, r.background)
		f.Applied = append(f.Applied, "alpha:over:"+r.background.String())
	}
	return r.flat
}
