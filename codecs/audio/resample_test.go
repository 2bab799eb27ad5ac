package audio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"os"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// pcm makes a test signal of integers alone: a sweep from 50 Hz to top, of parabolas
// for a sine; noise; or clicks.
func pcm(tb testing.TB, name string, n, rate, top int) []int16 {
	tb.Helper()
	out := make([]int16, n)
	switch name {
	case "sweep":
		low, high := int64(50)<<32/int64(rate), int64(top)<<32/int64(rate)
		phase := int64(0)
		for i := range out {
			p := phase >> 16 & 65535
			q := p & 32767
			v := (q * (32768 - q) >> 15) * 3
			if p >= 32768 {
				v = -v
			}
			out[i] = int16(v)
			phase += low + (high-low)*int64(i)/int64(n)
		}
	case "noise":
		x := int64(12345)
		for i := range out {
			x = (x*1103515245 + 12345) & 0x7fffffff
			out[i] = int16((x>>15 - 32768) >> 2)
		}
	case "clicks":
		for i, v := 100, int16(30000); i < n; i, v = i+3989, -v {
			out[i] = v
		}
	default:
		tb.Fatalf("no signal %q", name)
	}
	return out
}

func digest(tb testing.TB, array any) string {
	tb.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, array); err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

func waveform(pcm []int16) []float32 {
	out := make([]float32, len(pcm))
	for i, v := range pcm {
		out[i] = float32(v) / 32768
	}
	return out
}

// Sound at 16 kHz is what librosa makes of it: soxr HQ, by bits.
func TestGoldenResample(t *testing.T) {
	noLeaks(t)
	var g struct {
		Cases []struct {
			ID, Signal  string
			SourceRate  int       `json:"source_rate"`
			Top         int       `json:"top_hz"`
			Sha256I16   string    `json:"sha256_i16"`
			In          int       `json:"samples_in"`
			Out         int       `json:"samples_out"`
			Sha256      string    `json:"sha256"`
			SampleIndex []int     `json:"sample_index"`
			SampleValue []float64 `json:"sample_value"`
		}
	}
	b, err := os.ReadFile("../../testdata/golden/resample-audio-cases.json")
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) < 18 {
		t.Fatalf("only %d cases", len(g.Cases))
	}
	equal := 0
	for _, c := range g.Cases {
		signal := pcm(t, c.Signal, c.In, c.SourceRate, c.Top)
		if digest(t, signal) != c.Sha256I16 {
			t.Errorf("%s: the signal is not the golden one", c.ID)
			continue
		}
		wav := EncodeWAV(&codecs.Sound{Rate: c.SourceRate, Samples: waveform(signal)})
		got := drain(t, wav, WAV, Rules{Rate: 16000})
		if len(got) != c.Out {
			t.Errorf("%s: %d samples, want %d", c.ID, len(got), c.Out)
			continue
		}
		most := 0.0
		for i, n := range c.SampleIndex {
			most = max(most, math.Abs(float64(got[n])-c.SampleValue[i]))
		}
		word := "equal"
		if digest(t, got) == c.Sha256 {
			equal++
		} else {
			word = "other bits"
		}
		t.Logf("%-16s %6d -> %6d samples: %s, sampled values within %.2g", c.ID, c.In, len(got), word, most)
		// libsoxr without SIMD is up to 1.8e-7 off.
		if most > 1e-6 {
			t.Errorf("%s is %g off", c.ID, most)
		}
	}
	t.Logf("%d of %d equal", equal, len(g.Cases))
}

// drain gives a medium's sound to its end, which must be good.
func drain(tb testing.TB, b []byte, container string, rules Rules) []float32 {
	tb.Helper()
	s, err := Open(context.Background(), bytesSource(b), container, rules, codecs.DefaultLimits())
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	samples, err := all(s, codecs.NewRational(1, 3))
	if err != io.EOF {
		tb.Fatal(err)
	}
	return samples
}

// Rates far apart, and rates without a common divisor: the length is what it must be, and
// a sample does not depend on the pieces that were pushed.
func TestResampleRatios(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct{ from, to, n int }{
		{1000, 16000, 20000}, {1009, 767999, 700}, {1000, 768000, 300}, {48000, 768000, 4096}, {8000, 176400, 5000},
		{767999, 1000, 20000}, {44117, 15991, 30000}, {192001, 16000, 30000}, {44100, 16000, 100000}, {16000, 44100, 1}, {48000, 16000, 7},
	} {
		in := waveform(pcm(t, "noise", c.n, c.from, 0))
		var results [2][]float32
		for i, piece := range []int{c.n, 997} {
			r := newResampler(c.from, c.to)
			if r == nil {
				t.Fatalf("%v: no resampler", c)
			}
			var err error
			for at := 0; at < c.n && err == nil; at += piece {
				results[i], err = r.push(in[at:min(at+piece, c.n)], results[i])
			}
			if err == nil {
				results[i], err = r.end(results[i])
			}
			r.Free()
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
		}
		if want := (2*c.n*c.to + c.from) / (2 * c.from); len(results[0]) != want {
			t.Errorf("%v: %d samples, want %d", c, len(results[0]), want)
		}
		if !equal(results[0], results[1]) {
			t.Errorf("%v: pieces give other samples", c)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	src, seconds := load(b, "stereo.m4a"), 0.0
	for b.Loop() {
		seconds += float64(len(drain(b, src, M4A, Rules{Rate: 16000}))) / 16000
	}
	b.ReportMetric(seconds/b.Elapsed().Seconds(), "s-sound/s")
}
