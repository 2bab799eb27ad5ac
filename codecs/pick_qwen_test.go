package codecs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The rows of the golden file: 523 pairs of length and rate with the processors' own
// settings, and 120 with others.
const goldenPicks = 643

// even is a video of a constant rate.
func even(frames int, rate Rational) Timeline {
	t := Timeline{Base: Rational{rate.Den, rate.Num}, End: int64(frames)}
	for i := range int64(frames) {
		t.Frames = append(t.Frames, FrameTime{PTS: i})
	}
	return t
}

// goldenPick is a row: frames, frames a second, rate, bounds, and for each processor how
// many indices it gives, -1 where it fails, and the first digits of their hash.
type goldenPick struct {
	total        int
	source, rate Rational
	min, max     int
	qwen2, qwen3 int
	sha2, sha3   string
}

func (g *goldenPick) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&g.total, &g.source.Num, &g.source.Den, &g.rate.Num, &g.rate.Den, &g.min, &g.max,
		&g.qwen2, &g.sha2, &g.qwen3, &g.sha3})
}

// TestGoldenQwenPicks compares with what transformers' sample_frames give.
func TestGoldenQwenPicks(t *testing.T) {
	b, err := os.ReadFile("../testdata/golden/pick-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct{ Cases []goldenPick }
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) != goldenPicks {
		t.Fatalf("%d cases; there were %d", len(g.Cases), goldenPicks)
	}
	differ, failing := 0, 0
	for _, k := range g.Cases {
		line := even(k.total, k.source)
		for _, want := range []struct {
			rule  PickRule
			count int
			sha   string
		}{{PickQwen2VL, k.qwen2, k.sha2}, {PickQwen3VL, k.qwen3, k.sha3}} {
			p := Pick{Rule: want.rule, Rate: k.rate, Min: k.min, Max: k.max}
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			got := p.Select(line)
			if want.count < 0 { // where the processor divides by zero
				failing++
				if !slices.Equal(got, []int{0}) {
					t.Errorf("%+v of %d frames: %v, want the one frame", p, k.total, got)
				}
				continue
			}
			if len(got) != want.count || indexHash(got) != want.sha {
				differ++
				t.Errorf("%+v of %d frames at %s a second: %d frames %v, want %d", p, k.total, k.source, len(got), got, want.count)
			}
		}
	}
	t.Logf("qwen2vl and qwen3vl: %d pairs of length and rate, %d of %d selections differ; at %d the processor divides by zero", len(g.Cases), differ, 2*len(g.Cases), failing)
}

func indexHash(indices []int) string {
	var b []byte
	for _, i := range indices {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:8])
}

