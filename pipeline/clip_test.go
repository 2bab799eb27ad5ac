package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

func TestWindows(t *testing.T) {
	for _, c := range []struct {
		clip Clip
		n    int
		want []window
	}{
		{Clip{All: true}, 5, []window{{0, 5, 0}}},
		{Clip{Frames: 2, Stride: 2, Last: "drop"}, 0, nil},
		{Clip{Frames: 2, Stride: 2, Last: "drop"}, 4, []window{{0, 2, 0}, {2, 2, 0}}},
		{Clip{Frames: 2, Stride: 2, Last: "drop"}, 5, []window{{0, 2, 0}, {2, 2, 0}}},
		{Clip{Frames: 2, Stride: 2, Last: "keep"}, 5, []window{{0, 2, 0}, {2, 2, 0}, {4, 1, 0}}},
		{Clip{Frames: 4, Stride: 4, Last: "repeat"}, 5, []window{{0, 4, 0}, {4, 1, 3}}},
		// Shorter than one window.
		{Clip{Frames: 4, Stride: 4, Last: "drop"}, 3, nil},
		{Clip{Frames: 4, Stride: 4, Last: "keep"}, 3, []window{{0, 3, 0}}},
		{Clip{Frames: 4, Stride: 1, Last: "repeat"}, 3, []window{{0, 3, 1}}},
		// Overlapping: a last window whose frames all stand in the one before is none.
		{Clip{Frames: 4, Stride: 2, Last: "keep"}, 6, []window{{0, 4, 0}, {2, 4, 0}}},
		{Clip{Frames: 4, Stride: 2, Last: "keep"}, 7, []window{{0, 4, 0}, {2, 4, 0}, {4, 3, 0}}},
		{Clip{Frames: 4, Stride: 2, Last: "repeat"}, 7, []window{{0, 4, 0}, {2, 4, 0}, {4, 3, 1}}},
		{Clip{Frames: 4, Stride: 2, Last: "drop"}, 7, []window{{0, 4, 0}, {2, 4, 0}}},
		// With frames left out between.
		{Clip{Frames: 2, Stride: 3, Last: "keep"}, 4, []window{{0, 2, 0}, {3, 1, 0}}},
		{Clip{Frames: 2, Stride: 3, Last: "keep"}, 3, []window{{0, 2, 0}}},
		{Clip{Frames: 1, Stride: 2, Last: "repeat"}, 4, []window{{0, 1, 0}, {2, 1, 0}}},
	} {
		if got := c.clip.windows(c.n); !slices.Equal(got, c.want) {
			t.Errorf("%+v of %d: %v, want %v", c.clip, c.n, got, c.want)
		}
	}
}

