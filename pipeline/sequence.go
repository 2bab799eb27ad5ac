package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
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

// Length is how many tokens s takes of a sequence. A sample that fits none, or has no
// such tokens, is refused with a [codecs.Error].
func (p *Pack) Length(s *Sample) (int, error) {
	info, err := p.tokens(s)
	if err != nil {
		return 0, err
	}
	n := info.Count
	if p.Count == "language" {
		n = info.Language
	}
	if _, err := p.Settings().Normalise().Size(n); err != nil {
		return 0, err
	}
	return n, nil
}

func (p *Pack) tokens(s *Sample) (TokenInfo, error) {
	var d struct {
		Tokens map[string]TokenInfo `json:"tokens"`
	}
	if err := json.Unmarshal(s.field("json"), &d); err != nil {
		return TokenInfo{}, fmt.Errorf("the description of sample %s: %w", s.Key, err)
	}
	info, ok := d.Tokens[p.Tokens]
	if !ok {
		return TokenInfo{}, codecs.Errorf(CodeMsgNotTaken, codecs.StagePack, "the recipe packs %q, which this sample does not have", p.Tokens)
	}
	return info, nil
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
		info, err := p.tokens(s)
		if err != nil {
			return nil, err
		}
		gap := 0
		if p.Count == "patches" {
			gap = int(arrays.CuSeqlensPadded[i+1]-arrays.CuSeqlensPadded[i]) - lengths[i]
		}
		grid, err := patch.ParseNPY(s.field(p.Tokens + ".grid.npy"))
		if err == nil {
			err = patches.add(s.field(p.Tokens+".patches.npy"), info.Count, gap)
		}
		if c := s.field(p.Tokens + ".coords.npy"); err == nil && c != nil {
			err = coords.add(c, info.Count, gap)
		}
		if err != nil {
			return nil, fmt.Errorf("packing sample %s: %w", s.Key, err)
		}
		grids.addRow(grid)
		cells = append(cells, cellsOf(grid))
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

// add appends the first rows of an .npy array, then gap rows of zeros.
func (j *joined) add(npy []byte, rows, gap int) error {
	a, err := patch.ParseNPY(npy)
	if err != nil {
		return err
	}
	if len(a.Shape) != 2 || rows > a.Shape[0] || a.Shape[0] == 0 {
		return fmt.Errorf("%d rows were wanted of an array of shape %v", rows, a.Shape)
	}
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

// addRow appends a whole array of one dimension as a row.
func (j *joined) addRow(a patch.Array) {
	if j.Shape == nil {
		j.Array = patch.Array{DType: a.DType, Shape: []int{0, a.Shape[0]}}
	}
	j.Data = append(j.Data, a.Data...)
	j.Shape[0]++
}

func (j *joined) field(name string) Field { return Field{name, patch.AppendNPY(nil, j.Array)} }

// cellsOf is a grid as (time groups, rows, columns).
func cellsOf(grid patch.Array) [3]int {
	c := [3]int{1, 1, 1}
	n := min(len(grid.Data)/8, 3)
	for i := range n {
		c[3-n+i] = int(binary.LittleEndian.Uint64(grid.Data[8*i:]))
	}
	return c
}

func int32Field(name string, v []int32) Field {
	a := patch.Array{DType: "int32", Shape: []int{len(v)}, Data: make([]byte, 0, 4*len(v))}
	for _, n := range v {
		a.Data = binary.LittleEndian.AppendUint32(a.Data, uint32(n))
	}
	return Field{name, patch.AppendNPY(nil, a)}
}
