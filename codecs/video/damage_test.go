package video

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// Damaged files end as frames, or with a fault that has a code. Nothing crashes,
// hangs or leaks.
func TestDamage(t *testing.T) {
	noLeaks(t)
	names := []string{
		"av1_svt.mkv", "h264_nob.mp4", "h264_opengop.mp4", "h264_vfr.mkv", "h264_fragments.mp4", "h264_edit.mp4", "h264_10bit.mkv",
		"hevc.mp4", "hevc_10bit.mkv", "vp8.webm", "vp9.webm", "mpeg4.mp4", "mpeg4.avi", "mjpeg.mov", "png_pal.mov", "ffv1_alpha.mkv", "h264.ts", "h264_single.mp4",
	}
	files := map[string]bytesSource{}
	for _, n := range names {
		files[n] = load(t, n)
	}
	rnd := rand.New(rand.NewPCG(5, 1))
	lim := codecs.DefaultLimits()
	lim.MaxVideoPixels = 1 << 20 // a flipped size must not cost a gigabyte here
	ends := map[codecs.Code]int{}
	for i := range 200 {
		name := names[i%len(names)]
		container, _ := Sniff(files[name][:min(4096, len(files[name]))])
		src := damage(rnd, files[name])
		pick := picks[rnd.IntN(len(picks))]
		f, err := Open(context.Background(), src, container, pick, lim, Options{Containers: []string{AVI, MPEGTS}, Codecs: []string{"ffv1"}})
		if err == nil {
			_, err = drain(t, f)
			f.Close()
		}
		switch e := codecs.AsError(err); {
		case err == io.EOF:
			ends["whole"]++
		case e == nil:
			t.Errorf("%d, %s, %s: ended with %v, which has no code", i, name, pick.Rule, err)
		default:
			ends[e.Code]++
		}
		if n := LiveObjects(); n != 0 {
			t.Fatalf("%d, %s: %d C objects are alive", i, name, n)
		}
	}
	t.Log(ends)
	if ends["whole"] == 0 || ends[codecs.CodeTruncated] == 0 || ends[codecs.CodeInvalid] == 0 {
		t.Errorf("the damage is of one kind only: %v", ends)
	}
}

// damage flips some bits, cuts the end off, or takes a piece out.
func damage(rnd *rand.Rand, src bytesSource) bytesSource {
	b := bytes.Clone(src)
	switch rnd.IntN(4) {
	case 0:
		return b[:rnd.IntN(len(b))+1]
	case 1:
		from := rnd.IntN(len(b))
		to := min(len(b), from+rnd.IntN(2000))
		return append(b[:from], b[to:]...)
	case 2: // in the header, where sizes and counts are
		for range 1 + rnd.IntN(4) {
			b[rnd.IntN(min(2000, len(b)))] ^= 1 << rnd.IntN(8)
		}
	default:
		for range 1 + rnd.IntN(40) {
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		}
	}
	return b
}

// watched counts signs of life between reads.
type watched struct {
	codecs.Source
	alive int
}

func (w *watched) Alive() { w.alive++ }

// A still screen of many packets and few bytes is alive while it is decoded.
func TestAlive(t *testing.T) {
	noLeaks(t)
	w := &watched{Source: load(t, "h264_bframes.mp4")}
	f, err := Open(t.Context(), w, MP4, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	frames := 0
	for _, err = f.Next(); err == nil; _, err = f.Next() {
		frames++
	}
	if frames == 0 || w.alive < 2*frames {
		t.Errorf("%d frames came with %d signs of life; each packet of both passes should give one", frames, w.alive)
	}
}