func TestClip(t *testing.T) {
	r := clipRecipe(Clip{Frames: 4, Stride: 2, Last: "keep"})
	r.Keep.Frame = "jpeg"
	video := shoot("1/4", "1", "5/4", "6/4", "7/4", "2", "9/4", "10/4")
	l := newTestLine(t, r, Tools{Decoders: []Decoder{projector{"v": func() *film { f := *video; return &f }}}})
	v, samples := work(t, l, "v")
	if v.Fault != nil || v.Samples != 3 || v.Frames != 7 || len(samples) != 3 {
		t.Fatalf("verdict is %+v", v)
	}
	var tokens int64
	for i, w := range []struct {
		from, to int
		end      codecs.Rational
		rate     float64
		times    [][2]float64
	}{
		{0, 4, codecs.NewRational(2, 1), 4, [][2]float64{{1.125, 4}, {1.625, 4}}},
		{2, 6, codecs.NewRational(5, 2), 4, [][2]float64{{1.625, 4}, {2.125, 4}}},
		{4, 7, codecs.NewRational(11, 4), 4, [][2]float64{{2.125, 4}, {2.5, 4}}},
	} {
		s, d, first := samples[i], describes(t, samples[i]), video.frames[w.from]
		if got := fieldNames(s); got != "json txt q.patches.npy q.grid.npy q.times.npy frame.jpg" {
			t.Errorf("clip %d: fields are %s", i, got)
		}
		if s.Key != SampleKey("d", "a", 0, 3, first.PTS) || d.Key != s.Key || d.PTS != first.PTS || d.Duration != w.end.Sub(first.PTS) || d.Index != first.Index ||
			d.Keyframe != first.Key || *d.Size != [2]int{80, 60} || *d.SizeBefore != [2]int{60, 80} || d.Applied[0] != "rotate:90" || d.Kind != "video" {
			t.Errorf("clip %d: described as %s", i, s.field("json"))
		}
		if want := (ClipInfo{Frames: video.planned[w.from:w.to], Rate: w.rate}); !reflect.DeepEqual(*d.Clip, want) {
			t.Errorf("clip %d: %+v, want %+v", i, *d.Clip, want)
		}
		if got := timesOf(t, s, "q"); !slices.Equal(got, w.times) {
			t.Errorf("clip %d: times are %v, want %v", i, got, w.times)
		}
		if !same(array(t, s, "q.patches.npy"), cutAlone(t, r.Tokens[0], video.frames[w.from:w.to], 0)) {
			t.Errorf("clip %d: other patches than of its frames alone", i)
		}
		if !slices.Equal(s.field("frame.jpg"), first.Pix[:8]) {
			t.Errorf("clip %d: the kept frame is not its first", i)
		}
		tokens += int64(d.Tokens["q"].Count)
	}
	if v.Tokens != tokens {
		t.Errorf("the verdict counts %d tokens, its samples %d", v.Tokens, tokens)
	}
}

// The steps' times are means of their first and last frame, as Qwen3-VL's processor has
// them; their rates are what Qwen2.5-VL's second_per_grid_ts is the inverse of, by step.
func TestClipTimes(t *testing.T) {
	for name, c := range map[string]struct {
		clip  Clip
		film  *film
		rate  float64
		times [][2]float64
	}{
		"constant rate":        {Clip{All: true}, shoot("1/2", "0", "1/2", "1", "3/2"), 2, [][2]float64{{0.25, 2}, {1.25, 2}}},
		"changing rate":        {Clip{All: true}, shoot("2", "0", "1/2", "2", "3", "7", "8"), 0.625, [][2]float64{{0.25, 1}, {2.5, 0.4}, {7.5, 2. / 3}}},
		"last step not full":   {Clip{All: true}, shoot("1/4", "0", "1", "2"), 1, [][2]float64{{0.5, 1}, {2, 4}}},
		"last of no duration":  {Clip{All: true}, shoot("", "0", "1", "2"), 1, [][2]float64{{0.5, 1}, {2, 0}}},
		"one frame":            {Clip{All: true}, shoot("1/8", "5"), 0, [][2]float64{{5, 8}}},
		"repeated":             {Clip{Frames: 6, Stride: 6, Last: "repeat"}, shoot("1/2", "0", "1", "2"), 1, [][2]float64{{0.5, 1}, {2, 2}, {2, 0}}},
		"from below zero":      {Clip{All: true}, shoot("1", "-1", "0"), 1, [][2]float64{{-0.5, 1}}},
		"up to the next frame": {Clip{Frames: 2, Stride: 3, Last: "drop"}, shoot("1", "0", "1", "5", "6", "7"), 1, [][2]float64{{0.5, 0.4}}},
	} {
		l := newTestLine(t, clipRecipe(c.clip), Tools{Decoders: []Decoder{projector{"v": func() *film { return c.film }}}})
		v, samples := work(t, l, "v")
		if v.Fault != nil {
			t.Errorf("%s: %v", name, v.Fault)
			continue
		}
		d := describes(t, samples[0])
		if got := timesOf(t, samples[0], "q"); !slices.Equal(got, c.times) || d.Clip.Rate != c.rate {
			t.Errorf("%s: times are %v at rate %v, want %v at %v", name, got, d.Clip.Rate, c.times, c.rate)
		}
		if c.clip.Last == "repeat" {
			if d.Clip.Repeated != 3 || len(d.Clip.Frames) != 3 || !same(array(t, samples[0], "q.patches.npy"), cutAlone(t, clipSpec(), c.film.frames, 3)) {
				t.Errorf("%s: the last frame does not fill the clip: %+v", name, d.Clip)
			}
		}
	}
}

