package codecs

import (
	"math"
	"math/big"
)

// qwenFrames is how many frames a token of the Qwen models takes.
const qwenFrames = 2

// sourceRate is the timeline's frames a second: their number by the time that they are
// shown. The processors take the container's declared average, which is often wrong; at
// a constant rate, truly declared, the two are the same number.
func (t Timeline) sourceRate() float64 {
	span := new(big.Rat).Mul(rat(t.Base), new(big.Rat).SetInt64(t.Ends()-t.Frames[0].PTS))
	rate, _ := span.Quo(new(big.Rat).SetInt64(int64(len(t.Frames))), span).Float64()
	return rate
}

// wanted is how many frames the rate asks for, in the processors' own arithmetic: the
// result is cut to a whole number later, so that the last bit counts.
func (p Pick) wanted(t Timeline) float64 {
	return float64(len(t.Frames)) / t.sourceRate() * p.Rate.Float()
}

// selectQwen2 is Qwen2VLVideoProcessor.sample_frames, which walks the frames' numbers
// in single precision. Rounding can give it one index more than it asked for, which is
// that of the frame after the last: it then fails, or reads whatever its decoder gives.
// Here that index is the last frame's. A lone frame, at which it divides by zero, is
// picked here. At a step of 1 or more no frame comes twice, but for that last one.
func (p Pick) selectQwen2(t Timeline) []int {
	total := len(t.Frames)
	even := func(n float64) float64 { return math.Floor(n/qwenFrames) * qwenFrames }
	most := even(float64(min(p.Max, total)))
	n := even(min(max(p.wanted(t), float64(p.Min)), most))
	if n < qwenFrames {
		return []int{0}
	}
	step := float64(total) / n
	var picks []int
	for i := range int(math.Ceil(float64(total) / step)) {
		picks = appendOnce(picks, min(int(float32(float64(i)*step)), total-1))
	}
	return picks
}

// selectQwen3 is Qwen3VLVideoProcessor.sample_frames. It never asks for more frames
// than there are, so that none comes twice.
func (p Pick) selectQwen3(t Timeline) []int {
	total := len(t.Frames)
	// Cut to a whole number first, by the processor, and only then bounded; a huge rate
	// must not become a whole number beyond int.
	n := min(max(int(min(p.wanted(t), float64(p.Max))), p.Min), p.Max, total)
	picks := make([]int, 1, n) // the first is frame 0
	step := float64(total-1) / float64(max(n-1, 1))
	for i := 1; i < n; i++ {
		picks = append(picks, int(math.RoundToEven(float64(i)*step)))
	}
	return picks
}
