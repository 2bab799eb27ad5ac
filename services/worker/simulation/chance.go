package simulation

import "time"

// seed is what a whole run follows from.
type seed uint64

// dice are numbers that follow from where they are thrown.
type dice uint64

// at gives the dice of an event: who does what to which object, when or for the n-th time.
func (s seed) at(who, what, object string, n int) *dice {
	const prime = 0x100000001b3
	h := uint64(0xcbf29ce484222325) ^ uint64(s)*0x9e3779b97f4a7c15
	for _, part := range [...]string{who, what, object} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * prime
		}
		h = (h ^ 0xff) * prime
	}
	d := dice((h ^ uint64(n)) * prime)
	d.next()
	return &d
}

// next is the splitmix64 generator.
func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// hit is true with a probability.
func (d *dice) hit(p float64) bool { return float64(d.next()>>11)/(1<<53) < p }

// below gives a number from 0 to n-1.
func (d *dice) below(n int) int { return int(d.next() % uint64(n)) }

// between gives a number from a to b.
func (d *dice) between(a, b int) int { return a + d.below(b-a+1) }

// lasting gives a duration from a to b, to the nanosecond.
func (d *dice) lasting(a, b time.Duration) time.Duration {
	return a + time.Duration(d.next()%uint64(b-a+1))
}
