package patch

import (
	"math"
	"math/big"
	"testing"
)

// TestTable holds the table to values that the processors give.
func TestTable(t *testing.T) {
	for _, k := range []struct {
		mean, std [3]float64
		c, b      int
		want      float32
	}{
		{clipMean, clipStd, 0, 0, -1.7922626}, {clipMean, clipStd, 0, 128, 0.076336145}, {clipMean, clipStd, 0, 255, 1.9303361},
		{half, half, 1, 0, -1}, {half, half, 1, 128, 0.003921628}, {half, half, 2, 255, 1},
	} {
		if got := math.Float32frombits(newTable(Float32, k.mean, k.std)[k.c][k.b]); got != k.want {
			t.Errorf("byte %d, channel %d: %v, want %v", k.b, k.c, got, k.want)
		}
	}
}

// value16 is what a 16-bit float with that many fraction bits holds, exactly.
func value16(bits uint16, fraction, bias int) *big.Float {
	exponent := int(bits&0x7FFF) >> fraction
	digits := int64(bits) & (1<<fraction - 1)
	if exponent == 0 {
		exponent = 1
	} else {
		digits |= 1 << fraction
	}
	return new(big.Float).SetMantExp(big.NewFloat(float64(digits)), exponent-bias-fraction)
}

// TestRounding walks through all pairs of neighbours of both 16-bit formats: what lies
// between them goes to the nearer, and the middle to the even one.
func TestRounding(t *testing.T) {
	for _, k := range []struct {
		name           string
		round          func(float32) uint16
		fraction, bias int
		infinity       uint16
	}{{Float16, half16, 10, 15, 0x7C00}, {BFloat16, brain16, 7, 127, 0x7F80}} {
		for n := uint16(0); n < k.infinity-1; n++ {
			a, b := value16(n, k.fraction, k.bias), value16(n+1, k.fraction, k.bias)
			low, _ := a.Float32()
			middle, exact := new(big.Float).Quo(new(big.Float).Add(a, b), big.NewFloat(2)).Float32()
			if exact != big.Exact {
				t.Fatalf("%s: the middle after %#x is no float32", k.name, n)
			}
			even := n + n&1
			for _, v := range []struct {
				in   float32
				want uint16
			}{
				{low, n}, {middle, even},
				{math.Nextafter32(middle, 0), n}, {math.Nextafter32(middle, math.MaxFloat32), n + 1},
			} {
				if got := k.round(v.in); got != v.want {
					t.Fatalf("%s: %v becomes %#x, want %#x", k.name, v.in, got, v.want)
				}
				if got := k.round(-v.in); got != v.want|0x8000 && v.in != 0 {
					t.Fatalf("%s: %v becomes %#x, want %#x", k.name, -v.in, got, v.want|0x8000)
				}
			}
		}
		if got := k.round(float32(math.Inf(1))); got != k.infinity {
			t.Errorf("%s: infinity becomes %#x", k.name, got)
		}
		if got := k.round(math.MaxFloat32); got != k.infinity {
			t.Errorf("%s: the largest float32 becomes %#x", k.name, got)
		}
		if got := k.round(float32(math.NaN())) & 0x7FFF; got <= k.infinity {
			t.Errorf("%s: NaN becomes %#x", k.name, got)
		}
	}
}
