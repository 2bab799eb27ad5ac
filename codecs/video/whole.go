package video

import "github.com/millrace/millrace/codecs"

// wholeTimes decodes a track to its end for the pictures' times alone. A picture
// without a time of its own follows the one before; times that step back are held at
// the one before, since players show pictures in the order that they come out.
func wholeTimes(p *pass, base codecs.Rational) (codecs.Timeline, error) {
	times := codecs.Timeline{Base: base}
	for {
		t, ok, err := p.next()
		if err != nil || !ok {
			return times, err
		}
		n := len(times.Frames)
		if int64(n) >= p.lim.MaxFramesDecoded {
			return times, codecs.Errorf(codecs.CodeLimitFrames, codecs.StageDecode, "the track has more than %d frames", p.lim.MaxFramesDecoded)
		}
		if t.time == noTime {
			if n == 0 || times.End <= times.Frames[n-1].PTS {
				return times, codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "frame %d has no presentation time, and none can be made for it", n)
			}
			t.time = times.End
		}
		if n > 0 {
			t.time = max(t.time, times.Frames[n-1].PTS)
		}
		times.Frames = append(times.Frames, codecs.FrameTime{PTS: t.time, Key: p.dec.frame.KeyFrame()})
		times.End = t.time + max(t.duration, 0)
	}
}
