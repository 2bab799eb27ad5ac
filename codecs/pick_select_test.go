package codecs

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func timeline(base Rational, end int64, pts ...int64) Timeline {
	t := Timeline{Base: base, End: end}
	for i, p := range pts {
		t.Frames = append(t.Frames, FrameTime{PTS: p, Key: i%4 == 0})
	}
	return t
}

func TestSelect(t *testing.T) {
	ms := Rational{1, 1000}
	ntsc := timeline(Rational{1001, 30000}, 0)
	for i := range int64(90) {
		ntsc.Frames = append(ntsc.Frames, FrameTime{PTS: i})
	}
	cfr := timeline(ms, 2000, 0, 250, 500, 750, 1000, 1250, 1500, 1750)
	vfr := timeline(ms, 3000, 0, 10, 20, 1500, 1510, 2600)
	neg := timeline(ms, 250, -500, -250, 0)
	dup := timeline(ms, 300, 0, 100, 100, 200)
	single := timeline(ms, 0, 40)
	for _, c := range []struct {
		name string
		pick Pick
		in   Timeline
		want []int
	}{
		{"none", Pick{Rule: PickAll}, Timeline{Base: ms}, nil},
		{"all", Pick{Rule: PickAll}, neg, []int{0, 1, 2}},
		{"every 3", Pick{Rule: PickEvery, N: 3}, cfr, []int{0, 3, 6}},
		{"keyframes", Pick{Rule: PickKeyframes}, cfr, []int{0, 4}},
		{"fps 2", Pick{Rule: PickFPS, Rate: Rational{2, 1}}, cfr, []int{0, 2, 4, 6}},
		{"fps above the track's", Pick{Rule: PickFPS, Rate: Rational{1 << 40, 1}}, cfr, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{"fps with VFR: each frame once", Pick{Rule: PickFPS, Rate: Rational{2, 1}}, vfr, []int{0, 2, 3, 4}},
		{"fps, negative start", Pick{Rule: PickFPS, Rate: Rational{2, 1}}, neg, []int{0, 2}},
		{"fps, duplicate PTS: the last is shown", Pick{Rule: PickFPS, Rate: Rational{10, 1}}, dup, []int{0, 2, 3}},
		{"fps, one frame", Pick{Rule: PickFPS, Rate: Rational{2, 1}}, single, []int{0}},
		{"fps, the end is not shown", Pick{Rule: PickFPS, Rate: Rational{1, 1}}, timeline(ms, 1000, 0, 999), []int{0}},
		{"fps, unknown end: the last interval again", Pick{Rule: PickFPS, Rate: Rational{1, 1}}, timeline(ms, 0, 0, 600), []int{0, 1}},
		{"fps 2 of 30000/1001", Pick{Rule: PickFPS, Rate: Rational{2, 1}}, ntsc, []int{0, 14, 29, 44, 59, 74, 89}},
		{"fps 15000/1001 of 30000/1001", Pick{Rule: PickFPS, Rate: Rational{15000, 1001}}, timeline(Rational{1001, 30000}, 6, 0, 1, 2, 3, 4, 5), []int{0, 2, 4}},
		{"uniform 1", Pick{Rule: PickUniform, N: 1}, cfr, []int{4}},
		{"uniform 4", Pick{Rule: PickUniform, N: 4}, cfr, []int{1, 3, 5, 7}},
		{"uniform 16 of 8: each once", Pick{Rule: PickUniform, N: 16}, cfr, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{"uniform, VFR", Pick{Rule: PickUniform, N: 3}, vfr, []int{2, 3, 4}},
		{"uniform, one frame", Pick{Rule: PickUniform, N: 5}, single, []int{0}},
		{"uniform, huge n", Pick{Rule: PickUniform, N: 1 << 60}, dup, []int{0, 2, 3}},
		{"at", Pick{Rule: PickAt, At: []Rational{{0, 1}, {249, 1000}, {1, 4}, {9, 8}}}, cfr, []int{0, 1, 4}},
		{"at before the start", Pick{Rule: PickAt, At: []Rational{{-1, 1}, {1, 1000}}}, single, nil},
		{"at between negative ticks floors", Pick{Rule: PickAt, At: []Rational{{-2501, 10000}}}, neg, []int{0}},
		{"at after the end", Pick{Rule: PickAt, At: []Rational{{100, 1}, {1 << 62, 1}}}, cfr, []int{7}},
		{"at long before", Pick{Rule: PickAt, At: []Rational{{-1 << 62, 1}}}, cfr, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.pick.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := c.pick.Select(c.in); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The definitions, walked grid point by grid point.
func TestSelectWalksTheGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tl := Timeline{Base: Rational{rapid.Int64Range(1, 1001).Draw(t, "num"), rapid.Int64Range(100, 90000).Draw(t, "den")}}
		pts := rapid.Int64Range(-1000, 1000).Draw(t, "start")
		for range rapid.IntRange(1, 30).Draw(t, "frames") {
			tl.Frames = append(tl.Frames, FrameTime{PTS: pts})
			pts += rapid.Int64Range(0, 50).Draw(t, "gap")
		}
		tl.End = pts
		start, end := tl.Frames[0].PTS, tl.Ends()

		n := rapid.IntRange(1, 50).Draw(t, "n")
		var want []int
		for i := range int64(n) {
			want = appendOnce(want, tl.Shown(start+(2*i+1)*(end-start)/(2*int64(n))))
		}
		if got := (Pick{Rule: PickUniform, N: n}).Select(tl); !slices.Equal(got, want) {
			t.Fatalf("uniform: got %v, want %v", got, want)
		}

		rate := Rational{rapid.Int64Range(1, 3000).Draw(t, "rate"), rapid.Int64Range(1, 1001).Draw(t, "rate den")}
		a, b := rate.Den*tl.Base.Den, rate.Num*tl.Base.Num
		if (end-start)*b/a > 5000 {
			t.Skip("a grid too fine to walk")
		}
		want = nil
		for k := int64(0); k*a < (end-start)*b; k++ {
			want = appendOnce(want, tl.Shown(start+k*a/b))
		}
		if got := (Pick{Rule: PickFPS, Rate: rate}).Select(tl); !slices.Equal(got, want) {
			t.Fatalf("fps: got %v, want %v", got, want)
		}
	})
}
