package packing

import (
	"cmp"
	"slices"
)

// Pack is one sequence: samples end to end, in the order in which they came.
type Pack[T any] struct {
	Items   []T
	Lengths []int // tokens of each, not rounded
}

// Packer collects samples into windows and packs them. What a sample is to the caller,
// its item, goes through unchanged. Not safe for concurrent use.
type Packer[T any] struct {
	settings Settings
	items    []T
	lengths  []int
	sizes    []int
	fill     Fill
}

// NewPacker returns a Packer with an empty window.
func NewPacker[T any](s Settings) (*Packer[T], error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &Packer[T]{settings: s.Normalise()}, nil
}

// Add takes a sample of that many tokens into the window. Where that fills the window,
// its packs are returned, ordered by their first sample; they are the caller's. A sample
// that fits no pack is refused with a [codecs.Error], and the window stays as it was.
func (p *Packer[T]) Add(item T, length int) ([]Pack[T], error) {
	size, err := p.settings.Size(length)
	if err != nil {
		return nil, err
	}
	p.items, p.lengths, p.sizes = append(p.items, item), append(p.lengths, length), append(p.sizes, size)
	if len(p.items) == p.settings.Window {
		return p.Flush(), nil
	}
	return nil, nil
}

// Flush packs the window as far as it is filled, as at the end of the input, and leaves
// it empty. It returns nil for an empty window.
func (p *Packer[T]) Flush() []Pack[T] {
	var packs []Pack[T]
	for _, members := range p.settings.place(p.sizes) {
		pack := Pack[T]{Items: make([]T, len(members)), Lengths: make([]int, len(members))}
		for k, i := range members {
			pack.Items[k], pack.Lengths[k] = p.items[i], p.lengths[i]
			p.fill.Tokens += int64(p.lengths[i])
		}
		packs = append(packs, pack)
		p.fill.Samples += int64(len(members))
	}
	p.fill.Packs += int64(len(packs))
	p.fill.Slots += int64(len(packs)) * int64(p.settings.Capacity)
	clear(p.items) // the window must not keep what has left it
	p.items, p.lengths, p.sizes = p.items[:0], p.lengths[:0], p.sizes[:0]
	return packs
}

// Waiting is the number of samples in the window.
func (p *Packer[T]) Waiting() int { return len(p.items) }

// Fill counts what was packed so far, the window not included.
func (p *Packer[T]) Fill() Fill { return p.fill }

// Fill says how full packs are. Fills of several packers may be added, field by field.
type Fill struct {
	Packs   int64 `json:"packs"`
	Samples int64 `json:"samples"`
	Tokens  int64 `json:"tokens"` // real ones, not rounded
	Slots   int64 `json:"slots"`  // packs times capacity
}

// Plus is both together.
func (f Fill) Plus(o Fill) Fill {
	return Fill{f.Packs + o.Packs, f.Samples + o.Samples, f.Tokens + o.Tokens, f.Slots + o.Slots}
}

// Rate is the share of the slots that hold a token, 0 to 1; 0 without packs.
func (f Fill) Rate() float64 { return float64(f.Tokens) / float64(max(f.Slots, 1)) }

// place says which samples, by their place in sizes, make up each pack. Each sample goes
// into the first pack, in order of opening, that has room for it.
func (s Settings) place(sizes []int) [][]int {
	order := make([]int, len(sizes))
	for i := range order {
		order[i] = i
	}
	if s.Mode == Decreasing {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	}
	var packs [][]int
	left := newRooms(len(sizes), s.Capacity)
	for _, i := range order {
		at := left.first(sizes[i])
		if at == len(packs) {
			packs = append(packs, nil)
		}
		packs[at] = append(packs[at], i)
		if left.take(at, sizes[i]); len(packs[at]) == s.Limit {
			left.shut(at)
		}
	}
	for _, members := range packs {
		slices.Sort(members)
	}
	slices.SortFunc(packs, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return packs
}
