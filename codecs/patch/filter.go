package patch

import "math"

// Filter names one of Pillow's resampling kernels.
type Filter string

// The kernels. All are stretched when shrinking, which is what antialiases.
const (
	Box      Filter = "box"
	Bilinear Filter = "bilinear"
	Bicubic  Filter = "bicubic" // Keys' with a = -0.5
	Lanczos  Filter = "lanczos" // three lobes
)

// Filters lists the kernels by name.
func Filters() []Filter { return []Filter{Bilinear, Bicubic, Lanczos, Box} }

// support is the kernel's half width in input pixels when not shrinking; 0 for a
// name that is none.
func (f Filter) support() float64 {
	switch f {
	case Box:
		return 0.5
	case Bilinear:
		return 1
	case Bicubic:
		return 2
	case Lanczos:
		return 3
	}
	return 0
}

// at evaluates the kernel. Products are converted to float64 one by one, since a
// fused multiply-add would give other last bits, and with them other weights.
func (f Filter) at(x float64) float64 {
	switch f {
	case Box:
		if x > -0.5 && x <= 0.5 {
			return 1
		}
	case Bilinear:
		if x = math.Abs(x); x < 1 {
			return 1 - x
		}
	case Bicubic:
		return keys(math.Abs(x))
	case Lanczos:
		if x >= -3 && x < 3 {
			return float64(sinc(x) * sinc(x/3))
		}
	}
	return 0
}

// keys is the cubic convolution kernel of Keys (1981) with a = -0.5, for x >= 0.
func keys(x float64) float64 {
	const a = -0.5
	switch {
	case x < 1:
		v := float64((a+2)*x) - (a + 3)
		return float64(float64(v*x)*x) + 1
	case x < 2:
		v := float64((x-5)*x) + 8
		return float64((float64(v*x) - 4) * a)
	}
	return 0
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	x = float64(x * math.Pi)
	return math.Sin(x) / x
}
