package video

import (
	"io"
	"slices"
	"sort"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// Next implements [codecs.Frames]. The frames of a file that ends early come first,
// then the error [codecs.CodeTruncated] instead of io.EOF.
func (r *Reader) Next() (*codecs.Frame, error) {
	if r.err != nil {
		return nil, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err = ffmpeg.Fault(err, codecs.StageDecode)
		return nil, r.err
	}
	r.given = append(r.given, codecs.Moment{Index: f.Index, PTS: f.PTS})
	return f, nil
}

func (r *Reader) next() (*codecs.Frame, error) {
	for r.done < len(r.picks) {
		pic, s, ok, err := r.picture()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		// A change to decoding everything may have left nothing to pick.
		if r.done < len(r.picks) && s.n == r.picks[r.done] {
			r.done++
			return r.give(pic, s)
		}
	}
	if r.done < len(r.picks) {
		return nil, codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode, "%d of %d picked frames did not decode", len(r.picks)-r.done, len(r.picks))
	}
	if r.cut {
		return nil, codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "the file ends early; %d frames were whole", len(r.given))
	}
	return nil, io.EOF
}

// picture decodes on to the next picture, deinterlaced if that is asked for; ok is
// false at the end.
func (r *Reader) picture() (pic *astiav.Frame, s shot, ok bool, err error) {
	for {
		t, ok, err := r.pass.next()
		if err != nil {
			return nil, shot{}, false, err
		}
		n, known := r.place(t, ok)
		if !known {
			// The pictures are not those that the packets promised.
			if err := r.startWhole(); err != nil {
				return nil, shot{}, false, err
			}
			continue
		}
		if r.fields == nil {
			return r.pass.dec.frame, shot{n, t}, ok, nil
		}
		pic := r.pass.dec.frame
		switch {
		case !ok:
			pic = nil
		case r.whole: // all of them come, also those that are never shown
		case !r.needs(n):
			continue
		case !r.fields.follows(n):
			r.fields.reset()
		}
		out, was, have, err := r.fields.next(pic, shot{n, t})
		if err != nil {
			return nil, shot{}, false, codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "an interlaced frame could not be deinterlaced: %w", err)
		}
		if have || !ok {
			return out, was, have, nil
		}
	}
}

// needs reports whether picture n is a pick, or beside one that is deinterlaced.
func (r *Reader) needs(n int) bool {
	_, found := slices.BinarySearch(r.near, n)
	return found
}

// widen adds to the picks the pictures before and after each, of n.
func widen(picks []int, n int) []int {
	var near []int
	for _, p := range picks {
		for i := max(0, p-1); i <= min(n-1, p+1); i++ {
			if len(near) == 0 || near[len(near)-1] < i {
				near = append(near, i)
			}
		}
	}
	return near
}

// place finds a picture in the timeline; ok is false at the end. known is false where
// a plan does not hold: a picture that must come did not, another came, or damage was
// met, which may spread differently if pictures are left out.
func (r *Reader) place(t tags, ok bool) (n int, known bool) {
	if r.whole {
		r.at++
		if r.at > len(r.places) {
			return -1, true
		}
		return int(r.places[r.at-1]), true
	}
	p := r.pass.plan
	if r.pass.skipped > 0 || r.pass.faults > 0 {
		return 0, false
	}
	if !ok {
		return 0, r.expect == len(p.expect)
	}
	n = sort.Search(len(r.times.Frames), func(i int) bool { return r.times.Frames[i].PTS >= t.time })
	if n == len(r.times.Frames) || r.times.Frames[n].PTS != t.time {
		return 0, false
	}
	if p.maybe[int32(n)] {
		return n, true
	}
	if t.damaged || r.expect == len(p.expect) || int(p.expect[r.expect]) != n {
		return 0, false
	}
	r.expect++
	return n, true
}

// give makes the frame of a picture.
func (r *Reader) give(pic *astiav.Frame, s shot) (*codecs.Frame, error) {
	f := &r.frame
	*f = codecs.Frame{Index: int64(s.n), Key: r.times.Frames[s.n].Key, Applied: f.Applied[:0]}
	r.last = r.times.Frames[s.n].PTS
	f.PTS = ffmpeg.Seconds(r.last, r.times.Base)
	if !f.PTS.Known() {
		return nil, codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "presentation time %d has no fraction of 64 bits", r.last)
	}
	f.Duration = r.duration(s.n)
	if s.damaged {
		f.Applied = append(f.Applied, "concealed")
	}
	if err := r.noteFields(s, f); err != nil {
		return nil, err
	}
	s.alpha = s.alpha || r.alpha
	o, note := r.orientation(s.tags)
	if note != "" {
		f.Applied = append(f.Applied, note)
	}
	v := view{orientation: o, sar: r.aspect(pic), opt: r.opt, lim: r.lim}
	if err := r.conv.convert(pic, s.tags, v, f); err != nil {
		return nil, err
	}
	return f, nil
}

// duration is how long frame n is shown: until the next one, whatever its packet says of
// the time to the next in decoding order. The last one's is the container's, or else
// that of the frame before.
func (r *Reader) duration(n int) codecs.Rational {
	t := r.times
	until := t.Ends()
	switch {
	case n+1 < len(t.Frames):
		until = t.Frames[n+1].PTS
	case n == 0 && t.End <= t.Frames[0].PTS:
		return codecs.Rational{}
	}
	return ffmpeg.Seconds(until-t.Frames[n].PTS, t.Base)
}

// noteFields says what became of an interlaced picture.
func (r *Reader) noteFields(s shot, f *codecs.Frame) error {
	if !s.interlaced {
		return nil
	}
	note := "interlaced:bff"
	switch {
	case r.opt.Interlaced == Refuse:
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "frame %d is interlaced, which the setting interlaced: %s does not take; %s would", f.Index, Refuse, Deinterlace)
	case r.opt.Interlaced == Deinterlace:
		note = "deinterlaced:bwdif"
	case s.topFirst:
		note = "interlaced:tff"
	}
	f.Applied = append(f.Applied, note)
	return nil
}

// aspect is the sample aspect ratio that counts: the container's before the stream's.
func (r *Reader) aspect(pic *astiav.Frame) codecs.Rational {
	if r.opt.KeepSAR {
		return codecs.Rational{}
	}
	return ffmpeg.Rational(r.pass.in.Format.GuessSampleAspectRatio(r.pass.in.Stream, pic))
}

// orientation is the stream's own display matrix, else the track's.
func (r *Reader) orientation(t tags) (o orientation, note string) {
	m := t.turn
	if m == nil {
		m = r.pass.in.Stream.SideData(astiav.PacketSideDataTypeDisplaymatrix)
	}
	if len(m) == 0 {
		return orientation{}, ""
	}
	o, ok := parseMatrix(m)
	if !ok {
		return orientation{}, "matrix:ignored"
	}
	return o, ""
}
