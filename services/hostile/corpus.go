package hostile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
)

// File is a malformed medium.
type File struct {
	N      uint64
	Seed   string // name of the medium that it was made from
	Format string // that medium's
	Kinds  []string
	Data   []byte
}

// Corpus makes malformed media from valid ones. Each follows from the corpus's seed and
// its own number alone, so one that is worth a look is made again by its number.
type Corpus struct {
	seed  uint64
	media []Seed
	parts [][]part
}

// NewCorpus makes a corpus of media. They are the caller's and are not changed.
func NewCorpus(seed uint64, media []Seed) (*Corpus, error) {
	if len(media) == 0 {
		return nil, errors.New("a corpus needs media to start from")
	}
	c := &Corpus{seed: seed, media: media}
	for _, m := range media {
		c.parts = append(c.parts, partsOf(m.Data))
	}
	return c, nil
}

// damage is one way to spoil a medium.
type damage struct {
	kind string
	do   func(*spoiler)
}

var damages = []damage{
	{"flip bits", (*spoiler).flip}, {"overwrite", (*spoiler).overwrite}, {"cut at an edge", (*spoiler).cutAtEdge}, {"cut anywhere", (*spoiler).cut},
	{"size field", (*spoiler).resize}, {"number", (*spoiler).number}, {"splice", (*spoiler).splice}, {"repeat a part", (*spoiler).repeat},
	{"drop a part", (*spoiler).drop}, {"swap parts", (*spoiler).swap}, {"empty a part", (*spoiler).zero}, {"insert", (*spoiler).insert},
}

// File makes the n-th medium. Its seed and its first damage go round, so that any run of
// numbers has all formats and all kinds; mostly one damage is done, sometimes up to three.
func (c *Corpus) File(n uint64) File {
	i := int(n % uint64(len(c.media)))
	s := &spoiler{Rand: rand.New(rand.NewPCG(c.seed, n)), corpus: c, data: bytes.Clone(c.media[i].Data), parts: c.parts[i]}
	f := File{N: n, Seed: c.media[i].Name, Format: c.media[i].Format}
	d := damages[(n/uint64(len(c.media))+n)%uint64(len(damages))]
	for {
		d.do(s)
		f.Kinds = append(f.Kinds, d.kind)
		if len(f.Kinds) == 3 || s.IntN(4) > 0 {
			break
		}
		s.parts = partsOf(s.data)
		d = damages[s.IntN(len(damages))]
	}
	f.Data = s.data
	if len(f.Data) == 0 {
		f.Data = []byte{0} // a file of nothing is no decoder's affair
	}
	return f
}

// spoiler damages one medium.
type spoiler struct {
	*rand.Rand
	corpus *Corpus
	data   []byte
	parts  []part
}

// part picks one; those of a valid medium are never none.
func (s *spoiler) part() part {
	if len(s.parts) == 0 {
		return part{end: len(s.data)}
	}
	return s.parts[s.IntN(len(s.parts))]
}

// place picks a byte, half of the time one of the first of a part, where the fields are.
func (s *spoiler) place() int {
	if len(s.data) == 0 {
		return 0
	}
	if p := s.part(); s.IntN(2) == 0 && p.at < len(s.data) {
		return min(p.at+s.IntN(64), len(s.data)-1)
	}
	return s.IntN(len(s.data))
}

func (s *spoiler) flip() {
	for range 1 + s.IntN(16) {
		if len(s.data) > 0 {
			s.data[s.place()] ^= 1 << s.IntN(8)
		}
	}
}

func (s *spoiler) overwrite() {
	at := s.place()
	fill := byte(s.IntN(256))
	same := s.IntN(2) == 0
	for i := at; i < min(at+1+s.IntN(64), len(s.data)); i++ {
		if s.data[i] = fill; !same {
			s.data[i] = byte(s.IntN(256))
		}
	}
}

func (s *spoiler) cutAtEdge() {
	p := s.part()
	edge := []int{p.at, p.end, p.at + 4, p.at + 8, p.end - 1}[s.IntN(5)]
	s.data = s.data[:min(max(edge, 0), len(s.data))]
}

func (s *spoiler) cut() { s.data = s.data[:s.IntN(len(s.data)+1)] }

