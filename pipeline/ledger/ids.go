package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// IDs remembers the ids of jobs that are committed, so that a repeat is known as one. It
// keeps 128 bits of an id's SHA-256 and the offset: 30 to 38 bytes an id, whatever their
// lengths, and so at most 43 for each id of the limit, since up to an eighth more are
// kept. (Of 10 million ids two share 128 bits with a chance of 1 in 10^25.) Not for
// several goroutines.
type IDs struct {
	limit int // 0 for none
	ages  []*table
}

// ages is how many tables the limit is spread over. What falls out of the window is
// dropped a table at a time.
const ages = 8

type idHash [2]uint64

// NewIDs makes an empty set that remembers at least the last limit ids, and at most an
// eighth more; 0 means all.
func NewIDs(limit int) *IDs {
	return &IDs{limit: limit, ages: []*table{{}}}
}

// hashID digests a dataset and an id. Their lengths keep them apart.
func hashID(dataset, id string) idHash {
	var buf [192]byte
	b := append(strconv.AppendInt(buf[:0], int64(len(dataset)), 10), ':')
	b = append(append(b, dataset...), id...)
	sum := sha256.Sum256(b)
	return idHash{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

// each is how many ids one table takes.
func (s *IDs) each() int { return (s.limit + ages - 1) / ages }

func (s *IDs) full(t *table) bool { return s.limit > 0 && t.len() >= s.each() }

// Add notes that the job of an id, in a dataset, ended at an offset, as samples or in
// quarantine.
func (s *IDs) Add(dataset, id string, offset int64, status Status) {
	if s.full(s.ages[0]) {
		kept := 0
		for i, t := range s.ages {
			if kept >= s.limit {
				s.ages = s.ages[:i]
				break
			}
			kept += t.len()
		}
		s.ages = append([]*table{{}}, s.ages...)
	}
	s.ages[0].put(hashID(dataset, id), mark(offset, status))
}

// addOlder notes the jobs of a record that comes before all that is known: an id that
// ended twice keeps its later end.
func (s *IDs) addOlder(outcomes []Outcome) {
	for i := len(outcomes) - 1; i >= 0; i-- {
		o := outcomes[i]
		if o.ID == "" || o.Status != OK && o.Status != Quarantined {
			continue
		}
		h := hashID(o.Dataset, o.ID)
		if _, known := s.find(h); known {
			continue
		}
		if s.full(s.ages[len(s.ages)-1]) {
			s.ages = append(s.ages, &table{})
		}
		s.ages[len(s.ages)-1].put(h, mark(o.Offset, o.Status))
	}
}

func (s *IDs) find(h idHash) (int64, bool) {
	for _, t := range s.ages {
		if m, found := t.get(h); found {
			return m, true
		}
	}
	return 0, false
}

// Find gives the offset at which a job of that id ended, and how.
func (s *IDs) Find(dataset, id string) (offset int64, status Status, found bool) {
	m, found := s.find(hashID(dataset, id))
	if !found {
		return 0, "", false
	}
	if m&1 != 0 {
		return m >> 1, Quarantined, true
	}
	return m >> 1, OK, true
}

// Len is how many ids are remembered; one that ended again counts again.
func (s *IDs) Len() int {
	n := 0
	for _, t := range s.ages {
		n += t.len()
	}
	return n
}

// Bytes is the memory that they take.
func (s *IDs) Bytes() int64 {
	n := int64(0)
	for _, t := range s.ages {
		n += t.bytes()
	}
	return n
}

// mark is an offset and whether the job was quarantined.
func mark(offset int64, status Status) int64 {
	m := offset << 1
	if status == Quarantined {
		m |= 1
	}
	return m
}
