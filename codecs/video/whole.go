package video

import "github.com/millrace/millrace/codecs"

// mostLate is by how many seconds a picture may come after its time and be taken for a
// late one. No true reordering is as long: beyond it the times start over.
const mostLate = 1

// wholeTrack is what decoding a track to its end tells of its pictures.
type wholeTrack struct {
	times codecs.Timeline
	// places are the pictures' indices in times, in the order that they come out; -1
	// for one that is never shown.
	places []int32
}

// wholeTimes decodes a track to its end for the pictures' times alone. Of pictures that
// share one time only the last is ever shown, and one that comes after its time, when a
// later one is shown already, is not: those are not in the timeline. A picture without a
// time of its own follows when the one before ends.
func wholeTimes(p *pass, base codecs.Rational) (wholeTrack, error) {
	w := wholeTrack{times: codecs.Timeline{Base: base}}
	for {
		t, ok, err := p.next()
		if err != nil || !ok {
			return w, err
		}
		if int64(len(w.places)) >= p.lim.MaxFramesDecoded {
			return w, codecs.Errorf(codecs.CodeLimitFrames, codecs.StageDecode, "the track has more than %d frames", p.lim.MaxFramesDecoded)
		}
		if err := w.add(t, p.dec.frame.KeyFrame()); err != nil {
			return w, err
		}
	}
}

// add places the next picture.
func (w *wholeTrack) add(t tags, key bool) error {
	frames := w.times.Frames
	n := len(frames)
	last := int64(noTime)
	if n > 0 {
		last = frames[n-1].PTS
	}
	if t.time == noTime {
		if n == 0 || w.times.End <= last {
			return codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "frame %d has no presentation time, and none can be made for it", len(w.places))
		}
		t.time = w.times.End
	}
	if t.time < last {
		if back := (float64(last) - float64(t.time)) * w.times.Base.Float(); back > mostLate {
			return codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "presentation times start over: frame %d is %.3f s before the one that comes out ahead of it; cut or remux the recording there", len(w.places), back)
		}
		w.places = append(w.places, -1)
		return nil
	}
	if n > 0 && t.time == last {
		n--
		w.hide(int32(n))
	}
	w.times.Frames = append(frames[:n], codecs.FrameTime{PTS: t.time, Key: key})
	w.places = append(w.places, int32(n))
	w.times.End = t.time + max(t.duration, 0)
	return nil
}

// hide takes the last picture that was placed, as n, out of the timeline.
func (w *wholeTrack) hide(n int32) {
	for i := len(w.places) - 1; i >= 0; i-- {
		if w.places[i] == n {
			w.places[i] = -1
			return
		}
	}
}
