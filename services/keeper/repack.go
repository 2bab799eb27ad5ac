package keeper

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// repacker takes members out of sequences.
type repacker struct {
	pack    *pipeline.Pack // nil where the recipe is not to be had
	dataset string
	recipe  string // digest
	gone    func(*sampleInfo) bool
	lost    int64 // members that went with others, since their sequence could not be packed again
	members int64 // members that were taken out
}

// filter gives a sequence without its unwanted members, packed again of those that are
// left; nil if none is.
func (r *repacker) filter(s *pipeline.Sample) (*pipeline.Sample, error) {
	var seq pipeline.Sequence
	if err := json.Unmarshal(fieldOf(s, "json"), &seq); err != nil {
		return nil, fmt.Errorf("the description of sequence %s: %w", s.Key, err)
	}
	stay := make([]bool, len(seq.Members))
	left := 0
	for i, raw := range seq.Members {
		info, err := parseInfo(raw)
		if err != nil {
			return nil, fmt.Errorf("the description of sequence %s, member %d: %w", s.Key, i, err)
		}
		if stay[i] = !r.gone(info); stay[i] {
			left++
		}
	}
	switch {
	case left == len(stay):
		return s, nil
	case left == 0:
		r.members += int64(len(stay))
		return nil, nil
	case r.pack == nil:
		r.members += int64(len(stay) - left)
		r.lost += int64(left)
		return nil, nil
	}
	samples, lengths, err := split(s, &seq, stay)
	if err != nil {
		return nil, fmt.Errorf("taking sequence %s apart: %w", s.Key, err)
	}
	r.members += int64(len(stay) - left)
	return r.pack.Join(r.dataset, r.recipe, samples, lengths)
}

// split gives back the members of a sequence that are to stay, as they were before
// [pipeline.Pack.Join], and their lengths.
func split(s *pipeline.Sample, seq *pipeline.Sequence, stay []bool) (samples []*pipeline.Sample, lengths []int, err error) {
	c, err := newCutter(s, seq)
	if err != nil {
		return nil, nil, err
	}
	for i, raw := range seq.Members {
		m, err := c.member(i, raw)
		if err != nil {
			return nil, nil, fmt.Errorf("member %d: %w", i, err)
		}
		if stay[i] {
			samples, lengths = append(samples, m), append(lengths, int(c.lengths[i+1]-c.lengths[i]))
		}
	}
	return samples, lengths, nil
}

// cutter walks over the arrays of a sequence.
type cutter struct {
	seq                   *pipeline.Sequence
	patches, grid, coords patch.Array
	lengths, padded       []int32 // borders of members, in tokens, without and with gaps
	row                   int     // of patches, so far
}

func newCutter(s *pipeline.Sample, seq *pipeline.Sequence) (c *cutter, err error) {
	c = &cutter{seq: seq}
	n := len(seq.Members)
	if c.patches, err = array(s, seq.Name+".patches.npy", "", 2); err != nil {
		return nil, err
	}
	if c.grid, err = array(s, seq.Name+".grid.npy", "int64", 2); err != nil {
		return nil, err
	}
	if c.grid.Shape[0] != n {
		return nil, fmt.Errorf("it has %d members, and a grid of %v", n, c.grid.Shape)
	}
	if fieldOf(s, seq.Name+".coords.npy") != nil {
		if c.coords, err = array(s, seq.Name+".coords.npy", "int64", 2); err != nil {
			return nil, err
		}
	}
	if c.lengths, err = borders(s, "cu_seqlens.npy", n); err != nil {
		return nil, err
	}
	c.padded = c.lengths
	if fieldOf(s, "cu_seqlens_padded.npy") != nil {
		c.padded, err = borders(s, "cu_seqlens_padded.npy", n)
	}
	return c, err
}

// member cuts out the next one.
func (c *cutter) member(i int, raw json.RawMessage) (*pipeline.Sample, error) {
	var d struct {
		Key    string                        `json:"key"`
		Tokens map[string]pipeline.TokenInfo `json:"tokens"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	count := d.Tokens[c.seq.Name].Count
	step := count
	if c.seq.Count == "patches" { // tokens of a language model leave no gaps between patches
		step = int(c.padded[i+1] - c.padded[i])
	}
	if count < 1 || step < count {
		return nil, fmt.Errorf("it has %d patches, and %d rows", count, step)
	}
	m := &pipeline.Sample{Key: d.Key, Fields: []pipeline.Field{{Name: "json", Data: raw}}}
	add := func(name string, a patch.Array, at, n int) error {
		part, err := rows(a, at, n)
		if err == nil {
			m.Fields = append(m.Fields, pipeline.Field{Name: c.seq.Name + name, Data: patch.AppendNPY(nil, part)})
		}
		return err
	}
	if err := add(".patches.npy", c.patches, c.row, count); err != nil {
		return nil, err
	}
	if c.coords.Shape != nil {
		if err := add(".coords.npy", c.coords, c.row, count); err != nil {
			return nil, err
		}
	}
	cells, err := rows(c.grid, i, 1)
	if err != nil {
		return nil, err
	}
	cells.Shape = cells.Shape[1:]
	m.Fields = append(m.Fields, pipeline.Field{Name: c.seq.Name + ".grid.npy", Data: patch.AppendNPY(nil, cells)})
	c.row += step
	return m, nil
}

// rows are n rows of an array from row at on.
func rows(a patch.Array, at, n int) (patch.Array, error) {
	if n < 0 || at < 0 || n > a.Shape[0]-at {
		return a, fmt.Errorf("rows %d to %d are not in an array of %v", at, at+n, a.Shape)
	}
	width := len(a.Data) / a.Shape[0]
	return patch.Array{DType: a.DType, Shape: []int{n, a.Shape[1]}, Data: a.Data[at*width : (at+n)*width]}, nil
}

func array(s *pipeline.Sample, name, dtype string, dims int) (patch.Array, error) {
	a, err := patch.ParseNPY(fieldOf(s, name))
	if err != nil {
		return a, fmt.Errorf("%s: %w", name, err)
	}
	if dtype != "" && a.DType != dtype || len(a.Shape) != dims || a.Shape[0] < 1 {
		return a, fmt.Errorf("%s is %s %v", name, a.DType, a.Shape)
	}
	return a, nil
}

// borders reads n+1 numbers that never fall.
func borders(s *pipeline.Sample, name string, n int) ([]int32, error) {
	a, err := array(s, name, "int32", 1)
	if err != nil {
		return nil, err
	}
	if a.Shape[0] != n+1 {
		return nil, fmt.Errorf("%s has %d numbers for %d members", name, a.Shape[0], n)
	}
	b := make([]int32, n+1)
	for i := range b {
		b[i] = int32(binary.LittleEndian.Uint32(a.Data[4*i:]))
		if i > 0 && b[i] < b[i-1] || b[0] != 0 {
			return nil, fmt.Errorf("%s is not a row of borders", name)
		}
	}
	return b, nil
}