func TestClipRefuses(t *testing.T) {
	cut := codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "the bytes end early")
	five := func(change func(*film)) *film {
		f := shoot("1", "0", "1", "2", "3", "4")
		change(f)
		return f
	}
	keep := func(r *Recipe) { r.Video.Truncated = "keep" }
	twos := Clip{Frames: 2, Stride: 2, Last: "drop"}
	for name, c := range map[string]struct {
		clip    Clip
		change  func(*Recipe)
		film    *film
		code    codecs.Code
		samples int64
	}{
		"too short":        {Clip{Frames: 6, Stride: 6, Last: "drop"}, nil, five(func(*film) {}), codecs.CodeNoFrames, 0},
		"nothing picked":   {Clip{All: true}, nil, five(func(f *film) { f.planned, f.frames = nil, nil }), codecs.CodeNoFrames, 0},
		"cut":              {twos, nil, five(func(f *film) { f.frames, f.err = f.frames[:3], cut }), codecs.CodeTruncated, 0},
		"cut, kept":        {twos, keep, five(func(f *film) { f.frames, f.err = f.frames[:3], cut }), "", 1},
		"cut after all":    {Clip{All: true}, keep, five(func(f *film) { f.err = cut }), "", 1},
		"cut in the only":  {Clip{All: true}, keep, five(func(f *film) { f.frames, f.err = f.frames[:3], cut }), codecs.CodeTruncated, 0},
		"fewer frames":     {twos, nil, five(func(f *film) { f.frames = f.frames[:3] }), codecs.CodeInvalid, 0},
		"fewer, cuts kept": {twos, keep, five(func(f *film) { f.frames = f.frames[:3] }), codecs.CodeInvalid, 0},
		"more frames":      {twos, nil, five(func(f *film) { f.planned = f.planned[:4] }), codecs.CodeInvalid, 0},
		"other frames":     {twos, nil, five(func(f *film) { f.frames[3].Index++ }), codecs.CodeInvalid, 0},
		"damaged": {twos, keep, five(func(f *film) {
			f.frames, f.err = f.frames[:3], codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode, "x")
		}), codecs.CodeInvalid, 0},
		"limit":              {twos, func(r *Recipe) { r.Limits.MaxFramesKept = 3 }, five(func(*film) {}), codecs.CodeLimitFrames, 0},
		"tokens of a clip":   {twos, func(r *Recipe) { r.Limits.MaxTokens = 1 }, five(func(*film) {}), codecs.CodeLimitTokens, 0},
		"layout takes other": {twos, func(r *Recipe) { r.Tokens[0] = patch.Spec{Name: "v", Layout: patch.VideoMAE} }, five(func(*film) {}), codecs.CodeLayout, 0},
	} {
		r := clipRecipe(c.clip)
		if c.change != nil {
			c.change(r)
		}
		v, samples := work(t, newTestLine(t, r, Tools{Decoders: []Decoder{projector{"v": func() *film { return c.film }}}}), "v")
		var code codecs.Code
		if v.Fault != nil {
			code = codecs.Code(v.Fault.Code)
		}
		if code != c.code || v.Samples != c.samples || code == "" && int64(len(samples)) != c.samples {
			t.Errorf("%s: %d samples, fault %v; want %d and %q", name, v.Samples, v.Fault, c.samples, c.code)
		}
	}
}

