package video

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// Hard synthetic pictures (noise in all three planes, and full-contrast edges) must
// come out within one level of the formula in float64: bilinear chroma, sited left,
// the matrix of the tags, rounding to nearest.
func TestColourFormula(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct {
		tag            string
		kr, kb         float64
		width, height  int
		full, untagged bool
	}{
		{"smpte170m", 0.299, 0.114, 64, 48, false, false},
		{"smpte170m", 0.299, 0.114, 64, 48, true, false},
		{"bt709", 0.2126, 0.0722, 64, 48, false, false},
		{"bt709", 0.2126, 0.0722, 62, 50, true, false},
		{"bt2020nc", 0.2627, 0.0593, 64, 48, false, false},
		{"smpte170m", 0.299, 0.114, 64, 718, false, true},
		{"bt709", 0.2126, 0.0722, 64, 720, false, true},
	} {
		t.Run(fmt.Sprintf("%s full %v untagged %v", c.tag, c.full, c.untagged), func(t *testing.T) {
			w, h := c.width, c.height
			yuv := hardPicture(w, h)
			rng := "tv"
			if c.full {
				rng = "pc"
			}
			tags := []string{"-colorspace", c.tag, "-color_range", rng}
			if c.untagged {
				tags = nil
			}
			f, err := open(t, encode(t, yuv, w, h, tags), codecs.Pick{Rule: codecs.PickAll}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			fr, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if fr.Colour.Matrix != c.tag || fr.Colour.Range != rng || (fr.Colour.Assumed != nil) != c.untagged {
				t.Errorf("colour is %+v", fr.Colour)
			}
			worst, differ := 0.0, 0
			for y := range h {
				for x := range w {
					want := formula(yuv, w, h, x, y, c.kr, c.kb, c.full)
					for ch := range 3 {
						d := math.Abs(float64(fr.Pix[(y*w+x)*3+ch]) - want[ch])
						worst = max(worst, d)
						if d > 0 {
							differ++
						}
					}
				}
			}
			if worst > 1 {
				t.Errorf("up to %v levels off", worst)
			}
			if share := float64(differ) / float64(w*h*3); share > 0.01 {
				t.Errorf("%.2f %% of the values are a level off", share*100)
			}
		})
	}
}

func hardPicture(w, h int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	b := make([]byte, w*h*3/2)
	for i := range b {
		switch {
		case i%7 == 0:
			b[i] = byte(rnd.IntN(2)) * 255
		default:
			b[i] = byte(rnd.IntN(256))
		}
	}
	return b
}

// encode makes a lossless 4:2:0 file of one picture.
func encode(t *testing.T, yuv []byte, w, h int, tags []string) bytesSource {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.mkv")
	args := []string{"-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", fmt.Sprintf("%dx%d", w, h), "-r", "10", "-i", "-", "-c:v", "ffv1", "-threads", "1"}
	cmd := exec.Command("ffmpeg", append(append(args, tags...), file)...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(yuv), os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return loadFile(t, file)
}

func formula(yuv []byte, w, h, x, y int, kr, kb float64, full bool) [3]float64 {
	cw, ch := w/2, h/2
	plane := func(p int) float64 {
		// Luma x lies on chroma x/2; luma y lies at chroma y/2 - 1/4.
		px, py := float64(x)/2, float64(y)/2-0.25
		x0, y0 := int(math.Floor(px)), int(math.Floor(py))
		fx, fy := px-float64(x0), py-float64(y0)
		at := func(x, y int) float64 {
			x, y = max(0, min(cw-1, x)), max(0, min(ch-1, y))
			return float64(yuv[w*h+p*cw*ch+y*cw+x])
		}
		return (at(x0, y0)*(1-fx)+at(x0+1, y0)*fx)*(1-fy) + (at(x0, y0+1)*(1-fx)+at(x0+1, y0+1)*fx)*fy
	}
	l, cb, cr := float64(yuv[y*w+x]), plane(0)-128, plane(1)-128
	if full {
		l, cb, cr = l/255, cb/255, cr/255
	} else {
		l, cb, cr = (l-16)/219, cb/224, cr/224
	}
	r := l + 2*(1-kr)*cr
	b := l + 2*(1-kb)*cb
	g := (l - kr*r - kb*b) / (1 - kr - kb)
	out := [3]float64{r, g, b}
	for i := range out {
		out[i] = max(0, min(255, math.Floor(out[i]*255+0.5)))
	}
	return out
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
