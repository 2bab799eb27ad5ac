package ledger

import "math/bits"

// table maps digests of 128 bits to numbers below 1<<63, in 24 bytes a slot without
// pointers: what a large dataset is remembered by. Slots are found by linear probing in
// one of 64 segments, each of which grows by a quarter when four fifths of it are taken.
// So an entry takes 30 to 38 bytes, and growing needs no second copy of the whole. The
// zero value is empty.
type table struct {
	segments [64]segment
	n        int
}

type segment struct {
	slots []slot
	n     int
}

// slot is empty where mark is 0; else mark is the number and one.
type slot struct {
	hash idHash
	mark uint64
}

const slotBytes = 24

// at finds the slot of a digest, or the empty one where it would go. There must be one.
func (s *segment) at(h idHash) *slot {
	i, _ := bits.Mul64(h[1], uint64(len(s.slots)))
	for {
		p := &s.slots[i]
		if p.mark == 0 || p.hash == h {
			return p
		}
		if i++; i == uint64(len(s.slots)) {
			i = 0
		}
	}
}

func (s *segment) grow() {
	old := s.slots
	s.slots = make([]slot, max(8, len(old)+len(old)/4))
	for i := range old {
		if old[i].mark != 0 {
			*s.at(old[i].hash) = old[i]
		}
	}
}

// get gives the number of a digest.
func (t *table) get(h idHash) (int64, bool) {
	s := &t.segments[h[0]%uint64(len(t.segments))]
	if s.n == 0 {
		return 0, false
	}
	p := s.at(h)
	return int64(p.mark) - 1, p.mark != 0
}

// put sets the number of a digest, which is not below 0.
func (t *table) put(h idHash, v int64) {
	s := &t.segments[h[0]%uint64(len(t.segments))]
	if 5*(s.n+1) > 4*len(s.slots) {
		s.grow()
	}
	p := s.at(h)
	if p.mark == 0 {
		s.n++
		t.n++
	}
	*p = slot{h, uint64(v) + 1}
}

// len is how many digests there are.
func (t *table) len() int { return t.n }

// bytes is what the slots take.
func (t *table) bytes() int64 {
	n := int64(0)
	for i := range t.segments {
		n += int64(len(t.segments[i].slots)) * slotBytes
	}
	return n
}
