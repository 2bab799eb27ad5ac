package video

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// fact is one frame of a track as FFmpeg's tools tell it.
type fact struct {
	Pts        *int64 `json:"best_effort_timestamp"`
	Duration   int64  `json:"pkt_duration"`
	Key        int    `json:"key_frame"`
	Interlaced int    `json:"interlaced_frame"`
	sha        string
}

// facts asks ffprobe for the track's frames.
func facts(t *testing.T, file string) (base codecs.Rational, frames []fact) {
	t.Helper()
	var p struct {
		Frames  []fact
		Streams []struct {
			TimeBase string `json:"time_base"`
		}
	}
	if err := json.Unmarshal(run(t, "ffprobe", "-v", "quiet", "-threads", "1", "-select_streams", "v:0", "-show_frames", "-show_streams", "-of", "json", file), &p); err != nil {
		t.Fatal(err)
	}
	num, den, _ := strings.Cut(p.Streams[0].TimeBase, "/")
	n, _ := strconv.ParseInt(num, 10, 64)
	d, _ := strconv.ParseInt(den, 10, 64)
	return codecs.NewRational(n, d), p.Frames
}

// hashes runs the ffmpeg program over the track and returns the SHA-256 of each frame's
// RGB bytes, of every frame that is decoded, once; and, in the same run, the first
// frame's own values if their layout is given.
func hashes(t *testing.T, file, vf string, l *layout) (sums []string, yuv []byte) {
	t.Helper()
	args := []string{"-nostdin", "-v", "quiet", "-threads", "1", "-noautorotate", "-copyts", "-i", file, "-map", "0:v:0", "-autoscale", "0",
		"-vf", vf, "-fps_mode", "passthrough", "-c:v", "rawvideo", "-pix_fmt", "rgb24", "-f", "framehash", "-hash", "sha256", "-"}
	coded := filepath.Join(t.TempDir(), "coded")
	if l != nil {
		args = append(args, "-map", "0:v:0", "-frames:v", "1", "-pix_fmt", l.format(), "-f", "rawvideo", coded)
	}
	for line := range strings.Lines(string(run(t, "ffmpeg", args...))) {
		if !strings.HasPrefix(line, "#") {
			f := strings.Split(strings.TrimSpace(line), ",")
			sums = append(sums, strings.TrimSpace(f[len(f)-1]))
		}
	}
	if l != nil {
		if yuv = loadFile(t, coded); len(yuv) != l.bytes() {
			t.Fatalf("%s: %d bytes of %+v", file, len(yuv), l)
		}
	}
	return sums, yuv
}

// shown is the timeline that the facts make, by the rules of this package: frames of no
// time follow the one before, and those that share a time with a later one or come
// after their time are not in it.
func shown(base codecs.Rational, frames []fact) []want {
	var out []want
	var ticks []int64
	end := int64(math.MinInt64)
	for _, f := range frames {
		pts := end
		if f.Pts != nil {
			pts = *f.Pts
		}
		n := len(out)
		switch {
		case n > 0 && pts < ticks[n-1]:
			continue
		case n > 0 && pts == ticks[n-1]:
			out, ticks = out[:n-1], ticks[:n-1]
		}
		out, ticks, end = append(out, want{key: f.Key == 1, sha: f.sha}), append(ticks, pts), pts+f.Duration
	}
	n := len(ticks)
	if n > 1 && end <= ticks[n-1] {
		end = 2*ticks[n-1] - ticks[n-2]
	}
	for i := range out {
		until := end
		if i+1 < n {
			until = ticks[i+1]
		}
		out[i].pts = codecs.Rational{Num: ticks[i], Den: 1}.Scaled(base.Num, base.Den)
		out[i].duration = codecs.Rational{Num: until - ticks[i], Den: 1}.Scaled(base.Num, base.Den)
	}
	return out
}

// want is one frame of the timeline as it must come.
type want struct {
	pts, duration codecs.Rational
	key           bool
	sha           string
}

func digest(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

// layout is how YUV planes are stored and to be read.
type layout struct {
	w, h, depth int
	sub         string  // "420", "422", "444"
	kr, kb      float64 // luma weights of red and blue
	full        bool
	siting      string // "left", "center", "topleft"
}

func (l layout) format() string {
	f := "yuv" + l.sub + "p"
	if l.depth > 8 {
		f += fmt.Sprintf("%dle", l.depth)
	}
	return f
}

// chroma is the size of a chroma plane.
func (l layout) chroma() (w, h int) {
	w, h = l.w, l.h
	if l.sub != "444" {
		w = (w + 1) / 2
	}
	if l.sub == "420" {
		h = (h + 1) / 2
	}
	return w, h
}

// bytes is the size of a picture, and wide of a value.
func (l layout) bytes() int {
	w, h := l.chroma()
	return (l.w*l.h + 2*w*h) * l.wide()
}

func (l layout) wide() int { return (l.depth + 7) / 8 }

// formula is the RGB of a picture in float64, in levels of 255, not rounded: bilinear
// chroma at its siting, the matrix by its two weights, the range by its bounds.
func (l layout) formula(yuv []byte) []float64 {
	cw, ch := l.chroma()
	at := func(i int) float64 {
		if l.wide() == 2 {
			return float64(binary.LittleEndian.Uint16(yuv[2*i:]))
		}
		return float64(yuv[i])
	}
	// Chroma sample i lies at luma 2i+off.
	place := func(x int, halved bool, off float64) (float64, float64) {
		if !halved {
			return float64(x), 0
		}
		p := (float64(x) - off) / 2
		return math.Floor(p), p - math.Floor(p)
	}
	xoff, yoff := 0.0, 0.5
	if l.siting == "center" {
		xoff = 0.5
	}
	if l.siting == "topleft" {
		yoff = 0
	}
	one := float64(int(1) << (l.depth - 8))
	top := float64(int(1)<<l.depth - 1)
	out := make([]float64, 0, 3*l.w*l.h)
	for y := range l.h {
		for x := range l.w {
			x0, fx := place(x, l.sub != "444", xoff)
			y0, fy := place(y, l.sub == "420", yoff)
			plane := func(p int) float64 {
				v := func(dx, dy int) float64 {
					cx, cy := max(0, min(cw-1, int(x0)+dx)), max(0, min(ch-1, int(y0)+dy))
					return at(l.w*l.h + p*cw*ch + cy*cw + cx)
				}
				return (v(0, 0)*(1-fx)+v(1, 0)*fx)*(1-fy) + (v(0, 1)*(1-fx)+v(1, 1)*fx)*fy - 128*one
			}
			luma, cb, cr := at(y*l.w+x), plane(0), plane(1)
			if l.full {
				luma, cb, cr = luma/top, cb/top, cr/top
			} else {
				luma, cb, cr = (luma-16*one)/(219*one), cb/(224*one), cr/(224*one)
			}
			r := luma + 2*(1-l.kr)*cr
			b := luma + 2*(1-l.kb)*cb
			g := (luma - l.kr*r - l.kb*b) / (1 - l.kr - l.kb)
			for _, v := range []float64{r, g, b} {
				out = append(out, max(0, min(255, v*255)))
			}
		}
	}
	return out
}

// deviation is how far RGB bytes are from the formula's levels, rounded to nearest.
func deviation(pix []byte, levels []float64) (most, mean float64) {
	for i, v := range levels {
		d := math.Abs(float64(pix[i]) - math.Floor(v+0.5))
		most, mean = max(most, d), mean+d
	}
	return most, mean / float64(len(levels))
}
