package audio

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// soundFrom takes bytes for samples.
func soundFrom(b []byte, rate int) *codecs.Sound {
	s := &codecs.Sound{Rate: rate}
	for ; len(b) >= 4; b = b[4:] {
		s.Samples = append(s.Samples, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return s
}

// FuzzFLAC: any sound is written so that our reader gives it back in 16 bits.
func FuzzFLAC(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 128, 191, 1, 0, 0, 0, 0, 0, 192, 127, 0, 0, 128, 255}, uint8(0)) // 1, -1, tiny, NaN, -Inf
	f.Add(make([]byte, 4*5000), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, rate uint8) {
		s := soundFrom(b, []int{8000, 16000, 22050, 44100, 48000}[rate%5])
		if len(s.Samples) == 0 || len(s.Samples) > 1<<16 {
			return
		}
		want := make([]int16, len(s.Samples))
		for i, v := range s.Samples {
			if v != v { // a decoder that gives none is not followed further
				return
			}
			want[i] = int16(max(-32768, min(32767, math.RoundToEven(float64(v)*32768))))
		}
		file, err := EncodeFLAC(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := drain(t, file, FLAC, Rules{Rate: s.Rate}); !equal(got, waveform(want)) {
			t.Fatalf("%d samples are read back as %d others", len(want), len(got))
		}
		if n := LiveObjects(); n != 0 {
			t.Fatalf("%d C objects are alive", n)
		}
	})
}

// FuzzWAV: any finite sound is written so that our reader gives back its bits.
func FuzzWAV(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 128, 191, 1, 0, 0, 0}, uint8(1))
	f.Add(make([]byte, 4*5000), uint8(4))
	f.Fuzz(func(t *testing.T, b []byte, rate uint8) {
		s := soundFrom(b, []int{8000, 16000, 22050, 44100, 48000}[rate%5])
		if len(s.Samples) == 0 || len(s.Samples) > 1<<16 {
			return
		}
		for _, v := range s.Samples {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return
			}
		}
		if got := drain(t, EncodeWAV(s), WAV, Rules{Rate: s.Rate}); !equal(got, s.Samples) {
			t.Fatalf("%d samples are read back as %d others", len(s.Samples), len(got))
		}
		if n := LiveObjects(); n != 0 {
			t.Fatalf("%d C objects are alive", n)
		}
	})
}
