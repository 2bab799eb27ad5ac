package patch

import "math"

// Weights are fixed-point numbers of 22 bits, as Pillow's for 8-bit channels.
const (
	weightBits = 22
	weightHalf = 1 << (weightBits - 1)
)

// splitBits is where a weight is cut into two 16-bit halves for the vector kernels:
// weight = high<<splitBits + low. Sums of either half are exact modulo 2^32, so their
// recombination equals the plain 32-bit sum.
const splitBits = 12

// axis holds the weights of one direction of a resize: for the output positions
// from..to-1 of out, which input positions count, and how much.
type axis struct {
	in, out, from, to int

	first  []int32 // first input position
	count  []int32 // number of input positions
	slots  int     // weights kept for each output, a multiple of 4; the unused are 0
	weight []int32 // len = (to-from)*slots
	// halves has the same weights for the vector kernels, 8 numbers for each 4:
	// h0 h1 h2 h3 l0 l1 l2 l3.
	halves []int16
	// reach is the end of the input positions that the vector kernels touch, which
	// take them by fours. Not always the last output's: kernels are cut at the border.
	reach int
}

// matches reports whether a is the axis for these sizes.
func (a *axis) matches(in, out, from, to int) bool {
	return a.in == in && a.out == out && a.from == from && a.to == to
}

// span returns the input positions lo..hi-1 that the outputs use.
func (a *axis) span() (lo, hi int) {
	n := len(a.first) - 1
	return int(a.first[0]), int(a.first[n] + a.count[n])
}

// compute fills a, reusing its arrays. The rules are those of Pillow's
// precompute_coeffs and normalize_coeffs_8bpc (Resample.c).
func (a *axis) compute(f Filter, in, out, from, to int) {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := float64(f.support() * stretch)
	inverse := 1 / stretch

	n := to - from
	a.in, a.out, a.from, a.to = in, out, from, to
	a.slots = (int(math.Ceil(support))*2 + 1 + 3) &^ 3
	a.first, a.count = resized(a.first, n), resized(a.count, n)
	a.weight, a.halves = resized(a.weight, n*a.slots), resized(a.halves, 2*n*a.slots)
	clear(a.weight)
	clear(a.halves)
	a.reach = 0

	var buf [64]float64
	real := buf[:]
	if a.slots > len(buf) {
		real = make([]float64, a.slots)
	}
	for i := range n {
		center := float64((float64(from+i) + 0.5) * scale)
		lo := max(int(center-support+0.5), 0)
		hi := min(int(center+support+0.5), in)
		a.first[i], a.count[i] = int32(lo), int32(hi-lo)
		a.reach = max(a.reach, lo+(hi-lo+3)&^3)
		sum := 0.0
		for j := range hi - lo {
			real[j] = f.at(float64((float64(j+lo) - center + 0.5) * inverse))
			sum += real[j]
		}
		a.fix(i, real[:hi-lo], sum)
	}
}

// fix normalises one output's weights and stores them in fixed point.
func (a *axis) fix(i int, real []float64, sum float64) {
	for j, w := range real {
		if sum != 0 {
			w /= sum
		}
		half := 0.5
		if w < 0 {
			half = -0.5
		}
		q := int32(float64(w*(1<<weightBits)) + half)
		a.weight[i*a.slots+j] = q
		high := (q + 1<<(splitBits-1)) >> splitBits
		at := 2*(i*a.slots+j&^3) + j&3
		a.halves[at], a.halves[at+4] = int16(high), int16(q-high<<splitBits)
	}
}

// resized returns s with length n, reallocated only where its capacity is too small.
// Its content is undefined.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