// A line runs many jobs. Whatever ended one in the middle of clips, the next is as the
// first, and no buffers are lost.
func TestClipAfterFault(t *testing.T) {
	good := func() *film { return shoot("1", "0", "1", "2", "3", "4", "5") }
	broken := func(change func(*film)) func() *film {
		return func() *film { f := good(); change(f); return f }
	}
	films := projector{"good": good,
		"damaged": broken(func(f *film) { f.frames[4].Index++ }),
		"cut": broken(func(f *film) {
			f.frames, f.err = f.frames[:3], codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "x")
		}),
		"grown":    broken(func(f *film) { f.frames[0].Pixels = noise(2, 900, 1) }), // aspect over 200
		"no frame": broken(func(f *film) { f.frames[2].Pixels = codecs.Pixels{} }),
	}
	l := newTestLine(t, clipRecipe(Clip{Frames: 4, Stride: 1, Last: "drop"}), Tools{Decoders: []Decoder{films}})
	_, want := work(t, l, "good")
	sets := len(l.clips)
	if sets != 3 || len(want) != 3 {
		t.Fatalf("%d clips that overlap were cut with %d sets of buffers", len(want), sets)
	}
	again := func(after string) {
		t.Helper()
		v, got := work(t, l, "good")
		if v.Fault != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("after %s: %v, and other samples", after, v.Fault)
		}
		if len(l.clips) != sets {
			t.Errorf("after %s: %d sets of buffers, there were %d", after, len(l.clips), sets)
		}
	}
	for name := range films {
		if v, _ := work(t, l, name); (v.Fault == nil) != (name == "good") {
			t.Errorf("%s: %v", name, v.Fault)
		}
		again(name)
	}
	for n := 1; n <= 3; n++ {
		full := fmt.Errorf("the disk is full")
		count := 0
		_, err := l.Run(t.Context(), &Job{}, []Medium{{Source: memory("good")}}, func(*Sample) error {
			if count++; count == n {
				return full
			}
			return nil
		})
		if !errors.Is(err, full) {
			t.Errorf("emit's error comes back as %v", err)
		}
		again("a failed emit")
	}
}

// Stills and clips may have token outputs of one name; each medium gets its own.
func TestSharedName(t *testing.T) {
	r := clipRecipe(Clip{All: true})
	still := clipSpec()
	still.Media, still.MinPixels, still.MaxPixels = "image", 16*784, 64*784
	r.Tokens = append(r.Tokens, still)
	picture := shoot("", "0")
	picture.kind, picture.frames[0].PTS = codecs.KindImage, codecs.Rational{}
	video := shoot("1", "0", "1", "2")
	l := newTestLine(t, r, Tools{Decoders: []Decoder{projector{"picture": func() *film { return picture }, "video": func() *film { return video }}}})
	v, samples := work(t, l, "picture", "video")
	if v.Fault != nil || len(samples) != 2 {
		t.Fatalf("%d samples, %v", len(samples), v.Fault)
	}
	c, err := patch.New(still, patch.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	cut, err := c.Cut(picture.frames[0].Pixels)
	if err != nil {
		t.Fatal(err)
	}
	if got := fieldNames(samples[0]); got != "json txt q.patches.npy q.grid.npy" || !same(array(t, samples[0], "q.patches.npy"), cut.Patches) {
		t.Errorf("the still has %s, or other patches than by its own output", got)
	}
	if got := fieldNames(samples[1]); got != "json txt q.patches.npy q.grid.npy q.times.npy" || !same(array(t, samples[1], "q.patches.npy"), cutAlone(t, clipSpec(), video.frames, 0)) {
		t.Errorf("the clip has %s, or other patches than by its own output", got)
	}
}

func TestClipOverlapRefused(t *testing.T) {
	for _, c := range []Clip{{Frames: 17, Stride: 1, Last: "drop"}, {Frames: 4, Last: "drop"}} {
		if _, err := NewLine(clipRecipe(c), Tools{}, Versions{}); err == nil || !strings.Contains(err.Error(), "video.clip") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
