package codecs

import (
	"math/big"
	"sort"
)

// Timeline is a track's frames in presentation order, as far as picking needs them.
// Times are whole ticks of Base, so that comparing them is exact and cheap.
type Timeline struct {
	Base   Rational // seconds a tick, above 0
	Frames []FrameTime
	// End is the tick at which the last frame stops being shown. A value that is not
	// after the last PTS means "not known"; then the last frame is taken to be shown
	// as long as the one before it, and a lone frame for one tick.
	End int64
}

// FrameTime is the presentation time of one frame, in ticks.
type FrameTime struct {
	PTS int64
	Key bool // coded as a keyframe
}

// Ends returns the tick at which the last frame stops being shown, by the rule of
// [Timeline].End. It is 0 for a timeline without frames.
func (t Timeline) Ends() int64 {
	n := len(t.Frames)
	switch {
	case n == 0:
		return 0
	case t.End > t.Frames[n-1].PTS:
		return t.End
	case n > 1 && t.Frames[n-1].PTS > t.Frames[n-2].PTS:
		return 2*t.Frames[n-1].PTS - t.Frames[n-2].PTS
	}
	return t.Frames[n-1].PTS + 1
}

// Shown returns the index of the frame shown at the given tick: the last one with
// PTS <= tick, or -1 before the first. After the end it is the last frame, which
// stays as a player leaves it.
func (t Timeline) Shown(tick int64) int {
	return sort.Search(len(t.Frames), func(i int) bool { return t.Frames[i].PTS > tick }) - 1
}

// Select returns the indices of the frames that p chooses, ascending, each once. The
// timeline's PTS must not descend; where several frames share one PTS, only the
// last of them is ever shown. At a time before the first frame nothing is picked.
//
// p must have passed Validate.
func (p Pick) Select(t Timeline) []int {
	if len(t.Frames) == 0 {
		return nil
	}
	switch p.Rule {
	case PickFPS:
		return p.selectFPS(t)
	case PickEvery:
		return where(t, func(i int) bool { return i%p.N == 0 })
	case PickUniform:
		return p.selectUniform(t)
	case PickKeyframes:
		return where(t, func(i int) bool { return t.Frames[i].Key })
	case PickAt:
		return p.selectAt(t)
	case PickQwen2VL:
		return p.Normalise().selectQwen2(t)
	case PickQwen3VL:
		return p.Normalise().selectQwen3(t)
	}
	return where(t, func(int) bool { return true })
}

// selectFPS asks of each frame whether a grid point falls into the time that it is
// shown, rather than walk the grid: the work does not grow with the rate.
func (p Pick) selectFPS(t Timeline) []int {
	// Grid point k lies at start + k*gap ticks, gap = a/b.
	gap := new(big.Rat).Inv(new(big.Rat).Mul(rat(p.Rate), rat(t.Base)))
	a, b := gap.Num(), gap.Denom()
	start, end := t.Frames[0].PTS, t.Ends()
	var k, x, rem big.Int
	return where(t, func(i int) bool {
		until := end
		if i+1 < len(t.Frames) {
			until = t.Frames[i+1].PTS
		}
		// k is the first grid point at or after this frame: ceil((pts-start)*b/a).
		x.SetInt64(t.Frames[i].PTS - start)
		k.QuoRem(x.Mul(&x, b), a, &rem)
		if rem.Sign() > 0 {
			k.Add(&k, one)
		}
		x.SetInt64(until - start)
		return k.Mul(&k, a).Cmp(x.Mul(&x, b)) < 0
	})
}

// selectUniform asks of each frame whether the middle of some span falls into the
// time that it is shown; middle i lies at start + (2i+1)*span/2n.
func (p Pick) selectUniform(t Timeline) []int {
	start, end := t.Frames[0].PTS, t.Ends()
	span, n2 := big.NewInt(end-start), new(big.Int).Lsh(big.NewInt(int64(p.N)), 1)
	var i, x, rem big.Int
	return where(t, func(f int) bool {
		until := end
		if f+1 < len(t.Frames) {
			until = t.Frames[f+1].PTS
		}
		// The first odd number m with m*span >= (pts-start)*2n.
		x.SetInt64(t.Frames[f].PTS - start)
		i.QuoRem(x.Mul(&x, n2), span, &rem)
		if rem.Sign() > 0 {
			i.Add(&i, one)
		}
		i.SetBit(&i, 0, 1)
		x.SetInt64(until - start)
		return i.Mul(&i, span).Cmp(x.Mul(&x, n2)) < 0
	})
}

func (p Pick) selectAt(t Timeline) []int {
	var picks []int
	inv := new(big.Rat).Inv(rat(t.Base))
	for _, at := range p.At {
		ticks := new(big.Rat).Mul(rat(at), inv)
		// Euclidean division floors, also below zero, since denominators are positive.
		floor := new(big.Int).Div(ticks.Num(), ticks.Denom())
		i := len(t.Frames) - 1
		switch {
		case floor.IsInt64():
			i = t.Shown(floor.Int64())
		case floor.Sign() < 0:
			i = -1
		}
		if i >= 0 {
			picks = appendOnce(picks, i)
		}
	}
	return picks
}

var one = big.NewInt(1)

func rat(r Rational) *big.Rat { return new(big.Rat).SetFrac64(r.Num, max(r.Den, 1)) }

func where(t Timeline, keep func(int) bool) []int {
	var picks []int
	for i := range t.Frames {
		if keep(i) {
			picks = append(picks, i)
		}
	}
	return picks
}

// appendOnce appends i to the ascending picks unless it is the last already.
func appendOnce(picks []int, i int) []int {
	if len(picks) > 0 && picks[len(picks)-1] == i {
		return picks
	}
	return append(picks, i)
}
