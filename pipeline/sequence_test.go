package pipeline

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// stills makes one sample of each size by a recipe's line.
func stills(t *testing.T, spec patch.Spec, sizes ...[2]int) []*Sample {
	t.Helper()
	films := projector{}
	var media []string
	for i, size := range sizes {
		name := fmt.Sprint("still ", i)
		f := shoot("", "0")
		f.kind, f.frames[0].PTS, f.frames[0].Pixels = codecs.KindImage, codecs.Rational{}, noise(size[0], size[1], uint32(i))
		films[name] = func() *film { return f }
		media = append(media, name)
	}
	r := &Recipe{Dataset: "d", Digest: "digest", Limits: codecs.DefaultLimits(), Tokens: []patch.Spec{spec}}
	v, samples := work(t, newTestLine(t, r, Tools{Decoders: []Decoder{films}}), media...)
	if v.Fault != nil || len(samples) != len(sizes) {
		t.Fatalf("%d samples, %v", len(samples), v.Fault)
	}
	return samples
}

func ints32(t *testing.T, s *Sample, name string) (l []int) {
	t.Helper()
	a := array(t, s, name)
	if a.DType != "int32" || len(a.Shape) != 1 {
		t.Fatalf("%s is %s %v", name, a.DType, a.Shape)
	}
	for i := range a.Shape[0] {
		l = append(l, int(int32(binary.LittleEndian.Uint32(a.Data[4*i:]))))
	}
	return l
}

func ints64(a patch.Array) (l []int) {
	for i := range len(a.Data) / 8 {
		l = append(l, int(binary.LittleEndian.Uint64(a.Data[8*i:])))
	}
	return l
}

// rowsOf are an array's rows as strings.
func rowsOf(a patch.Array) (rows []string) {
	n := len(a.Data) / a.Shape[0]
	for b := range slices.Chunk(a.Data, n) {
		rows = append(rows, string(b))
	}
	return rows
}

// A sequence is what anyone would compute who has its members.
func TestJoin(t *testing.T) {
	qwen := patch.Spec{Name: "p", Layout: patch.Qwen2VL, MinPixels: 4 * 784, MaxPixels: 16 * 784, DType: "float16"}.Normalise()
	flex := patch.Spec{Name: "p", Layout: patch.NaFlex, MaxPatches: 20}.Normalise()
	timm := patch.Spec{Name: "p", Layout: patch.TimmFlex, MaxPatches: 20}.Normalise()
	for name, c := range map[string]struct {
		spec   patch.Spec
		pack   Pack
		fields string
	}{
		"qwen":             {qwen, Pack{Count: "patches"}, "json p.patches.npy p.grid.npy cu_seqlens.npy position_ids.npy segment_ids.npy"},
		"qwen, multiple":   {qwen, Pack{Count: "patches", Multiple: 7}, "json p.patches.npy p.grid.npy cu_seqlens.npy cu_seqlens_padded.npy position_ids.npy segment_ids.npy"},
		"qwen by language": {qwen, Pack{Count: "language", Multiple: 8}, "json p.patches.npy p.grid.npy cu_seqlens.npy cu_seqlens_padded.npy position_ids.npy segment_ids.npy vision_cu_seqlens.npy"},
		"naflex":           {flex, Pack{Count: "patches", Multiple: 1}, "json p.patches.npy p.grid.npy cu_seqlens.npy position_ids.npy segment_ids.npy"},
		"timm, multiple":   {timm, Pack{Count: "patches", Multiple: 16}, "json p.patches.npy p.grid.npy cu_seqlens.npy p.coords.npy cu_seqlens_padded.npy position_ids.npy segment_ids.npy"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.pack
			p.Tokens, p.Budget, p.Window = "p", 4096, 8
			members := stills(t, c.spec, [2]int{80, 60}, [2]int{33, 120}, [2]int{64, 64})
			var lengths []int
			var trimmed []*Sample
			for _, s := range members {
				n, shape, err := p.Length(s)
				if _, other, _ := p.Length(members[0]); err != nil || shape != other {
					t.Fatal(err, shape, other)
				}
				lengths = append(lengths, n)
				trimmed = append(trimmed, p.Trim(s))
			}
			seq, err := p.Join("d", "digest", trimmed, lengths)
			if err != nil {
				t.Fatal(err)
			}
			if got := fieldNames(seq); got != c.fields {
				t.Errorf("fields are %s", got)
			}
			checkSequence(t, &p, seq, members)
		})
	}
}

