package mel

import (
	"fmt"
	"math"
)

const (
	// Rate is the rate of the sound that goes in, in samples a second.
	Rate = 16000
	// Hop is how many samples frames lie apart: 10 ms.
	Hop = 160
	// Seconds is the length that padded features have.
	Seconds = 30
	// MaxPadded is the most samples that [Extractor.Extract] takes when it pads.
	MaxPadded = Seconds * Rate
)

// Features are the log-mel features of one stretch of sound.
type Features struct {
	Frames, Bins int
	// Data is [Bins, Frames] in C order: input_features of the extractor, without its
	// batch axis. Values are about -1.5 to 1.5.
	Data []float32
	// Mask is attention_mask: 1 for frames of sound, 0 for padding. Its length is Frames.
	Mask []int32
}

// Sound is how many frames are not padding, the sum of Mask: what the models count
// their tokens from.
func (f Features) Sound() int {
	n := 0
	for _, v := range f.Mask {
		n += int(v)
	}
	return n
}

// Extractor makes features, with buffers that it keeps. It belongs to one goroutine.
type Extractor struct {
	bins   int
	pad    bool
	bank   []band
	window [size]float64
	dft    *transform

	frame    [size]float64
	spectrum [half + 1]complex128
	power    [half + 1]float64
	data     []float32
	mask     []int32
}

// New makes an extractor of 80 or 128 bins. With pad, features are always those of 30
// seconds, as Whisper, Qwen2-Audio and Qwen2.5-Omni have them; without, there is one
// frame for each whole hop of the sound, as Qwen3-Omni has it for a single clip.
func New(bins int, pad bool) (*Extractor, error) {
	if bins != 80 && bins != 128 {
		return nil, fmt.Errorf("log-mel features have 80 or 128 bins, not %d", bins)
	}
	x := &Extractor{bins: bins, pad: pad, bank: filters(bins), dft: newTransform()}
	for i := range x.window { // Hann's, periodic
		x.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/size)
	}
	return x, nil
}

// Extract makes the features of mono sound at [Rate], -1..1 and finite. What padding extractors
// would drop without a word, more than 30 s, is refused: cut it up. Less than one hop
// gives no frame at all without padding. The result is valid until the next call.
func (x *Extractor) Extract(samples []float32) (Features, error) {
	total := len(samples)
	if x.pad {
		if total > MaxPadded {
			return Features{}, fmt.Errorf("%d samples are more than the %d s that padded features hold: extract chunks of up to %d samples", total, Seconds, MaxPadded)
		}
		total = MaxPadded
	}
	// The frame that the last reflected samples would make is left out, as Whisper does.
	frames := total / Hop
	x.data = grown(x.data, x.bins*frames)
	x.mask = grown(x.mask, frames)
	highest := float32(math.Inf(-1))
	for f := range frames {
		x.mask[f] = 0
		if f*Hop < len(samples) {
			x.mask[f] = 1
		}
		highest = max(highest, x.column(samples, total, f, frames))
	}
	// Of the whole stretch: a frame's values need all others.
	floor := highest - 8
	for i, v := range x.data {
		x.data[i] = (max(v, floor) + 4) / 4
	}
	return Features{Frames: frames, Bins: x.bins, Data: x.data, Mask: x.mask}, nil
}

// column fills in frame f's logarithms and returns the highest.
func (x *Extractor) column(samples []float32, total, f, frames int) float32 {
	if !x.cut(samples, total, f*Hop-size/2) {
		clear(x.power[:])
	} else {
		x.dft.real(&x.frame, &x.spectrum)
		for i, v := range x.spectrum {
			// Rounded to float32, as numpy's result is where it is stored.
			re, im := float64(float32(real(v))), float64(float32(imag(v)))
			x.power[i] = re*re + im*im
		}
	}
	highest := float32(math.Inf(-1))
	for k, b := range x.bank {
		sum := 0.0
		for i, w := range b.weights {
			sum += w * x.power[b.first+i]
		}
		v := float32(math.Log10(max(1e-10, sum)))
		x.data[k*frames+f] = v
		highest = max(highest, v)
	}
	return highest
}

// cut fills the frame that begins at sample at, windowed. Zeros follow the samples up to
// total; beyond both ends the sound is reflected, its edge not repeated. It reports
// whether there is anything but silence.
func (x *Extractor) cut(samples []float32, total, at int) bool {
	sound := false
	for i := range x.frame {
		v := float32(0)
		if n := reflect(at+i, total); n < len(samples) {
			v = samples[n]
		}
		sound = sound || v != 0
		x.frame[i] = float64(v) * x.window[i]
	}
	return sound
}

// reflect brings an index into 0..n-1.
func reflect(i, n int) int {
	for i < 0 || i >= n {
		if i < 0 {
			i = -i
		} else {
			i = 2*(n-1) - i
		}
	}
	return i
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
