package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/codecs/patch"
)

// Sequence is the field "json" of samples that were packed into one sequence.
type Sequence struct {
	Key     string `json:"key"`
	Dataset string `json:"dataset"`
	Kind    string `json:"kind"` // "sequence"
	Recipe  string `json:"recipe"`

	// Name is the token output that was packed; the arrays of its members lie end to end
	// in NAME.patches.npy.
	Name   string `json:"packed"`
	Count  string `json:"count"`  // what a token is: "patches" or "language"
	Budget int    `json:"budget"` // tokens
	// Length is how many tokens there are, and MaxSeqlen the longest member's.
	Length    int   `json:"length"`
	MaxSeqlen int32 `json:"max_seqlen"`
	// Members are the samples in their order, as their own "json" was.
	Members []json.RawMessage `json:"members"`
}

// sequenceFields are the fields of packed samples.
func sequenceFields(p *Pack) []string {
	return []string{"json", p.Tokens + ".patches.npy", p.Tokens + ".grid.npy", p.Tokens + ".coords.npy", "cu_seqlens.npy", "cu_seqlens_padded.npy",
		"position_ids.npy", "segment_ids.npy", "vision_cu_seqlens.npy"}
}

// Settings are those of the packer.
func (p *Pack) Settings() packing.Settings {
	return packing.Settings{Capacity: p.Budget, Window: p.Window, Multiple: p.Multiple, Limit: p.MaxSamples, Mode: packing.Mode(p.Mode)}
}

// Length is how many tokens s takes of a sequence. A sample that fits none, has no such
// tokens, or says of its arrays what is not so, is refused with a [codecs.Error]. What
// stands in one sequence must be of one shape, which has no meaning beyond that.
func (p *Pack) Length(s *Sample) (n int, shape string, err error) {
	m, err := p.member(s)
	if err != nil {
		return 0, "", err
	}
	n = m.info.Count
	if p.Count == "language" {
		n = m.info.Language
	}
	if _, err := p.Settings().Normalise().Size(n); err != nil {
		return 0, "", err
	}
	return n, fmt.Sprintf("%s %d %d %t", m.patches.DType, m.patches.Shape[1], len(m.cells), m.coords.Shape != nil), nil
}

// Trim is what [Pack.Join] needs of a sample. Fields are shared with s.
func (p *Pack) Trim(s *Sample) *Sample {
	t := &Sample{Key: s.Key}
	for _, f := range s.Fields {
		switch f.Name {
		case "json", p.Tokens + ".patches.npy", p.Tokens + ".grid.npy", p.Tokens + ".coords.npy":
			t.Fields = append(t.Fields, f)
		}
	}
	return t
}

// member is a sample as a sequence takes it.
type member struct {
	info            TokenInfo
	patches, coords patch.Array // coords where the layout has them
	grid            patch.Array
	cells           []int // the grid's numbers
}

// member reads a sample and holds what it says against its arrays: it may come of a mill
// that hostile bytes have taken over, and would else fail when others are packed beside it.
func (p *Pack) member(s *Sample) (m member, err error) {
	var d struct {
		Tokens map[string]TokenInfo `json:"tokens"`
	}
	if err := json.Unmarshal(s.field("json"), &d); err != nil {
		return m, codecs.Errorf(codecs.CodeInvalid, codecs.StagePack, "the description of sample %s: %w", s.Key, err)
	}
	var ok bool
	if m.info, ok = d.Tokens[p.Tokens]; !ok {
		return m, codecs.Errorf(CodeMsgNotTaken, codecs.StagePack, "the recipe packs %q, which this sample does not have", p.Tokens)
	}
	if err := m.read(s, p.Tokens); err != nil {
		return m, codecs.Errorf(codecs.CodeInvalid, codecs.StagePack, "the arrays of sample %s: %w", s.Key, err)
	}
	return m, nil
}

func (m *member) read(s *Sample, name string) (err error) {
	if m.patches, err = patch.ParseNPY(s.field(name + ".patches.npy")); err != nil {
		return err
	}
	if m.grid, err = patch.ParseNPY(s.field(name + ".grid.npy")); err != nil {
		return err
	}
	if b := s.field(name + ".coords.npy"); b != nil {
		if m.coords, err = patch.ParseNPY(b); err != nil {
			return err
		}
		if c := m.coords; c.DType != "int64" || len(c.Shape) != 2 || c.Shape[0] < m.info.Count || c.Shape[1] != 2 {
			return fmt.Errorf("coords are %s %v for %d patches", c.DType, c.Shape, m.info.Count)
		}
	}
	if m.info.Count < 1 || len(m.patches.Shape) != 2 || m.patches.Shape[0] < m.info.Count || m.patches.Shape[1] < 1 {
		return fmt.Errorf("%d patches were promised, and there is an array of %v", m.info.Count, m.patches.Shape)
	}
	return m.readGrid()
}

// readGrid wants a grid of as many cells as there are patches.
func (m *member) readGrid() error {
	g := m.grid
	if g.DType != "int64" || len(g.Shape) != 1 || g.Shape[0] < 2 || g.Shape[0] > 3 {
		return fmt.Errorf("the grid is %s %v", g.DType, g.Shape)
	}
	left := m.info.Count
	for i := range g.Shape[0] {
		n := int(binary.LittleEndian.Uint64(g.Data[8*i:]))
		if n < 1 || left%n != 0 {
			return fmt.Errorf("its grid is not one of %d patches", m.info.Count)
		}
		m.cells, left = append(m.cells, n), left/n
	}
	if left != 1 {
		return fmt.Errorf("its grid %v is not one of %d patches", m.cells, m.info.Count)
	}
	return nil
}

