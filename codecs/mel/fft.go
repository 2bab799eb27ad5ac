package mel

import (
	"math"
	"math/cmplx"
)

// size is the length of a frame, in samples.
const size = 400

// half is the length of the complex transform that a real one of size comes down to.
const half = size / 2

// radices of half, in the order of the stages.
var radices = [...]int{5, 5, 4, 2}

// transform is a discrete Fourier transform of size real numbers, in float64. It is
// Stockham's: each stage reads one array and writes the other, and nothing is reversed.
type transform struct {
	twiddles [len(radices)][]complex128 // of stage i: for each p its radix-1 factors
	turns    [half + 1]complex128       // from the packed spectrum to the real one's
	a, b     [half]complex128
}

func newTransform() *transform {
	t := &transform{}
	n := half
	for i, r := range radices {
		for p := range n / r {
			for j := 1; j < r; j++ {
				t.twiddles[i] = append(t.twiddles[i], root(p*j, n))
			}
		}
		n /= r
	}
	for k := range t.turns {
		t.turns[k] = root(k, size)
	}
	return t
}

// root is exp(-2 pi i k/n).
func root(k, n int) complex128 { return cmplx.Rect(1, -2*math.Pi*float64(k%n)/float64(n)) }

// real transforms x into bins 0..half of its spectrum.
func (t *transform) real(x *[size]float64, out *[half + 1]complex128) {
	for i := range t.a {
		t.a[i] = complex(x[2*i], x[2*i+1])
	}
	from, to := &t.a, &t.b
	n, stride := half, 1
	for i, r := range radices {
		switch r {
		case 5:
			stage5(from, to, t.twiddles[i], n, stride)
		case 4:
			stage4(from, to, t.twiddles[i], n, stride)
		default:
			stage2(from, to, t.twiddles[i], n, stride)
		}
		from, to = to, from
		n, stride = n/r, stride*r
	}
	for k := range out {
		z, c := from[k%half], cmplx.Conj(from[(half-k)%half])
		even, odd := z+c, z-c
		odd = complex(imag(odd), -real(odd)) // times -i
		out[k] = (even + odd*t.turns[k]) * 0.5
	}
}

func stage2(x, y *[half]complex128, w []complex128, n, s int) {
	m := n / 2
	for p := range m {
		for q := range s {
			a, b := x[q+s*p], x[q+s*(p+m)]
			y[q+s*2*p] = a + b
			y[q+s*(2*p+1)] = (a - b) * w[p]
		}
	}
}

func stage4(x, y *[half]complex128, w []complex128, n, s int) {
	m := n / 4
	for p := range m {
		w1, w2, w3 := w[3*p], w[3*p+1], w[3*p+2]
		for q := range s {
			a, b := x[q+s*p], x[q+s*(p+m)]
			c, d := x[q+s*(p+2*m)], x[q+s*(p+3*m)]
			e, f, g, h := a+c, a-c, b+d, b-d
			h = complex(imag(h), -real(h)) // times -i
			y[q+s*4*p] = e + g
			y[q+s*(4*p+1)] = (f + h) * w1
			y[q+s*(4*p+2)] = (e - g) * w2
			y[q+s*(4*p+3)] = (f - h) * w3
		}
	}
}

// Cosines and sines of one and two fifths of a turn.
var (
	cos1, sin1 = math.Cos(2 * math.Pi / 5), math.Sin(2 * math.Pi / 5)
	cos2, sin2 = math.Cos(4 * math.Pi / 5), math.Sin(4 * math.Pi / 5)
)

func stage5(x, y *[half]complex128, w []complex128, n, s int) {
	m := n / 5
	c1, s1, c2, s2 := cos1, sin1, cos2, sin2
	for p := range m {
		w1, w2, w3, w4 := w[4*p], w[4*p+1], w[4*p+2], w[4*p+3]
		for q := range s {
			a := x[q+s*p]
			b, e := x[q+s*(p+m)], x[q+s*(p+4*m)]
			c, d := x[q+s*(p+2*m)], x[q+s*(p+3*m)]
			be, cd, bd, cc := b+e, c+d, b-e, c-d
			u := a + complex(c1*real(be)+c2*real(cd), c1*imag(be)+c2*imag(cd))
			v := a + complex(c2*real(be)+c1*real(cd), c2*imag(be)+c1*imag(cd))
			// times -i
			g := complex(s1*imag(bd)+s2*imag(cc), -s1*real(bd)-s2*real(cc))
			h := complex(s2*imag(bd)-s1*imag(cc), -s2*real(bd)+s1*real(cc))
			y[q+s*5*p] = a + be + cd
			y[q+s*(5*p+1)] = (u + g) * w1
			y[q+s*(5*p+2)] = (v + h) * w2
			y[q+s*(5*p+3)] = (v - h) * w3
			y[q+s*(5*p+4)] = (u - g) * w4
		}
	}
}