func checkSequence(t *testing.T, p *Pack, seq *Sample, members []*Sample) {
	t.Helper()
	var rows, coords []string
	var grid, cu, padded, positions, segments, vision []int
	cu, padded, vision = []int{0}, []int{0}, []int{0}
	longest := 0
	for k, s := range members {
		info := describes(t, s).Tokens["p"]
		n := info.Count
		if p.Count == "language" {
			n = info.Count / 4
		}
		multiple := max(p.Multiple, 1)
		size := (n + multiple - 1) / multiple * multiple
		g := ints64(array(t, s, "p.grid.npy"))
		patches := array(t, s, "p.patches.npy")
		rows = append(rows, rowsOf(patches)[:info.Count]...)
		if s.field("p.coords.npy") != nil {
			coords = append(coords, rowsOf(array(t, s, "p.coords.npy"))[:info.Count]...)
		}
		if p.Count == "patches" {
			empty := make([]byte, len(patches.Data)/patches.Shape[0])
			rows = append(rows, slices.Repeat([]string{string(empty)}, size-n)...)
			if coords != nil {
				coords = append(coords, slices.Repeat([]string{string(make([]byte, 16))}, size-n)...)
			}
		}
		grid = append(grid, g...)
		cu, padded = append(cu, cu[k]+n), append(padded, padded[k]+size)
		for i := range size {
			positions = append(positions, i)
			if i < n {
				segments = append(segments, k+1)
			} else {
				segments = append(segments, 0)
			}
		}
		if p.Count == "language" {
			for range g[0] {
				vision = append(vision, vision[len(vision)-1]+g[1]*g[2])
			}
		}
		longest = max(longest, n)
	}
	for _, f := range seq.Fields {
		if !slices.Contains((*Recipe).FieldNames(nil, Output{Pack: p}), f.Name) {
			t.Errorf("field %s is not named beforehand", f.Name)
		}
	}
	if got := array(t, seq, "p.patches.npy"); !slices.Equal(rowsOf(got), rows) || got.Shape[0] != len(rows) {
		t.Errorf("the patches are %v, and not the %d rows of the members", got.Shape, len(rows))
	}
	if coords != nil && !slices.Equal(rowsOf(array(t, seq, "p.coords.npy")), coords) {
		t.Error("the coords are not those of the members")
	}
	if got := array(t, seq, "p.grid.npy"); !slices.Equal(got.Shape, []int{len(members), len(grid) / len(members)}) || !slices.Equal(ints64(got), grid) {
		t.Errorf("grid %v %v, want %v", got.Shape, ints64(got), grid)
	}
	want := map[string][]int{"cu_seqlens.npy": cu, "segment_ids.npy": segments, "position_ids.npy": positions}
	if p.Multiple > 1 {
		want["cu_seqlens_padded.npy"] = padded
	}
	if p.Count == "language" {
		want["vision_cu_seqlens.npy"] = vision
	}
	for name := range maps.Keys(want) {
		if got := ints32(t, seq, name); !slices.Equal(got, want[name]) {
			t.Errorf("%s is %v, want %v", name, got, want[name])
		}
	}
	var d Sequence
	if err := json.Unmarshal(seq.field("json"), &d); err != nil {
		t.Fatal(err)
	}
	if d.Key != seq.Key || d.Dataset != "d" || d.Kind != "sequence" || d.Recipe != "digest" || d.Name != "p" || d.Count != p.Count || d.Budget != p.Budget ||
		d.Length != cu[len(members)] || int(d.MaxSeqlen) != longest || len(d.Members) != len(members) {
		t.Errorf("described as %s", seq.field("json"))
	}
	for k, m := range d.Members {
		if string(m) != string(members[k].field("json")) {
			t.Errorf("member %d is described as %s", k, m)
		}
	}
}

// The key names the members and their order.
func TestSequenceKey(t *testing.T) {
	p := Pack{Tokens: "p", Budget: 4096, Count: "patches"}
	two := stills(t, patch.Spec{Name: "p", Layout: patch.NaFlex, MaxPatches: 20}.Normalise(), [2]int{80, 60}, [2]int{60, 80})
	keys := map[string]bool{}
	for _, l := range [][]*Sample{{two[0]}, {two[1]}, {two[0], two[1]}, {two[1], two[0]}} {
		lengths := make([]int, len(l))
		for i, s := range l {
			lengths[i], _, _ = p.Length(s)
		}
		for range 2 {
			seq, err := p.Join("d", "digest", l, lengths)
			if err != nil {
				t.Fatal(err)
			}
			keys[seq.Key] = true
		}
	}
	if len(keys) != 4 {
		t.Errorf("4 sequences have the keys %v", keys)
	}
}

// Stills and clips, or layouts that share a name, fit no sequence together, and say so.
func TestShapes(t *testing.T) {
	p := Pack{Tokens: "p", Budget: 4096, Count: "patches"}
	var samples []*Sample
	shapes := map[string]bool{}
	for _, spec := range []patch.Spec{{Layout: patch.Qwen2VL}, {Layout: patch.Qwen3VL}, {Layout: patch.NaFlex}, {Layout: patch.TimmFlex}, {Layout: patch.NaFlex, DType: "float32"}} {
		spec.Name = "p"
		s := stills(t, spec.Normalise(), [2]int{80, 60})[0]
		_, shape, err := p.Length(s)
		if err != nil {
			t.Fatal(err)
		}
		samples, shapes[shape] = append(samples, s), true
	}
	if len(shapes) != len(samples) {
		t.Errorf("shapes are %v", shapes)
	}
	if _, err := p.Join("d", "digest", samples[:2], []int{1, 1}); err == nil {
		t.Error("samples of two shapes were joined")
	}
}

