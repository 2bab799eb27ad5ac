package packing

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/codecs"
)

// scanned packs by the rule's own words: a scan over all packs for each sample, and a
// window at a time.
func scanned(s Settings, lengths []int) (packs [][]int) {
	var window []int
	flush := func() {
		order := slices.Clone(window)
		if s.Mode == Decreasing {
			slices.SortStableFunc(order, func(a, b int) int {
				return roundUp(lengths[b], s.Multiple) - roundUp(lengths[a], s.Multiple)
			})
		}
		var open [][]int
	place:
		for _, i := range order {
			for k, p := range open {
				used := 0
				for _, j := range p {
					used += roundUp(lengths[j], s.Multiple)
				}
				if used+roundUp(lengths[i], s.Multiple) <= s.Capacity && (s.Limit == 0 || len(p) < s.Limit) {
					open[k] = append(p, i)
					continue place
				}
			}
			open = append(open, []int{i})
		}
		for _, p := range open {
			slices.Sort(p)
		}
		slices.SortFunc(open, func(a, b []int) int { return a[0] - b[0] })
		packs, window = append(packs, open...), nil
	}
	for i, n := range lengths {
		if n < 1 || roundUp(n, s.Multiple) > s.Capacity {
			continue
		}
		if window = append(window, i); len(window) == s.Window {
			flush()
		}
	}
	flush()
	return packs
}

// TestPackerScans holds the tree to the scan, and the packs to what they promise.
func TestPackerScans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Settings{
			Capacity: rapid.IntRange(1, 120).Draw(t, "capacity"),
			Window:   rapid.SampledFrom([]int{0, 1, 2, 7, 16, 33}).Draw(t, "window"),
			Limit:    rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "limit"),
			Mode:     rapid.SampledFrom(Modes()).Draw(t, "mode"),
		}
		s.Multiple = rapid.IntRange(1, min(s.Capacity, 9)).Draw(t, "multiple")
		lengths := rapid.SliceOfN(rapid.IntRange(-1, s.Capacity+3), 0, 200).Draw(t, "lengths")
		packs, refused, fill := pack(t, s, lengths)

		var members [][]int
		seen := slices.Clone(refused)
		for _, p := range packs {
			members = append(members, p.Items)
			seen = append(seen, p.Items...)
			for k, i := range p.Items {
				if p.Lengths[k] != lengths[i] {
					t.Fatalf("sample %d has length %d in its pack", i, p.Lengths[k])
				}
			}
		}
		if want := scanned(s, lengths); !reflect.DeepEqual(members, want) {
			t.Fatalf("packs %v, want %v", members, want)
		}
		slices.Sort(seen)
		for i, n := range seen {
			if i != n {
				t.Fatalf("sample %d is lost or doubled", i)
			}
		}
		if len(seen) != len(lengths) || fill.Packs != int64(len(packs)) || fill.Rate() > 1 {
			t.Fatalf("%d of %d samples, fill %+v", len(seen), len(lengths), fill)
		}
	})
}

// TestPackerForgets: nothing is carried over, so packing may begin again after any
// full window.
func TestPackerForgets(t *testing.T) {
	s := Settings{Capacity: 8192, Window: 64}
	lengths := generated(3000)
	whole, _, _ := pack(t, s, lengths)
	var parts []Pack[int]
	for at := 0; at < len(lengths); at += 640 {
		some, _, _ := pack(t, s, lengths[at:min(at+640, len(lengths))])
		for _, p := range some {
			for k := range p.Items {
				p.Items[k] += at
			}
		}
		parts = append(parts, some...)
	}
	if !reflect.DeepEqual(whole, parts) {
		t.Error("packing in parts of whole windows gives other packs")
	}
}

