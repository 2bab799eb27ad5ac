package packing

import (
	"cmp"
	"fmt"
	"math"

	"github.com/millrace/millrace/codecs"
)

// Mode is the order in which the samples of a window are placed.
type Mode string

// The modes. First-fit-decreasing fills better, unless a limit on samples binds: then
// it leaves all short samples to packs that are full by count, and FirstFit is better.
const (
	Decreasing Mode = "first_fit_decreasing" // the longest first, equal ones as they came
	FirstFit   Mode = "first_fit"            // as they came
)

// Modes lists the modes, the default first.
func Modes() []Mode { return []Mode{Decreasing, FirstFit} }

// maxTokens is what int32 cumulative lengths can count.
const maxTokens = math.MaxInt32

// Settings say how samples are packed.
type Settings struct {
	Capacity int  // tokens in a pack, 1 to 2^31-1
	Window   int  // samples that are placed among each other; 0 waits for all
	Multiple int  // a sample takes a multiple of so many tokens; 0 means 1
	Limit    int  // samples in a pack; 0 for no limit
	Mode     Mode // "" means Decreasing
}

// Normalise returns s with its defaults filled in.
func (s Settings) Normalise() Settings {
	s.Multiple = cmp.Or(s.Multiple, 1)
	s.Mode = cmp.Or(s.Mode, Decreasing)
	return s
}

// Validate refuses settings that can pack nothing, by name. Defaults count as given.
func (s Settings) Validate() error {
	s = s.Normalise()
	switch {
	case s.Capacity < 1 || s.Capacity > maxTokens:
		return fmt.Errorf("packing: a capacity of %d tokens is out of range; write 1 to %d", s.Capacity, maxTokens)
	case s.Window < 0:
		return fmt.Errorf("packing: a window of %d samples is out of range; write 1 or more, or 0 to wait for all", s.Window)
	case s.Multiple < 1 || s.Multiple > s.Capacity:
		return fmt.Errorf("packing: a multiple of %d is out of range; write 1 to the capacity of %d", s.Multiple, s.Capacity)
	case s.Limit < 0:
		return fmt.Errorf("packing: a limit of %d samples is out of range; write 1 or more, or 0 for no limit", s.Limit)
	case s.Mode != Decreasing && s.Mode != FirstFit:
		return fmt.Errorf("packing: mode %q is not known; write one of %v", s.Mode, Modes())
	}
	return nil
}

// Size is what a sample of that many tokens takes of a pack: its length, rounded up to
// the multiple. A sample that fits no pack is refused with a [codecs.Error]: it is never
// cut. s must be normalised.
func (s Settings) Size(length int) (int, error) {
	if length < 1 {
		return 0, codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePack, "the sample has %d tokens; only samples of 1 or more can be packed", length)
	}
	if length > s.Capacity {
		return 0, codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePack,
			"the sample has %d tokens and a pack holds %d; a sample is never cut, so give a larger budget or smaller pictures", length, s.Capacity)
	}
	size := roundUp(length, s.Multiple)
	if size > s.Capacity {
		return 0, codecs.Errorf(codecs.CodeLimitTokens, codecs.StagePack,
			"the sample has %d tokens, %d as a multiple of %d, and a pack holds %d; give a larger budget or smaller pictures", length, size, s.Multiple, s.Capacity)
	}
	return size, nil
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }
