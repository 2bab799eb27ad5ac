package codecs

import "fmt"

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
)

// Pick says which frames of a video or animation become samples.
type Pick struct {
	Rule PickRule   `json:"rule"`
	Rate Rational   `json:"rate,omitzero"` // fps: frames a second
	N    int        `json:"n,omitempty"`   // every, uniform
	At   []Rational `json:"at,omitempty"`  // at, ascending
}

// Validate refuses a pick without its parameter.
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
	default:
		return fmt.Errorf("pick rule %q is not one of all, fps, every, uniform, keyframes, at", p.Rule)
	}
	return nil
}
