package packing

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"
)

// goldenCases is how many cases the file has; a case that goes missing must show.
const goldenCases = 20

type goldenPacks struct {
	Packs           int
	Refused         []int
	Tokens, Slots   int64
	SHA256          string    `json:"packs_sha256"`
	Members         [][]int   // small cases only, as all below
	CuSeqlens       [][]int32 `json:"cu_seqlens"`
	CuSeqlensPadded [][]int32 `json:"cu_seqlens_padded"`
	MaxSeqlen       []int32   `json:"max_seqlen"`
	SegmentIDs      [][]int32 `json:"segment_ids"`
	PositionIDs     [][]int32 `json:"position_ids"`
	CuSHA256        string    `json:"cu_seqlens_sha256"`
	SegmentSHA256   string    `json:"segment_ids_sha256"`
	PositionSHA256  string    `json:"position_ids_sha256"`
}

type goldenCase struct {
	Name                              string
	Capacity, Window, Multiple, Limit int
	Samples                           int
	Lengths                           []int
	LengthsSHA256                     string      `json:"lengths_sha256"`
	FirstFit                          goldenPacks `json:"first_fit"`
	Decreasing                        goldenPacks `json:"first_fit_decreasing"`
}

type goldenData struct {
	Cases  []goldenCase
	Vision []struct {
		Grids     [][3]int `json:"grid_thw"`
		CuSeqlens []int32  `json:"cu_seqlens"`
	} `json:"vision_segments"`
}

func readGolden(t *testing.T) (g goldenData) {
	t.Helper()
	b, err := os.ReadFile("../../testdata/golden/pack-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// generated returns the lengths that the file has as a hash only.
func generated(n int) []int {
	lengths, seed := make([]int, n), uint32(7)
	if n == 2000 {
		seed = 11
	}
	for i := range lengths {
		seed = (seed*1103515245 + 12345) & 0x7FFFFFFF
		switch v, kind := int(seed>>8), seed>>3&31%10; {
		case n == 2000: // evenly from 20 to 600
			lengths[i] = 20 + v%581
		case kind < 9: // a long tail: many short, few long
			lengths[i] = 16 + v%(16<<kind)
		default:
			lengths[i] = 16 + v%8176
		}
	}
	return lengths
}

func hash(v []int32) string {
	b := make([]byte, 0, 4*len(v))
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func int32s(v []int) []int32 {
	out := make([]int32, len(v))
	for i, n := range v {
		out[i] = int32(n)
	}
	return out
}

// pack runs lengths through a Packer, each sample's item its place in the input.
func pack(t fataler, s Settings, lengths []int) (packs []Pack[int], refused []int, fill Fill) {
	p, err := NewPacker[int](s)
	if err != nil {
		t.Fatal(err)
	}
	refused = []int{}
	for i, n := range lengths {
		done, err := p.Add(i, n)
		if err != nil {
			refused = append(refused, i)
		}
		packs = append(packs, done...)
	}
	packs = append(packs, p.Flush()...)
	return packs, refused, p.Fill()
}

type fataler interface{ Fatal(...any) }

// TestGoldenPacking compares packs and their arrays with those of a Python form of the
// rule, whose arrays were themselves held to transformers' flattening collator.
func TestGoldenPacking(t *testing.T) {
	g := readGolden(t)
	if len(g.Cases) != goldenCases || len(g.Vision) != 3 {
		t.Fatalf("%d cases and %d of vision segments; there were %d and 3", len(g.Cases), len(g.Vision), goldenCases)
	}
	table := "packs: case, mode, difference, packs, fill rate"
	for _, k := range g.Cases {
		if k.Lengths == nil {
			k.Lengths = generated(k.Samples)
		}
		if hash(int32s(k.Lengths)) != k.LengthsSHA256 {
			t.Fatalf("%s: the lengths are not the golden ones", k.Name)
		}
		for _, mode := range Modes() {
			want := k.FirstFit
			if mode == Decreasing {
				want = k.Decreasing
			}
			s := Settings{Capacity: k.Capacity, Window: k.Window, Multiple: k.Multiple, Limit: k.Limit, Mode: mode}
			fill, err := k.check(t, s, want)
			verdict := "equal"
			if err != nil {
				verdict = "DIFFERS"
				t.Errorf("%s, %s: %v", k.Name, mode, err)
			}
			table += fmt.Sprintf("\n%-52s %-21s %-8s %5d %6.2f %%", k.Name, mode, verdict, fill.Packs, 100*fill.Rate())
		}
	}
	t.Log(table)
	for _, v := range g.Vision {
		if got, err := VisionSegments(v.Grids); err != nil || !slices.Equal(got, v.CuSeqlens) {
			t.Errorf("vision segments of %v: %v (%v), want %v", v.Grids, got, err, v.CuSeqlens)
		}
	}
}

func (k goldenCase) check(t *testing.T, s Settings, want goldenPacks) (Fill, error) {
	packs, refused, fill := pack(t, s, k.Lengths)
	var flat []int32
	var members [][]int
	for _, p := range packs {
		flat = append(flat, int32(len(p.Items)))
		flat = append(flat, int32s(p.Items)...)
		members = append(members, p.Items)
	}
	switch {
	case len(packs) != want.Packs || fill.Packs != int64(want.Packs):
		return fill, fmt.Errorf("%d packs, want %d", len(packs), want.Packs)
	case !slices.Equal(refused, want.Refused):
		return fill, fmt.Errorf("refused %v, want %v", refused, want.Refused)
	case fill.Tokens != want.Tokens || fill.Slots != want.Slots || fill.Samples != int64(k.Samples-len(refused)):
		return fill, fmt.Errorf("fill %+v, want %d tokens of %d", fill, want.Tokens, want.Slots)
	case len(want.Members) > 0 && !reflect.DeepEqual(members, want.Members):
		return fill, fmt.Errorf("packs %v, want %v", members, want.Members)
	case hash(flat) != want.SHA256:
		return fill, fmt.Errorf("the packs' hash differs")
	case s.Mode == Decreasing && len(packs) > 0:
		return fill, k.checkArrays(packs, want)
	}
	return fill, nil
}

func (k goldenCase) checkArrays(packs []Pack[int], want goldenPacks) error {
	var cu, padded, segments, positions [][]int32
	var longest []int32
	for _, p := range packs {
		a, err := NewArrays(p.Lengths, k.Multiple, k.Capacity)
		if err != nil {
			return err
		}
		cu, padded, longest = append(cu, a.CuSeqlens), append(padded, a.CuSeqlensPadded), append(longest, a.MaxSeqlen)
		segments, positions = append(segments, a.SegmentIDs), append(positions, a.PositionIDs)
	}
	if want.MaxSeqlen != nil && !slices.Equal(longest, want.MaxSeqlen) {
		return fmt.Errorf("max_seqlen %v, want %v", longest, want.MaxSeqlen)
	}
	for _, v := range []struct {
		name      string
		got, want [][]int32
		sha256    string
	}{
		{"cu_seqlens", cu, want.CuSeqlens, want.CuSHA256}, {"cu_seqlens_padded", padded, want.CuSeqlensPadded, ""},
		{"segment_ids", segments, want.SegmentIDs, want.SegmentSHA256}, {"position_ids", positions, want.PositionIDs, want.PositionSHA256},
	} {
		if v.want != nil && !reflect.DeepEqual(v.got, v.want) {
			return fmt.Errorf("%s %v, want %v", v.name, v.got, v.want)
		}
		if v.sha256 != "" && hash(slices.Concat(v.got...)) != v.sha256 {
			return fmt.Errorf("the hash of %s differs", v.name)
		}
	}
	return nil
}
