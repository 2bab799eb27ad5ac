package video

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// film builds an index of packets in decoding order, one word each: a letter, then the
// picture's place in presentation order. K closed anchor, C open anchor, p reference,
// b spare, B spare of a higher layer, h hidden, x decoded but not shown; "'" after it
// marks HEVC's leading pictures, "=" parameter sets.
func film(t *testing.T, words string) *index {
	t.Helper()
	x := &index{times: codecs.Timeline{Base: codecs.Rational{Num: 1, Den: 10}}}
	for w := range strings.FieldsSeq(words) {
		e := entry{frame: -1}
		for _, c := range w[1:] {
			switch c {
			case '\'':
				e.unit.leading = true
			case '=':
				e.unit.params = true
			default:
				e.pts = 10*e.pts + int64(c-'0')
			}
		}
		switch w[0] {
		case 'K':
			e.unit.anchor = anchorClosed
		case 'C':
			e.unit.anchor = anchorOpen
		case 'b':
			e.unit.spare = true
		case 'B':
			e.unit.spare, e.unit.layer = true, 1
		case 'h':
			e.unit.hidden = true
		case 'x':
			e.discard = true
		}
		x.entries = append(x.entries, e)
	}
	x.order()
	return x
}

// sends spells a plan: the packets that are sent, with "|" before a restart.
func sends(words string, p *plan) string {
	var out []string
	for i, w := range strings.Fields(words) {
		switch p.steps[i] {
		case stepSend:
			out = append(out, w)
		case stepRestart:
			out = append(out, "|", w)
		}
	}
	return strings.Join(out, " ")
}

func TestPlan(t *testing.T) {
	const (
		closed = "K0 p4 p2 b1 b3 p8 p6 b5 b7 K9 p13 p11 b10 b12 K14 p15 p16"
		open   = "K0 p2 b1 C6 p4 b3 b5 p8 b7 C10 b9 p12 b11"
		hevc   = "C2 b0' b1' p4 b3 C8 p6' b5' b7' p10 b9"
		layers = "K0 p4 b2 B1 B3 p8 b6 B5 B7"
		hidden = "K0 p1 h2 p2 p3 K4 h5 p5"
		params = "K0= p1 p2= K3 p4 K5= p6"
		edit   = "K0 x1 x2 p3 p4"
	)
	for _, c := range []struct {
		name, film string
		picks      []int
		want       string
		maybe      []int32
	}{
		{"nothing but the anchor", closed, []int{0}, "K0", nil},
		{"a spare picture that is picked", closed, []int{3}, "K0 p4 p2 b3", nil},
		{"a group is left out", closed, []int{1, 16}, "K0 p4 p2 b1 | K14 p15 p16", nil},
		{"the tail of each group is left out", closed, []int{4, 11}, "K0 p4 | K9 p13 p11", nil},
		{"behind an open anchor", open, []int{7}, "| C6 p4 p8 b7", []int32{4}},
		{"ahead of an open anchor", open, []int{5}, "K0 p2 C6 p4 b5", nil},
		{"few pictures since: what leads may still be a reference", open, []int{9}, "K0 p2 C6 p4 p8 C10 b9", nil},
		{"HEVC: leading pictures go with the group before", hevc, []int{5}, "C2 p4 C8 p6' b7'", nil},
		{"HEVC: and are not sent without it", hevc, []int{7}, "| C8 p10 b9", nil},
		{"HEVC: the first ones are no pictures", hevc, []int{0}, "C2", nil},
		{"spare, but not of the highest layer", layers, []int{7}, "K0 p4 b2 p8 b6 B7", nil},
		{"pictures that are not shown", hidden, []int{2, 5}, "K0 p1 h2 p2 | K4 h5 p5", nil},
		{"anchor without parameter sets of its own", params, []int{3}, "K0= p1 p2= K3", nil},
		{"anchor with them", params, []int{6}, "| K5= p6", nil},
		{"before an edit list's start", edit, []int{1}, "K0 x1 x2 p3", nil},
	} {
		x := film(t, c.film)
		if x.unclear != "" {
			t.Fatalf("%s: %s", c.name, x.unclear)
		}
		p := planFor(x, c.picks)
		if got := sends(c.film, p); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for _, i := range c.picks {
			if !slices.Contains(p.expect, int32(i)) {
				t.Errorf("%s: picture %d does not come out of %v", c.name, i, p.expect)
			}
		}
		for _, i := range c.maybe {
			if !p.maybe[i] {
				t.Errorf("%s: picture %d is not doubtful in %v", c.name, i, p.maybe)
			}
		}
		if len(p.maybe) != len(c.maybe) {
			t.Errorf("%s: doubtful are %v, want %v", c.name, p.maybe, c.maybe)
		}
	}
}

func TestUnclear(t *testing.T) {
	for words, unclear := range map[string]bool{
		"K0 p1 p2":    false,
		"K0 p1 p1":    true, // one time, two pictures
		"K0 p1 h1 p2": false,
		"C2 b0 b1 p4": true, // H.264 that begins with an open group
		"C2 b0' p4":   false,
		"C0 p1":       false,
	} {
		if x := film(t, words); (x.unclear != "") != unclear {
			t.Errorf("%s: %q", words, x.unclear)
		}
	}
}

// The plan is worth its name on real files: packets sent, of all there are.
func TestPlanLeavesOut(t *testing.T) {
	noLeaks(t)
	at := codecs.Pick{Rule: codecs.PickAt, At: []codecs.Rational{{Num: 1, Den: 3}, {Num: 9, Den: 10}}}
	for file, want := range map[string][2]int{
		"h264_bframes.mp4": {11, 60},
		"h264_opengop.mp4": {14, 60},
		"hevc.mp4":         {10, 60},
		"hevc_layers.mkv":  {9, 36},
		"av1_svt.mkv":      {12, 24},
		"mpeg4.mp4":        {20, 36},
		"vp9.webm":         {19, 36},
	} {
		f, err := open(t, load(t, file), at, Options{})
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		for _, s := range f.(*Reader).pass.plan.steps {
			if s != stepDrop {
				sent++
			}
		}
		if got := [2]int{sent, len(f.(*Reader).index.entries)}; got != want {
			t.Errorf("%s: sent %d of %d, want %v", file, got[0], got[1], want)
		}
		f.Close()
	}
}