func TestQwenPicks(t *testing.T) {
	ms := Rational{1, 1000}
	long := even(1499, Rational{2997, 125})
	slow := timeline(ms, 10_000, 0, 100, 200, 300, 400, 500, 600, 700, 800, 9000) // ten frames in ten seconds
	for _, c := range []struct {
		name string
		pick Pick
		in   Timeline
		want []int
	}{
		{"no frames", Pick{Rule: PickQwen2VL}, Timeline{Base: ms}, nil},
		{"one frame", Pick{Rule: PickQwen2VL}, timeline(ms, 0, 40), []int{0}},
		{"one frame, Qwen3", Pick{Rule: PickQwen3VL}, timeline(ms, 0, 40), []int{0}},
		{"an odd number loses one", Pick{Rule: PickQwen2VL}, even(3, Rational{30, 1}), []int{0, 1}},
		{"Qwen3 keeps it", Pick{Rule: PickQwen3VL}, even(3, Rational{30, 1}), []int{0, 1, 2}},
		{"100 frames at 30", Pick{Rule: PickQwen2VL}, even(100, Rational{30, 1}), []int{0, 16, 33, 50, 66, 83}},
		{"100 frames at 30, Qwen3", Pick{Rule: PickQwen3VL}, even(100, Rational{30, 1}), []int{0, 20, 40, 59, 79, 99}},
		{"the true rate counts, not the spacing", Pick{Rule: PickQwen3VL, Rate: Rational{1, 2}}, slow, []int{0, 2, 4, 7, 9}},
		{"and one frame a second", Pick{Rule: PickQwen2VL, Rate: Rational{1, 1}}, slow, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"at most", Pick{Rule: PickQwen2VL, Max: 3}, slow, []int{0, 5}},
		{"at least", Pick{Rule: PickQwen3VL, Rate: Rational{1, 100}, Min: 2}, slow, []int{0, 9}},
		{"a huge rate", Pick{Rule: PickQwen3VL, Rate: Rational{1 << 62, 1}, Max: 3}, slow, []int{0, 4, 9}},
	} {
		if err := c.pick.Validate(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := c.pick.Select(c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	// Here the processor asks for index 1499, which there is not.
	got := Pick{Rule: PickQwen2VL}.Select(long)
	if n := len(got); n != 125 || !slices.Equal(got[n-3:], []int{1474, 1486, 1498}) {
		t.Errorf("past the end: %d frames, the last %v", n, got[n-3:])
	}
}

// TestQwenPicksBounded: whatever the settings and times, frames ascend, each once, and
// keep to the bounds.
func TestQwenPicksBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := Timeline{Base: Rational{rapid.Int64Range(1, 1001).Draw(t, "num"), rapid.Int64Range(1, 90000).Draw(t, "den")}}
		var pts int64
		for range rapid.IntRange(1, 300).Draw(t, "frames") {
			line.Frames = append(line.Frames, FrameTime{PTS: pts})
			pts += rapid.Int64Range(0, 50).Draw(t, "gap")
		}
		line.End = pts
		p := Pick{Rule: rapid.SampledFrom([]PickRule{PickQwen2VL, PickQwen3VL}).Draw(t, "rule"),
			Rate: Rational{rapid.Int64Range(1, 100000).Draw(t, "rate"), rapid.Int64Range(1, 1001).Draw(t, "rate den")},
			Min:  rapid.IntRange(2, 400).Draw(t, "min")}
		p.Max = rapid.IntRange(p.Min, 800).Draw(t, "max")
		got, total := p.Select(line), len(line.Frames)
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) || got[0] != 0 || got[len(got)-1] >= total {
			t.Fatalf("%+v of %d frames: %v", p, total, got)
		}
		least := min(p.Min, total)
		if p.Rule == PickQwen2VL {
			least -= least % 2
		}
		if len(got) < least || len(got) > p.Max+1 || p.Rule == PickQwen3VL && len(got) > p.Max {
			t.Fatalf("%+v of %d frames: %d of them", p, total, len(got))
		}
	})
}

func TestPickNormalise(t *testing.T) {
	two := Rational{2, 1}
	for _, k := range []struct{ in, want Pick }{
		{Pick{Rule: PickFPS, Rate: two}, Pick{Rule: PickFPS, Rate: two}},
		{Pick{Rule: PickQwen2VL}, Pick{Rule: PickQwen2VL, Rate: two, Min: 4, Max: 768}},
		{Pick{Rule: PickQwen3VL, Max: 2}, Pick{Rule: PickQwen3VL, Rate: two, Min: 2, Max: 2}},
		{Pick{Rule: PickQwen3VL, Min: 1000}, Pick{Rule: PickQwen3VL, Rate: two, Min: 1000, Max: 1000}},
	} {
		got := k.in.Normalise()
		if !reflect.DeepEqual(got, k.want) || !reflect.DeepEqual(got.Normalise(), got) || got.Validate() != nil {
			t.Errorf("%+v becomes %+v, want %+v", k.in, got, k.want)
		}
	}
	for _, k := range []struct {
		in   Pick
		says string
	}{
		{Pick{Rule: PickQwen2VL, Rate: Rational{-1, 1}}, "pick qwen2vl needs a rate above 0"},
		{Pick{Rule: PickQwen2VL, Min: 1}, "takes 1 to 768 frames"},
		{Pick{Rule: PickQwen3VL, Min: 8, Max: 7}, "takes 8 to 7 frames"},
		{Pick{Rule: PickQwen3VL, Max: 1}, "takes 1 to 1 frames"},
		{Pick{Rule: "first"}, "is not one of [all fps every uniform keyframes at qwen2vl qwen3vl]"},
	} {
		if err := k.in.Validate(); err == nil || !strings.Contains(err.Error(), k.says) {
			t.Errorf("%+v: %v, want %q", k.in, err, k.says)
		}
	}
}
