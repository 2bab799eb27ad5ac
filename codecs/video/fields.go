package video

import (
	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// shot is a decoded picture's place in the timeline, or -1 if it is never shown, and
// what it says of itself.
type shot struct {
	n int
	tags
}

// deinterlacer makes whole pictures of interlaced ones, as [Deinterlace] says. That
// needs the pictures before and after each, so they come out one step late.
type deinterlacer struct {
	ffmpeg.Owner
	prev, cur *astiav.Frame // as they came; empty where there is none
	out       *astiav.Frame
	shot      shot // of cur
	held      int  // how many of cur and prev there are
	graph     *graph
}

func newDeinterlacer() (*deinterlacer, error) {
	d := &deinterlacer{prev: astiav.AllocFrame(), cur: astiav.AllocFrame(), out: astiav.AllocFrame()}
	for _, f := range []*astiav.Frame{d.prev, d.cur, d.out} {
		if f == nil {
			d.close()
			return nil, ffmpeg.ErrAlloc
		}
		d.Own(f.Free)
	}
	return d, nil
}

func (d *deinterlacer) close() {
	d.drop()
	d.Free()
}

func (d *deinterlacer) drop() {
	if d.graph != nil {
		d.graph.Free()
		d.graph = nil
	}
}

// reset forgets all pictures: the next one does not follow them.
func (d *deinterlacer) reset() {
	d.drop()
	d.prev.Unref()
	d.cur.Unref()
	d.out.Unref()
	d.held = 0
}

// follows reports whether picture n is the one after the last that came.
func (d *deinterlacer) follows(n int) bool { return d.held > 0 && d.shot.n+1 == n }

// next takes a picture, or nil at the end of the track, and gives the one before it; ok
// is false where there is none. pic is used up. The result is valid until the next call.
func (d *deinterlacer) next(pic *astiav.Frame, s shot) (out *astiav.Frame, was shot, ok bool, err error) {
	d.out.Unref()
	was, ok = d.shot, d.held > 0
	// Where the size changes, one film ends and another begins.
	same := pic != nil && ok && pic.Width() == d.cur.Width() && pic.Height() == d.cur.Height() && pic.PixelFormat() == d.cur.PixelFormat()
	switch {
	case ok && !was.interlaced:
		d.drop()
		err = d.out.Ref(d.cur)
	case ok && same:
		err = d.weld(pic)
	case ok:
		err = d.weld(nil)
	}
	if err != nil {
		d.drop()
		return nil, shot{}, false, err
	}
	if !same {
		d.drop()
		d.cur.Unref()
		d.held = 0
	}
	d.prev.Unref()
	if pic == nil {
		return d.out, was, ok, nil
	}
	d.prev.MoveRef(d.cur)
	d.cur.MoveRef(pic)
	d.shot, d.held = s, min(d.held+1, 2)
	return d.out, was, ok, nil
}

// weld fills out with cur, made whole; next is the picture after it, or nil at the end.
// A graph that is there has been fed up to cur.
func (d *deinterlacer) weld(next *astiav.Frame) error {
	if d.graph == nil {
		var err error
		if d.graph, err = newGraph(d.cur.Width(), d.cur.Height(), int(d.cur.PixelFormat()), "bwdif=mode=send_frame:parity=auto:deint=all"); err != nil {
			return err
		}
		if d.held > 1 {
			if err := d.graph.share(d.prev); err != nil {
				return err
			}
		}
		if err := d.graph.share(d.cur); err != nil {
			return err
		}
		if d.held > 1 {
			// What comes out for prev had no picture before it.
			if err := d.graph.pull(d.out); err != nil {
				return err
			}
			d.out.Unref()
		}
	}
	if next == nil {
		if err := d.graph.push(nil); err != nil {
			return err
		}
	} else if err := d.graph.share(next); err != nil {
		return err
	}
	return d.graph.pull(d.out)
}
