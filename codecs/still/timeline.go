package still

import "github.com/millrace/millrace/codecs"

// A delay under 20 ms, zero above all, is taken as 100 ms: every browser does so,
// because old files write it and mean "as fast as you can", which was not fast.
const (
	leastDelayMs = 20
	usualDelayMs = 100
)

// times is when an animation's frames show: times[i] in ticks from 0.
type times struct {
	start []int64
	ticks int64 // ticks a second
	total int64
	end   codecs.Rational // seconds
}

// timeline adds up delays, which are in ticks of 1/ticks seconds.
func timeline(delays []int, ticks int64) times {
	t := times{ticks: ticks}
	for _, d := range delays {
		t.start = append(t.start, t.total)
		t.total += delayOf(d, ticks)
	}
	t.end = codecs.NewRational(t.total, ticks)
	return t
}

func delayOf(d int, ticks int64) int64 {
	if int64(d)*1000 < leastDelayMs*ticks {
		return usualDelayMs * ticks / 1000
	}
	return int64(d)
}

// at is frame i's presentation time and duration in seconds.
func (t times) at(i int) (pts, duration codecs.Rational) {
	next := t.total
	if i+1 < len(t.start) {
		next = t.start[i+1]
	}
	return codecs.NewRational(t.start[i], t.ticks), codecs.NewRational(next-t.start[i], t.ticks)
}

// moments are those of the picked frames.
func (t times) moments(picked []int) []codecs.Moment {
	l := make([]codecs.Moment, len(picked))
	for i, n := range picked {
		pts, _ := t.at(n)
		l[i] = codecs.Moment{Index: int64(n), PTS: pts}
	}
	return l
}

// pickedFrames are the frames that an animation's options ask for.
func pickedFrames(t times, opt Options, l codecs.Limits) ([]int, error) {
	if opt.Animation != AnimationAll {
		return []int{0}, nil
	}
	out := t.picked(opt.Pick)
	if int64(len(out)) > l.MaxFramesKept {
		return nil, codecs.Errorf(codecs.CodeLimitFrames, codecs.StagePick,
			"the pick takes %d frames of the animation; the limit is %d", len(out), l.MaxFramesKept)
	}
	return out, nil
}

// picked lists the frames that a pick takes, ascending, each once; the zero Pick takes
// all. Of an animation only the first frame counts as coded by itself (a keyframe).
func (t times) picked(p codecs.Pick) []int {
	line := codecs.Timeline{Base: codecs.NewRational(1, t.ticks), Frames: make([]codecs.FrameTime, len(t.start)), End: t.total}
	for i, start := range t.start {
		line.Frames[i] = codecs.FrameTime{PTS: start, Key: i == 0}
	}
	return p.Select(line)
}

// checkFrames bounds an animation: frames so far, and their canvases together.
func checkFrames(container string, frames, width, height int, l codecs.Limits) error {
	switch {
	case frames > l.MaxImageFrames:
		return codecs.Errorf(codecs.CodeLimitFrames, codecs.StageProbe,
			"the %s animation has more than %d frames", container, l.MaxImageFrames)
	case int64(frames)*int64(width)*int64(height) > l.MaxAnimationPix:
		return codecs.Errorf(codecs.CodeLimitPixels, codecs.StageProbe,
			"the %s animation has more than %d pixels in all its frames", container, l.MaxAnimationPix)
	}
	return nil
}
