package video

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// Hard synthetic pictures (noise in all three planes, and full-contrast edges) must
// come out within one level of the formula in float64: bilinear chroma where the tags
// place it, the matrix and the range of the tags, rounding to nearest.
func TestColourFormula(t *testing.T) {
	noLeaks(t)
	var kinds [][]kind // of one size, depth and subsampling each
	for _, depth := range []int{8, 10, 12} {
		for _, sub := range []string{"420", "422", "444"} {
			var same []kind
			for _, full := range []bool{false, true} {
				same = append(same, kind{*bt601.of(depth, sub, full, "left"), "smpte170m", false},
					kind{*bt709.of(depth, sub, full, "left"), "bt709", false}, kind{*bt2020.of(depth, sub, full, "left"), "bt2020nc", false})
			}
			if sub == "420" {
				same = append(same, kind{*bt2020.of(depth, sub, false, "topleft"), "bt2020nc", false}, kind{*bt601.of(depth, sub, true, "center"), "smpte170m", false})
			}
			kinds = append(kinds, same)
		}
	}
	// Sizes that no block divides, and what stands in for missing tags.
	odd, low, high := *bt709.of(8, "420", true, "left"), *bt601.of(8, "420", false, "left"), *bt709.of(8, "420", false, "left")
	odd.w, odd.h, low.h, high.h = 62, 50, 718, 720
	kinds = append(kinds, []kind{{odd, "bt709", false}}, []kind{{low, "smpte170m", true}}, []kind{{high, "bt709", true}})
	var rows []string
	for _, same := range kinds {
		yuv := hardPicture(same[0].layout)
		for i, src := range encode(t, yuv, same) {
			k := same[i]
			most, mean := k.measure(t, src, yuv)
			if most > 1 || mean > 0.01 {
				t.Errorf("%s: up to %v levels off, %v in the mean", k, most, mean)
			}
			rows = append(rows, fmt.Sprintf("%s %3.0f %9.5f", k, most, mean))
		}
	}
	t.Logf("largest and mean difference to the formula, in levels of 255\n%s", strings.Join(rows, "\n"))
}

// kind is a layout of planes with the name of its matrix.
type kind struct {
	layout
	matrix   string
	untagged bool
}

func (k kind) rng() string {
	if k.full {
		return "pc"
	}
	return "tv"
}

func (k kind) String() string {
	return fmt.Sprintf("%-12s %-10s %-3s %-8s", k.format(), k.matrix, k.rng(), k.siting)
}

// measure is how far a picture comes out from the formula.
func (k kind) measure(t *testing.T, src bytesSource, yuv []byte) (most, mean float64) {
	t.Helper()
	f, err := open(t, src, codecs.Pick{Rule: codecs.PickAll}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fr, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	if fr.Colour.Matrix != k.matrix || fr.Colour.Range != k.rng() || (fr.Colour.Assumed != nil) != k.untagged {
		t.Errorf("colour is %+v", fr.Colour)
	}
	return deviation(fr.Pix, k.formula(yuv))
}

func hardPicture(l layout) []byte {
	rnd := rand.New(rand.NewPCG(uint64(l.w), uint64(l.h)))
	top := 1<<l.depth - 1
	var b []byte
	for i := range l.bytes() / l.wide() {
		v := rnd.IntN(top + 1)
		if i%7 == 0 {
			v = rnd.IntN(2) * top
		}
		b = append(b, byte(v))
		if l.wide() == 2 {
			b = append(b, byte(v>>8))
		}
	}
	return b
}

// encode makes lossless files of one picture, with the tags of each kind.
func encode(t *testing.T, yuv []byte, kinds []kind) []bytesSource {
	t.Helper()
	l, dir := kinds[0].layout, t.TempDir()
	args := []string{"-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", l.format(), "-s", fmt.Sprintf("%dx%d", l.w, l.h), "-r", "10", "-i", "-"}
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%d.mkv", i)) }
	for i, k := range kinds {
		args = append(args, "-c:v", "ffv1", "-level", "3", "-threads", "1")
		if !k.untagged {
			args = append(args, "-colorspace", k.matrix, "-color_range", k.rng(), "-chroma_sample_location", k.siting)
		}
		args = append(args, name(i))
	}
	cmd := exec.Command("ffmpeg", args...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(yuv), os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	var files []bytesSource
	for i := range kinds {
		files = append(files, loadFile(t, name(i)))
	}
	return files
}

func TestTagColour(t *testing.T) {
	yuv, yuvj, rgb := astiav.FindPixelFormatByName("yuv420p"), astiav.FindPixelFormatByName("yuvj420p"), astiav.FindPixelFormatByName("gbrp")
	for _, c := range []struct {
		name          string
		in            tags
		format        astiav.PixelFormat
		height        int
		matrix, rng   string
		assumed       int
		limitedExpand bool
	}{
		{"untagged SD", tags{matrix: 2}, yuv, 576, "smpte170m", "tv", 2, true},
		{"untagged HD", tags{matrix: 2}, yuv, 720, "bt709", "tv", 2, true},
		{"yuvj is full by name", tags{matrix: 5}, yuvj, 720, "bt470bg", "pc", 0, false},
		{"RGB tag on YUV pixels is no tag", tags{matrix: 0, rng: 1}, yuv, 100, "smpte170m", "tv", 1, true},
		{"reserved", tags{matrix: 3, rng: 2}, yuv, 100, "smpte170m", "pc", 1, false},
		{"unheard of", tags{matrix: 99, rng: 2}, yuv, 100, "smpte170m", "pc", 1, false},
		{"RGB", tags{matrix: 2}, rgb, 1080, "gbr", "pc", 0, false},
	} {
		got := tagColour(c.in, c.format, c.height)
		if got.Matrix != c.matrix || got.Range != c.rng || len(got.Assumed) != c.assumed || got.limited != c.limitedExpand {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestSquare(t *testing.T) {
	for _, c := range []struct {
		sar    codecs.Rational
		w, h   int
		scaled bool
	}{
		{codecs.Rational{}, 100, 60, false},
		{codecs.Rational{Num: 1, Den: 1}, 100, 60, false},
		{codecs.Rational{Num: 4, Den: 3}, 133, 60, true},
		{codecs.Rational{Num: 8, Den: 9}, 100, 68, true},
		{codecs.Rational{Num: 1_000_000, Den: 1}, 100, 60, false},
		{codecs.Rational{Num: 1, Den: 17}, 100, 60, false},
	} {
		if w, h, ok := square(100, 60, c.sar); w != c.w || h != c.h || ok != c.scaled {
			t.Errorf("%v: %dx%d, %v", c.sar, w, h, ok)
		}
	}
}
