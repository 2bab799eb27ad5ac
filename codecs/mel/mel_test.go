package mel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// golden is testdata/golden/mel-cases.json.
type golden struct {
	Filters []struct{ Mels, Nonzero int }
	Signals []struct {
		Name    string
		Samples int
		Sha256  string `json:"sha256_i16"`
	}
	Cases []struct {
		ID, Signal  string
		Mels        int
		Samples     int
		Padded      bool
		Frames      int
		Sha256      string
		SampleIndex []int     `json:"sample_index"`
		SampleValue []float64 `json:"sample_value"`
		MaskSum     int       `json:"mask_sum"`
		MaskSha256  string    `json:"mask_sha256"`
		Qwen2Audio  int       `json:"tokens_qwen2_audio"`
		Qwen3Omni   int       `json:"tokens_qwen3_omni"`
	}
}

func loadGolden(tb testing.TB) (g golden) {
	tb.Helper()
	b, err := os.ReadFile("../../testdata/golden/mel-cases.json")
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// pcm makes a test signal of integers alone.
func pcm(tb testing.TB, name string, n int) []int16 {
	tb.Helper()
	out := make([]int16, n)
	switch name {
	case "silence":
	case "sweep": // 50 Hz to 7800 Hz, parabolas for a sine
		const low, high = 50 * (1 << 32) / Rate, 7800 * (1 << 32) / Rate
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

func waveform(pcm []int16) []float32 {
	out := make([]float32, len(pcm))
	for i, v := range pcm {
		out[i] = float32(v) / 32768
	}
	return out
}

// digest is the SHA-256 of a little-endian array.
func digest(tb testing.TB, array any) string {
	tb.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, array); err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

func TestSignals(t *testing.T) {
	for _, s := range loadGolden(t).Signals {
		if got := digest(t, pcm(t, s.Name, s.Samples)); got != s.Sha256 {
			t.Errorf("%s of %d samples is not the golden one", s.Name, s.Samples)
		}
	}
}

// Every golden case, by bits. The table says how far apart the sampled values are.
func TestGoldenMel(t *testing.T) {
	g := loadGolden(t)
	if len(g.Cases) < 38 {
		t.Fatalf("only %d cases", len(g.Cases))
	}
	table := &strings.Builder{}
	fmt.Fprintf(table, "\n%-34s %6s %6s  %s\n", "case", "frames", "sound", "against the extractor's array")
	equal := 0
	for _, c := range g.Cases {
		x, err := New(c.Mels, c.Padded)
		if err != nil {
			t.Fatal(err)
		}
		sound := waveform(pcm(t, c.Signal, c.Samples))
		if c.Padded {
			sound = sound[:min(len(sound), MaxPadded)] // the extractor cuts silently
		}
		f, err := x.Extract(sound)
		if err != nil {
			t.Fatal(err)
		}
		if f.Frames != c.Frames || f.Bins != c.Mels || len(f.Data) != c.Frames*c.Mels {
			t.Errorf("%s: %d bins, %d frames, %d values", c.ID, f.Bins, f.Frames, len(f.Data))
			continue
		}
		word := "equal"
		if digest(t, f.Data) == c.Sha256 {
			equal++
		} else {
			most, mean := distance(f.Data, c.SampleIndex, c.SampleValue)
			word = fmt.Sprintf("max %.3g, mean %.3g of %d samples", most, mean, len(c.SampleIndex))
			t.Errorf("%s: %s", c.ID, word)
		}
		if f.Sound() != c.MaskSum || digest(t, f.Mask) != c.MaskSha256 {
			t.Errorf("%s: the mask has %d ones, not %d, or elsewhere", c.ID, f.Sound(), c.MaskSum)
		}
		if got := TokensQwen2Audio(f.Sound()); got != c.Qwen2Audio || TokensQwen25Omni(f.Sound()) != got {
			t.Errorf("%s: %d tokens of Qwen2-Audio, want %d", c.ID, got, c.Qwen2Audio)
		}
		if got := TokensQwen3Omni(f.Sound()); got != c.Qwen3Omni {
			t.Errorf("%s: %d tokens of Qwen3-Omni, want %d", c.ID, got, c.Qwen3Omni)
		}
		fmt.Fprintf(table, "%-34s %6d %6d  %s\n", c.ID, f.Frames, f.Sound(), word)
	}
	t.Logf("%s%d of %d equal", table, equal, len(g.Cases))
}

func distance(got []float32, index []int, want []float64) (most, mean float64) {
	for i, n := range index {
		d := math.Abs(float64(got[n]) - want[i])
		most = max(most, d)
		mean += d / float64(len(index))
	}
	return most, mean
}

func TestFilters(t *testing.T) {
	for _, f := range loadGolden(t).Filters {
		n := 0
		for k, b := range filters(f.Mels) {
			n += len(b.weights)
			if len(b.weights) == 0 {
				t.Errorf("band %d of %d is empty", k, f.Mels)
			}
		}
		if n != f.Nonzero {
			t.Errorf("%d mels: %d weights are not zero, want %d", f.Mels, n, f.Nonzero)
		}
	}
}

// The fast transform is the sum that defines it.
func TestTransform(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var x [size]float64
	var got [half + 1]complex128
	for i := range x {
		x[i] = rnd.Float64()*2 - 1
	}
	newTransform().real(&x, &got)
	for k := range got {
		var want complex128
		for i, v := range x {
			want += complex(v, 0) * root(k*i, size)
		}
		if d := got[k] - want; math.Hypot(real(d), imag(d)) > 1e-12 {
			t.Errorf("bin %d is off by %g", k, d)
		}
	}
}

func TestLimits(t *testing.T) {
	if _, err := New(64, true); err == nil {
		t.Error("64 bins")
	}
	padded, _ := New(80, true)
	if _, err := padded.Extract(make([]float32, MaxPadded+1)); err == nil {
		t.Error("padding more than 30 s")
	}
	plain, _ := New(80, false)
	for n, frames := range map[int]int{0: 0, 1: 0, 159: 0, 160: 1, 199: 1, 201: 1, 320: 2, MaxPadded + 160: 3001} {
		f, err := plain.Extract(make([]float32, n))
		if err != nil || f.Frames != frames || len(f.Mask) != frames || f.Sound() != frames {
			t.Errorf("%d samples: %d frames, %v", n, f.Frames, err)
		}
	}
	// numpy reflects again and again where the sound is shorter than what is reflected.
	for i, want := range map[int]int{0: 0, -1: 1, -4: 4, -5: 3, -8: 0, -9: 1, 5: 3, 8: 0, 9: 1} {
		if got := reflect(i, 5); got != want {
			t.Errorf("index %d of 5 is %d, want %d", i, got, want)
		}
	}
}

// An extractor that has been used gives what a new one gives.
func TestReuse(t *testing.T) {
	used, _ := New(128, true)
	for _, n := range []int{400000, 0, 1, 16123} {
		sound := waveform(pcm(t, "noise", n))
		got, err := used.Extract(sound)
		if err != nil {
			t.Fatal(err)
		}
		fresh, _ := New(128, true)
		want, _ := fresh.Extract(sound)
		if digest(t, got.Data) != digest(t, want.Data) || got.Sound() != want.Sound() {
			t.Errorf("%d samples: the used one differs", n)
		}
	}
}

func BenchmarkExtract30s(b *testing.B) {
	sound := waveform(pcm(b, "noise", MaxPadded))
	for _, bins := range []int{80, 128} {
		b.Run(fmt.Sprint(bins), func(b *testing.B) {
			x, err := New(bins, true)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := x.Extract(sound); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/chunk")
		})
	}
}