func (s *Sample) field(name string) []byte {
	for _, f := range s.Fields {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// Join makes one sequence of samples, whose lengths are those of [Pack.Length]: their
// patches without padding end to end, and what tells them apart. The result owns its
// bytes.
//
// Rows of the patches that a multiple asks for are 0. With "language" tokens the
// patches have no gaps: cu_seqlens and the ids then count tokens of the language model,
// and vision_cu_seqlens tells the vision tower's segments apart.
func (p *Pack) Join(dataset, recipe string, samples []*Sample, lengths []int) (*Sample, error) {
	arrays, err := packing.NewArrays(lengths, max(p.Multiple, 1), 0)
	if err != nil {
		return nil, err
	}
	seq := Sequence{Dataset: dataset, Kind: "sequence", Recipe: recipe, Name: p.Tokens, Count: p.Count, Budget: p.Budget,
		Length: int(arrays.CuSeqlens[len(lengths)]), MaxSeqlen: arrays.MaxSeqlen}
	var patches, grids, coords joined
	var cells [][3]int
	sum := sha256.New()
	for i, s := range samples {
		m, err := p.member(s)
		if err != nil {
			return nil, err
		}
		gap := 0
		if p.Count == "patches" {
			gap = int(arrays.CuSeqlensPadded[i+1]-arrays.CuSeqlensPadded[i]) - lengths[i]
		}
		m.grid.Shape = []int{1, len(m.cells)}
		err = errors.Join(patches.add(m.patches, m.info.Count, gap), grids.add(m.grid, 1, 0))
		if m.coords.Shape != nil {
			err = errors.Join(err, coords.add(m.coords, m.info.Count, gap))
		}
		if err != nil {
			return nil, fmt.Errorf("packing sample %s: %w", s.Key, err)
		}
		cells = append(cells, groups(m.cells))
		seq.Members = append(seq.Members, s.field("json"))
		fmt.Fprintf(sum, "%d:%s", len(s.Key), s.Key)
	}
	seq.Key = hex.EncodeToString(sum.Sum(nil)[:12]) + "-seq"
	out := &Sample{Key: seq.Key}
	if out.Fields, err = p.fields(&seq, &patches, &grids, &coords, arrays); err != nil {
		return nil, err
	}
	if p.Count == "language" {
		segments, err := packing.VisionSegments(cells)
		if err != nil {
			return nil, err
		}
		out.Fields = append(out.Fields, int32Field("vision_cu_seqlens.npy", segments))
	}
	return out, nil
}

func (p *Pack) fields(seq *Sequence, patches, grids, coords *joined, a packing.Arrays) ([]Field, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(seq); err != nil {
		return nil, fmt.Errorf("writing the description of sequence %s: %w", seq.Key, err)
	}
	fields := []Field{
		{"json", bytes.TrimSuffix(b.Bytes(), []byte("\n"))},
		patches.field(p.Tokens + ".patches.npy"), grids.field(p.Tokens + ".grid.npy"),
		int32Field("cu_seqlens.npy", a.CuSeqlens),
	}
	if coords.Shape != nil {
		fields = append(fields, coords.field(p.Tokens+".coords.npy"))
	}
	if p.Multiple > 1 {
		fields = append(fields, int32Field("cu_seqlens_padded.npy", a.CuSeqlensPadded))
	}
	return append(fields, int32Field("position_ids.npy", a.PositionIDs), int32Field("segment_ids.npy", a.SegmentIDs)), nil
}

// joined is an array that grows by rows of other arrays.
type joined struct{ patch.Array }

// add appends the first rows of an array, then gap rows of zeros.
func (j *joined) add(a patch.Array, rows, gap int) error {
	if j.Shape == nil {
		j.Array = patch.Array{DType: a.DType, Shape: []int{0, a.Shape[1]}}
	}
	if j.DType != a.DType || j.Shape[1] != a.Shape[1] {
		return fmt.Errorf("its array is %s of width %d; those before it are %s of width %d", a.DType, a.Shape[1], j.DType, j.Shape[1])
	}
	row := len(a.Data) / a.Shape[0]
	j.Data = append(j.Data, a.Data[:rows*row]...)
	j.Data = append(j.Data, make([]byte, gap*row)...)
	j.Shape[0] += rows + gap
	return nil
}

func (j *joined) field(name string) Field { return Field{name, patch.AppendNPY(nil, j.Array)} }

// groups is a grid as (time groups, rows, columns); a still is one group.
func groups(cells []int) [3]int {
	g := [3]int{1, 1, 1}
	copy(g[3-len(cells):], cells)
	return g
}

func int32Field(name string, v []int32) Field {
	a := patch.Array{DType: "int32", Shape: []int{len(v)}, Data: make([]byte, 0, 4*len(v))}
	for _, n := range v {
		a.Data = binary.LittleEndian.AppendUint32(a.Data, uint32(n))
	}
	return Field{name, patch.AppendNPY(nil, a)}
}
