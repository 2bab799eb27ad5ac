package video

import (
	"context"
	"math"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// timed is a source that is told how long it lasts.
type timed struct {
	bytesSource
	told []codecs.Rational
}

func (s *timed) Lasts(seconds codecs.Rational) { s.told = append(s.told, seconds) }

// How long a medium lasts is told while it is opened, also where its container does not
// say it, or everything has to be decoded to know.
func TestLasts(t *testing.T) {
	noLeaks(t)
	for _, name := range []string{"h264_709.mp4", "h264_fragments.mp4", "h264_vfr.mkv", "vp9.webm", "h264.ts", "mpeg4.avi", "h264_hole.mkv", "h264_refresh.mkv"} {
		src := &timed{bytesSource: load(t, name)}
		container, _ := Sniff(src.bytesSource[:4096])
		f, err := Open(context.Background(), src, container, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{Containers: []string{AVI, MPEGTS}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := f.Info().Duration.Float()
		f.Close()
		if len(src.told) == 0 || math.Abs(src.told[len(src.told)-1].Float()-want) > 0.25 {
			t.Errorf("%s lasts %.3f s; told was %v", name, want, src.told)
		}
	}
}
