package patch

import (
	"encoding/binary"
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

// TestGoldenDTypes holds tables and rounding to what numpy and ml_dtypes give.
func TestGoldenDTypes(t *testing.T) {
	type hashes struct{ Float32, Float16, BFloat16 string }
	var g struct {
		Tables []struct {
			Name      string
			Mean, Std [3]float64
			hashes
		}
		Casts []struct {
			Count int
			hashes
		}
	}
	readGolden(t, "dtype-cases.json", &g)
	if len(g.Tables) != 3 || len(g.Casts) != 1 {
		t.Fatalf("%d tables and %d casts; there were 3 and 1", len(g.Tables), len(g.Casts))
	}
	check := func(what, dtype string, got []byte, want hashes) {
		t.Helper()
		if sum(got) != map[string]string{Float32: want.Float32, Float16: want.Float16, BFloat16: want.BFloat16}[dtype] {
			t.Errorf("%s as %s: other bits than numpy's", what, dtype)
			return
		}
		t.Logf("%-22s %-8s equal, %d values", what, dtype, len(got)/dtypeBytes(dtype))
	}
	for _, dtype := range []string{Float32, Float16, BFloat16} {
		for _, k := range g.Tables {
			var got []byte
			for _, channel := range newTable(dtype, k.Mean, k.Std) {
				for _, bits := range channel {
					got = putLittle(got, bits, dtypeBytes(dtype))
				}
			}
			check("mean and std "+k.Name, dtype, got, k.hashes)
		}
		check("random finite float32", dtype, casts(dtype, g.Casts[0].Count), g.Casts[0].hashes)
	}
}

// casts rounds so many generated numbers, all of them finite.
func casts(dtype string, count int) (out []byte) {
	seed := uint32(1)
	for n := 0; n < count; {
		if seed = seed*1664525 + 1013904223; seed>>23&255 == 255 {
			continue
		}
		n++
		bits, v := seed, math.Float32frombits(seed)
		switch dtype {
		case Float16:
			bits = uint32(half16(v))
		case BFloat16:
			bits = uint32(brain16(v))
		}
		out = putLittle(out, bits, dtypeBytes(dtype))
	}
	return out
}

func putLittle(b []byte, bits uint32, width int) []byte {
	return append(b, binary.LittleEndian.AppendUint32(nil, bits)[:width]...)
}
