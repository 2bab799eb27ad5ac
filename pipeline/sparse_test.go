package pipeline

import (
	"testing"

	"github.com/millrace/millrace/codecs"
)

func TestSparseRecipe(t *testing.T) {
	fps := func(num, den int64) codecs.Pick {
		return codecs.Pick{Rule: codecs.PickFPS, Rate: codecs.Rational{Num: num, Den: den}}
	}
	for _, c := range []struct {
		name  string
		pick  codecs.Pick
		audio string
		want  bool
	}{
		{"keyframes", codecs.Pick{Rule: codecs.PickKeyframes}, "", true},
		{"times", codecs.Pick{Rule: codecs.PickAt, At: []codecs.Rational{{Num: 1, Den: 1}}}, "", true},
		{"spans", codecs.Pick{Rule: codecs.PickUniform, N: 8}, "", true},
		{"one in five seconds", fps(1, 5), "", true},
		{"one in ten seconds", fps(1, 10), "", true},
		{"one in four seconds", fps(1, 4), "", false},
		{"two a second", fps(2, 1), "", false},
		{"all", codecs.Pick{Rule: codecs.PickAll}, "", false},
		{"each tenth", codecs.Pick{Rule: codecs.PickEvery, N: 10}, "", false},
		{"a processor's choice", codecs.Pick{Rule: codecs.PickQwen2VL}, "", false},
		{"keyframes with sound", codecs.Pick{Rule: codecs.PickKeyframes}, "default", false},
	} {
		r := &Recipe{Video: VideoRules{Pick: c.pick}, Audio: AudioRules{Track: c.audio}}
		if got := r.Sparse(); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
