package still

import (
	"math/big"
	"slices"
	"sort"

	"github.com/millrace/millrace/codecs"
)

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

// shown is the frame on screen at a time in seconds: the last that began by then, or
// -1 before the first.
func (t times) shown(at codecs.Rational) int {
	return sort.Search(len(t.start), func(i int) bool {
		return codecs.NewRational(t.start[i], t.ticks).Cmp(at) > 0
	}) - 1
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

// picked lists the frames that a pick takes, ascending, each once. Of an animation
// only the first frame counts as coded by itself (a keyframe).
func (t times) picked(p codecs.Pick) []int {
	n := len(t.start)
	var out []int
	add := func(i int) {
		if i >= 0 && (len(out) == 0 || i > out[len(out)-1]) {
			out = append(out, i)
		}
	}
	switch p.Rule {
	case codecs.PickKeyframes:
		add(0)
	case codecs.PickEvery:
		for i := 0; i < n; i += p.N {
			add(i)
		}
	case codecs.PickUniform:
		span := new(big.Rat).Quo(new(big.Rat).SetFrac64(t.total, t.ticks), new(big.Rat).SetInt64(int64(p.N)))
		out = t.onGrid(new(big.Rat).Mul(span, big.NewRat(1, 2)), span)
	case codecs.PickFPS:
		out = t.onGrid(new(big.Rat), new(big.Rat).SetFrac64(p.Rate.Den, p.Rate.Num))
	case codecs.PickAt:
		for _, at := range p.At {
			add(t.shown(at))
		}
	default:
		for i := range n {
			add(i)
		}
	}
	return slices.Clip(out)
}

// onGrid takes the frames that are on screen at any of first, first+step, ...: those
// for which the grid's first point at or after their start comes before their end.
// Going by frames, not by points, keeps a step of a nanosecond from taking hours.
func (t times) onGrid(first, step *big.Rat) []int {
	var out []int
	for i, start := range t.start {
		end := t.total
		if i+1 < len(t.start) {
			end = t.start[i+1]
		}
		// k = ceil((start-first)/step), at least 0; big.Int's Div is the floor.
		k := new(big.Rat).SetFrac64(start, t.ticks)
		k.Quo(k.Sub(k, first), step)
		up := new(big.Int).Neg(new(big.Int).Div(new(big.Int).Neg(k.Num()), k.Denom()))
		if up.Sign() < 0 {
			up.SetInt64(0)
		}
		point := new(big.Rat).SetInt(up)
		point.Add(point.Mul(point, step), first)
		if point.Cmp(new(big.Rat).SetFrac64(end, t.ticks)) < 0 {
			out = append(out, i)
		}
	}
	return out
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
