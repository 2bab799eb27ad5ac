package mel

import "math"

// band is one triangle of the filter bank: its weights from bin first on.
type band struct {
	first   int
	weights []float64
}

// filters makes the bank: triangles on Slaney's scale, evenly from 0 to half the rate,
// each of area one (librosa's norm="slaney"). Bins are 40 Hz apart.
func filters(mels int) []band {
	top := hzToMel(Rate / 2)
	edges := make([]float64, mels+2)
	for k := range edges {
		edges[k] = melToHz(top * float64(k) / float64(mels+1))
	}
	bank := make([]band, mels)
	for k := range bank {
		low, mid, high := edges[k], edges[k+1], edges[k+2]
		b := &bank[k]
		for i := range half + 1 {
			f := float64(i) * Rate / size
			w := max(0, min((f-low)/(mid-low), (high-f)/(high-mid))) * (2 / (high - low))
			if w == 0 {
				continue
			}
			if len(b.weights) == 0 {
				b.first = i
			}
			b.weights = append(b.weights, w)
		}
	}
	return bank
}

// Slaney's scale is linear below 1000 Hz (15 mel) and logarithmic above.
func hzToMel(f float64) float64 {
	if f < 1000 {
		return 3 * f / 200
	}
	return 15 + math.Log(f/1000)*27/math.Log(6.4)
}

func melToHz(m float64) float64 {
	if m < 15 {
		return 200 * m / 3
	}
	return 1000 * math.Exp(math.Log(6.4)/27*(m-15))
}
