package codecs

import (
	"cmp"
	"fmt"
)

// PickRule names a way to choose frames.
type PickRule string

// The pick rules, as [Pick.Select] applies them. Times are presentation times; the grid
// of fps and uniform starts at the first frame's PTS, and "the frame shown at t" is the
// last one with PTS <= t: none before the first frame, the last one after the end.
const (
	PickAll       PickRule = "all"       // every frame
	PickFPS       PickRule = "fps"       // the frame shown at start+k/rate, k = 0, 1, ... before the end; each frame once
	PickEvery     PickRule = "every"     // presentation indices 0, n, 2n, ...
	PickUniform   PickRule = "uniform"   // the frame shown at the middle of each of n equal spans; each frame once
	PickKeyframes PickRule = "keyframes" // frames coded as keyframes
	PickAt        PickRule = "at"        // the frame shown at each given time, seconds of the track's own clock; each frame once

	// What the video processors of transformers 4.57 take of a video, given its number of
	// frames and its average rate; see [Pick.Select]. Both count frames, not time.
	PickQwen2VL PickRule = "qwen2vl" // Qwen2-VL and Qwen2.5-VL: an even number, from the first frame on in equal steps
	PickQwen3VL PickRule = "qwen3vl" // Qwen3-VL: from the first frame to the last in equal steps
)

// PickRules lists the rules.
func PickRules() []PickRule {
	return []PickRule{PickAll, PickFPS, PickEvery, PickUniform, PickKeyframes, PickAt, PickQwen2VL, PickQwen3VL}
}

// The Qwen processors' own defaults.
const (
	qwenRate = 2
	qwenMin  = 4
	qwenMax  = 768
)

// Pick says which frames of a video or animation become samples.
type Pick struct {
	Rule PickRule   `json:"rule"`
	Rate Rational   `json:"rate,omitzero"` // fps: frames a second; qwen2vl, qwen3vl: likewise, 2 unless said
	N    int        `json:"n,omitempty"`   // every, uniform
	At   []Rational `json:"at,omitempty"`  // at, ascending
	// Min and Max, qwen2vl and qwen3vl: frames taken, whatever the rate gives; 4 and 768
	// unless said. A video with fewer frames than Min gives those it has.
	Min int `json:"min_frames,omitempty"`
	Max int `json:"max_frames,omitempty"`
}

// Normalise returns p with the Qwen processors' defaults filled in where it names one.
func (p Pick) Normalise() Pick {
	if p.Rule != PickQwen2VL && p.Rule != PickQwen3VL {
		return p
	}
	if p.Rate == (Rational{}) {
		p.Rate = Rational{Num: qwenRate, Den: 1}
	}
	// A bound alone that contradicts the other's default moves it.
	if p.Min == 0 {
		p.Min = qwenMin
		if p.Max > 0 {
			p.Min = min(p.Min, p.Max)
		}
	}
	p.Max = cmp.Or(p.Max, max(qwenMax, p.Min))
	return p
}

// Validate refuses a pick without its parameter. Defaults count as given.
func (p Pick) Validate() error {
	switch p.Rule {
	case PickAll, PickKeyframes:
		return nil
	case PickFPS:
		if p.Rate.Num <= 0 || p.Rate.Den <= 0 {
			return fmt.Errorf("pick fps needs a rate above 0, as in fps: 2 or fps: 30000/1001")
		}
	case PickEvery, PickUniform:
		if p.N < 1 {
			return fmt.Errorf("pick %s needs a whole number of 1 or more", p.Rule)
		}
	case PickAt:
		if len(p.At) == 0 {
			return fmt.Errorf("pick at needs a list of times in seconds, as in at: [0, 1.5]")
		}
		for i := 1; i < len(p.At); i++ {
			if p.At[i].Cmp(p.At[i-1]) <= 0 {
				return fmt.Errorf("pick at needs ascending times; %s comes after %s", p.At[i], p.At[i-1])
			}
		}
	case PickQwen2VL, PickQwen3VL:
		return p.Normalise().checkQwen()
	default:
		return fmt.Errorf("pick rule %q is not one of %v", p.Rule, PickRules())
	}
	return nil
}

// checkQwen asks for two frames at least: one token takes two.
func (p Pick) checkQwen() error {
	switch {
	case p.Rate.Num <= 0 || p.Rate.Den <= 0:
		return fmt.Errorf("pick %s needs a rate above 0, as in rate: 2; leave it out for %d", p.Rule, qwenRate)
	case p.Min < 2 || p.Max < p.Min:
		return fmt.Errorf("pick %s takes %d to %d frames; write 2 or more for the least, and no less for the most, or leave them out for %d and %d",
			p.Rule, p.Min, p.Max, qwenMin, qwenMax)
	}
	return nil
}