// sizes are lengths that arithmetic trips over, beside those near the true one.
var sizes = []uint64{0, 1, 2, 7, 8, 15, 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 62, 1<<63 - 1, 1 << 63, 1<<64 - 1}

// resize writes another length into a part's size field.
func (s *spoiler) resize() {
	for range 8 { // parts without a size field are few
		p := s.part()
		if p.bytes == 0 || p.size+p.bytes > len(s.data) {
			continue
		}
		field := s.data[p.size : p.size+p.bytes]
		v := numberIn(field, p.little)
		if s.IntN(3) == 0 {
			v += []uint64{1, ^uint64(0), 8, ^uint64(7), v, -v / 2}[s.IntN(6)]
		} else {
			v = sizes[s.IntN(len(sizes))]
		}
		if p.vint {
			v = v&(1<<(7*p.bytes)-1) | 1<<(7*p.bytes)
		}
		putNumber(field, v, p.little)
		if !p.vint && p.bytes == 4 && !p.little && s.IntN(4) == 0 { // a box of 64-bit length
			putNumber(field, 1, false)
			long := binary.BigEndian.AppendUint64(nil, sizes[s.IntN(len(sizes))])
			s.data = slices.Insert(s.data, min(p.at+8, len(s.data)), long...)
		}
		return
	}
}

// number writes an extreme value anywhere, as counts, offsets and times have it.
func (s *spoiler) number() {
	at := s.place()
	n := min([]int{1, 2, 4, 8}[s.IntN(4)], len(s.data)-at)
	if n > 0 {
		putNumber(s.data[at:at+n], sizes[s.IntN(len(sizes))], s.IntN(2) == 0)
	}
}

// splice goes on with another medium: at an edge of it, or whole.
func (s *spoiler) splice() {
	i := s.IntN(len(s.corpus.media))
	other, parts := s.corpus.media[i].Data, s.corpus.parts[i]
	p, q := s.part(), parts[s.IntN(len(parts))]
	at := min(p.at, len(s.data))
	switch s.IntN(3) {
	case 0:
		s.data = append(s.data[:at], other[q.at:]...)
	case 1:
		s.data = slices.Insert(s.data, at, other[q.at:q.end]...)
	default:
		s.data = append(s.data, other...)
	}
}

func (s *spoiler) repeat() {
	p := s.part()
	piece := bytes.Clone(s.data[min(p.at, len(s.data)):min(p.end, len(s.data))])
	times := []int{1, 2, 5, 50}[s.IntN(4)]
	if len(piece)*times > 256<<10 {
		times = 1
	}
	s.data = slices.Insert(s.data, min(p.end, len(s.data)), bytes.Repeat(piece, times)...)
}

func (s *spoiler) drop() {
	p := s.part()
	s.data = slices.Delete(s.data, min(p.at, len(s.data)), min(p.end, len(s.data)))
}

func (s *spoiler) swap() {
	p, q := s.part(), s.part()
	if p.at > q.at {
		p, q = q, p
	}
	if p.end > q.at || q.end > len(s.data) {
		s.drop()
		return
	}
	s.data = slices.Concat(s.data[:p.at], s.data[q.at:q.end], s.data[p.end:q.at], s.data[p.at:p.end], s.data[q.end:])
}

func (s *spoiler) zero() {
	p := s.part()
	clear(s.data[min(p.at+8, p.end, len(s.data)):min(p.end, len(s.data))])
}

func (s *spoiler) insert() {
	b := make([]byte, 1+s.IntN(64))
	for i := range b {
		b[i] = byte(s.IntN(256))
	}
	s.data = slices.Insert(s.data, min(s.place(), len(s.data)), b...)
}

func numberIn(b []byte, little bool) (v uint64) {
	for i := range b {
		if little {
			v = v<<8 | uint64(b[len(b)-1-i])
		} else {
			v = v<<8 | uint64(b[i])
		}
	}
	return v
}

func putNumber(b []byte, v uint64, little bool) {
	for i := range b {
		if little {
			b[i] = byte(v)
		} else {
			b[len(b)-1-i] = byte(v)
		}
		v >>= 8
	}
}