func TestPackerRefuses(t *testing.T) {
	p, err := NewPacker[string](Settings{Capacity: 10, Multiple: 4, Window: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct {
		length int
		says   string
	}{{0, "has 0 tokens"}, {-5, "has -5 tokens"}, {11, "a pack holds 10"}, {9, "12 as a multiple of 4"}, {1 << 62, "a pack holds 10"}} {
		packs, err := p.Add("too long", k.length)
		e := codecs.AsError(err)
		if packs != nil || e == nil || e.Code != codecs.CodeLimitTokens || e.Stage != codecs.StagePack || !strings.Contains(e.Detail, k.says) {
			t.Errorf("length %d: %v, %v", k.length, packs, err)
		}
	}
	if p.Waiting() != 0 || p.Flush() != nil || p.Fill() != (Fill{}) || p.Fill().Rate() != 0 {
		t.Error("a refused sample left a trace")
	}
	if packs, err := p.Add("a", 1); packs != nil || err != nil || p.Waiting() != 1 {
		t.Errorf("the first of a window: %v, %v", packs, err)
	}
	packs, err := p.Add("b", 8)
	if want := []Pack[string]{{Items: []string{"a"}, Lengths: []int{1}}, {Items: []string{"b"}, Lengths: []int{8}}}; err != nil || !reflect.DeepEqual(packs, want) {
		t.Errorf("the window's packs: %v (%v), want %v", packs, err, want)
	}
	if f := p.Fill(); f != (Fill{Packs: 2, Samples: 2, Tokens: 9, Slots: 20}) || f.Rate() != 0.45 || p.Waiting() != 0 {
		t.Errorf("fill %+v", f)
	}
}

func TestSettings(t *testing.T) {
	for _, k := range []struct {
		s    Settings
		says string
	}{
		{Settings{}, "capacity of 0 tokens"},
		{Settings{Capacity: 1 << 31}, "capacity of 2147483648 tokens"},
		{Settings{Capacity: 8, Window: -1}, "window of -1 samples"},
		{Settings{Capacity: 8, Multiple: 9}, "multiple of 9"},
		{Settings{Capacity: 8, Multiple: -1}, "multiple of -1"},
		{Settings{Capacity: 8, Limit: -1}, "limit of -1 samples"},
		{Settings{Capacity: 8, Mode: "best_fit"}, `mode "best_fit" is not known; write one of [first_fit_decreasing first_fit]`},
	} {
		if _, err := NewPacker[int](k.s); err == nil || !strings.Contains(err.Error(), k.says) {
			t.Errorf("%+v: %v, want %q", k.s, err, k.says)
		}
	}
}

// TestArrays walks the rows of random packs: what each array says of a row must agree.
func TestArrays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 12).Draw(t, "lengths")
		multiple, rows := rapid.IntRange(1, 8).Draw(t, "multiple"), rapid.IntRange(0, 300).Draw(t, "rows")
		a, err := NewArrays(lengths, multiple, rows)
		if err != nil {
			t.Fatal(err)
		}
		end := int(a.CuSeqlensPadded[len(lengths)])
		if len(a.PositionIDs) != max(rows, end) || len(a.SegmentIDs) != len(a.PositionIDs) {
			t.Fatalf("%d positions and %d segments, want %d", len(a.PositionIDs), len(a.SegmentIDs), max(rows, end))
		}
		var starts []int32
		for i, p := range a.PositionIDs {
			if p == 0 {
				starts = append(starts, int32(i))
			}
		}
		if end == len(a.PositionIDs) {
			starts = append(starts, int32(end)) // no padding, so none that starts there
		}
		if !slices.Equal(starts, a.CuSeqlensPadded) {
			t.Fatalf("positions start at %v, padded lengths say %v", starts, a.CuSeqlensPadded)
		}
		held := make([]int, len(lengths)+1)
		for _, s := range a.SegmentIDs {
			held[s]++
		}
		for k, n := range lengths {
			if held[k+1] != n || a.CuSeqlens[k+1]-a.CuSeqlens[k] != int32(n) || int(a.CuSeqlensPadded[k])%multiple != 0 {
				t.Fatalf("sample %d of %d tokens: %d rows, %v, %v", k, n, held[k+1], a.CuSeqlens, a.CuSeqlensPadded)
			}
			if start := a.CuSeqlensPadded[k]; a.SegmentIDs[start] != int32(k+1) {
				t.Fatalf("row %d belongs to segment %d, want %d", start, a.SegmentIDs[start], k+1)
			}
		}
		if len(lengths) > 0 && int(a.MaxSeqlen) != slices.Max(lengths) {
			t.Fatalf("longest %d of %v", a.MaxSeqlen, lengths)
		}
	})
}

func TestArraysRefuse(t *testing.T) {
	const most = maxTokens
	for name, k := range map[string]struct {
		lengths        []int
		multiple, rows int
	}{
		"no tokens": {[]int{3, 0}, 1, 0}, "multiple": {[]int{3}, 0, 0}, "rows": {[]int{3}, 1, most + 1},
		"one too long": {[]int{most + 1}, 1, 0}, "sum": {[]int{1, most}, 1, 0}, "rounded": {[]int{most}, 2, 0},
	} {
		if a, err := NewArrays(k.lengths, k.multiple, k.rows); err == nil {
			t.Errorf("%s: took %v: %d rows", name, k.lengths, len(a.PositionIDs))
		}
	}
	for name, grids := range map[string][][3]int{
		"zero": {{1, 0, 4}}, "negative": {{-1, 2, 2}}, "one too large": {{1, 1 << 16, 1 << 16}},
		"all too large": {{1, 1 << 15, 1 << 15}, {1, 1 << 15, 1 << 15}}, "groups": {{1 << 30, 2, 2}}, "side": {{1, 1 << 40, 1}},
	} {
		if _, err := VisionSegments(grids); err == nil {
			t.Errorf("%s: took %v", name, grids)
		}
	}
	if got, err := VisionSegments(nil); err != nil || !slices.Equal(got, []int32{0}) {
		t.Errorf("no grids: %v (%v)", got, err)
	}
}

func BenchmarkPacker(b *testing.B) {
	lengths := slices.Repeat(generated(3000), 10)
	for _, mode := range Modes() {
		b.Run(string(mode), func(b *testing.B) {
			for b.Loop() {
				pack(b, Settings{Capacity: 8192, Mode: mode}, lengths)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lengths)), "ns/sample")
		})
	}
}