// What a sample says is held against its arrays; the fault is its own.
func TestPackRefuses(t *testing.T) {
	flex := patch.Spec{Name: "p", Layout: patch.TimmFlex, MaxPatches: 20}.Normalise()
	good := stills(t, flex, [2]int{80, 60})[0]
	info := describes(t, good).Tokens["p"]
	set := func(name string, data []byte) func(*Sample) {
		return func(s *Sample) {
			for i := range s.Fields {
				if s.Fields[i].Name == name {
					s.Fields[i].Data = data
				}
			}
		}
	}
	says := func(n int) func(*Sample) {
		return set("json", fmt.Appendf(nil, `{"tokens":{"p":{"count":%d,"language":%d}}}`, n, n))
	}
	npy := func(dtype string, bytes int, shape ...int) []byte {
		return patch.AppendNPY(nil, patch.Array{DType: dtype, Shape: shape, Data: make([]byte, bytes)})
	}
	for name, c := range map[string]struct {
		pack   Pack
		change func(*Sample)
		code   codecs.Code
	}{
		"as it is":          {Pack{}, nil, ""},
		"by language":       {Pack{Count: "language"}, nil, ""},
		"other tokens":      {Pack{Tokens: "q"}, nil, CodeMsgNotTaken},
		"no json":           {Pack{}, set("json", []byte("{")), codecs.CodeInvalid},
		"over the budget":   {Pack{Budget: info.Count - 1}, nil, codecs.CodeLimitTokens},
		"rounded over it":   {Pack{Budget: info.Count, Multiple: info.Count - 1}, nil, codecs.CodeLimitTokens},
		"none":              {Pack{}, says(0), codecs.CodeInvalid},
		"below none":        {Pack{}, says(-1), codecs.CodeInvalid},
		"more than rows":    {Pack{}, says(21), codecs.CodeInvalid},
		"not the grid's":    {Pack{}, says(info.Count - 1), codecs.CodeInvalid},
		"no patches":        {Pack{}, set("p.patches.npy", nil), codecs.CodeInvalid},
		"patches in a row":  {Pack{}, set("p.patches.npy", npy("uint8", 100, 100)), codecs.CodeInvalid},
		"patches of none":   {Pack{}, set("p.patches.npy", npy("uint8", 0, 20, 0)), codecs.CodeInvalid},
		"no grid":           {Pack{}, set("p.grid.npy", nil), codecs.CodeInvalid},
		"a grid of none":    {Pack{}, set("p.grid.npy", npy("int64", 8)), codecs.CodeInvalid},
		"a grid of zeros":   {Pack{}, set("p.grid.npy", npy("int64", 16, 2)), codecs.CodeInvalid},
		"a grid of four":    {Pack{}, set("p.grid.npy", npy("int64", 32, 4)), codecs.CodeInvalid},
		"a grid of int32":   {Pack{}, set("p.grid.npy", npy("int32", 8, 2)), codecs.CodeInvalid},
		"too few coords":    {Pack{}, set("p.coords.npy", npy("int64", 16, 1, 2)), codecs.CodeInvalid},
		"coords in a row":   {Pack{}, set("p.coords.npy", npy("int64", 320, 40)), codecs.CodeInvalid},
		"coords, no array":  {Pack{}, set("p.coords.npy", []byte("x")), codecs.CodeInvalid},
		"language too long": {Pack{Count: "language", Budget: 1}, nil, codecs.CodeLimitTokens},
	} {
		p, s := c.pack, clone(good)
		if p.Tokens == "" {
			p.Tokens = "p"
		}
		if p.Budget == 0 {
			p.Budget = 4096
		}
		if p.Count == "" {
			p.Count = "patches"
		}
		if c.change != nil {
			c.change(s)
		}
		_, _, err := p.Length(s)
		var code codecs.Code
		e := codecs.AsError(err)
		if e != nil {
			code = e.Code
		}
		if code != c.code || err != nil && (e == nil || e.Stage != codecs.StagePack) {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		if err != nil && c.code == codecs.CodeInvalid {
			if _, err := p.Join("d", "r", []*Sample{s}, []int{1}); err == nil {
				t.Errorf("%s: joined", name)
			}
		}
	}
}

// Trim leaves what Join reads, and no pictures or sound.
func TestTrim(t *testing.T) {
	s := &Sample{Key: "k"}
	for _, n := range strings.Fields("json txt p.patches.npy p.mask.npy p.grid.npy p.coords.npy q.patches.npy frame.jpg audio.wav") {
		s.Fields = append(s.Fields, Field{n, []byte(n)})
	}
	if got := (&Pack{Tokens: "p"}).Trim(s); got.Key != "k" || fieldNames(got) != "json p.patches.npy p.grid.npy p.coords.npy" {
		t.Errorf("%s has %s", got.Key, fieldNames(got))
	}
}
