package audio

import (
	"github.com/millrace/millrace/codecs"
)

// stretch is continuous sound at one rate: a run of frames without a gap. Its first
// sample has a place in the grid, and all others follow from it.
type stretch struct {
	from int64 // stamp of its first sample, in the stream's ticks
	rate int   // of the source
	fed  int64 // source samples so far
	res  *resampler
	// late is how many of its first samples are left out, since the stretch before
	// ends after its start: at a change of rate, for rounding.
	late int64
}

// ahead is how many source samples lie between the end of the sound so far and a
// stamp. Negative: the stamp is earlier.
func (s *stretch) ahead(stamp int64, base codecs.Rational) float64 {
	ticks := float64(stamp - s.from)
	due := float64(ticks * float64(base.Num) / float64(base.Den) * float64(s.rate))
	return due - float64(s.fed)
}

// push adds source samples and appends the grid's to out. The rest of those of the
// stretch come with end.
func (s *stretch) push(in, out []float32) ([]float32, error) {
	s.fed += int64(len(in))
	if s.res == nil {
		return s.skip(append(out, in...), len(out)), nil
	}
	n := len(out)
	out, err := s.res.push(in, out)
	return s.skip(out, n), err
}

func (s *stretch) end(out []float32) ([]float32, error) {
	if s.res == nil {
		return out, nil
	}
	n := len(out)
	out, err := s.res.end(out)
	s.free()
	return s.skip(out, n), err
}

// skip takes what is late out of the samples from n on.
func (s *stretch) skip(out []float32, n int) []float32 {
	drop := min(s.late, int64(len(out)-n))
	if drop <= 0 {
		return out
	}
	s.late -= drop
	return append(out[:n], out[n+int(drop):]...)
}

func (s *stretch) free() {
	if s != nil && s.res != nil {
		s.res.Free()
		s.res = nil
	}
}
