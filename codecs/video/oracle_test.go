package video

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// The clip16 and clip5 files come with published per-frame hashes; the others are of
// testdata/videos/make.sh. Each must give what FFmpeg's command-line tools give. The odd
// ones are in [TestTruthTable].
var clips = []struct {
	name  string
	turn  string // filters that set the picture upright
	whole bool   // can not be planned
	end   codecs.Code
}{
	{name: "av1.mp4"},
	{name: "av1_svt.mkv"},
	{name: "clip16_160x120.mkv"},
	{name: "clip16_160x120.mp4"},
	{name: "clip16_160x120_cut.mp4", whole: true, end: codecs.CodeTruncated},
	{name: "clip16_160x120_rot90.mp4", turn: "transpose=cclock"},
	{name: "clip16_160x120_vfr.mkv"},
	{name: "clip5_100x60.mkv"},
	{name: "clip5_100x60.mp4"},
	{name: "h264.ts"},
	{name: "h264_422.mp4"},
	{name: "h264_444.mp4"},
	{name: "h264_709.mp4"},
	{name: "h264_aac.mp4"},
	{name: "h264_crop.mp4"},
	{name: "h264_cut.mkv", end: codecs.CodeTruncated},
	{name: "h264_cut.mp4", whole: true, end: codecs.CodeTruncated},
	{name: "h264_fragments.mp4"},
	{name: "h264_gray.mp4"},
	{name: "h264_midgroup.mkv", whole: true},
	{name: "h264_nob.mp4"},
	{name: "h264_odd.mp4"},
	{name: "h264_opengop.mp4"},
	{name: "h264_refresh.mkv"},
	{name: "h264_rgb.mp4"},
	{name: "h264_rot180.mp4", turn: "hflip,vflip"},
	{name: "h264_rot270.mp4", turn: "transpose=cclock"},
	{name: "h264_untagged.mp4"},
	{name: "hevc.mp4"},
	{name: "hevc_layers.mkv"},
	{name: "mjpeg.mov"},
	{name: "mpeg4.mp4"},
	{name: "png_pal.mov"},
	{name: "png_rgb48.mov"},
	{name: "vp8.webm"},
	{name: "vp9.webm"},
}

// picture is one frame as FFmpeg's tools give it.
type picture struct {
	pts, duration int64
	key           bool
	w, h          int
	sha           [32]byte
}

type probed struct {
	Frames []struct {
		Pts      *int64 `json:"best_effort_timestamp"`
		Duration int64  `json:"pkt_duration"`
		Key      int    `json:"key_frame"`
		Width    int    `json:"width"`
		Height   int    `json:"height"`
		PixFmt   string `json:"pix_fmt"`
		Range    string `json:"color_range"`
		Matrix   string `json:"color_space"`
	} `json:"frames"`
	Streams []struct {
		TimeBase string `json:"time_base"`
	} `json:"streams"`
}

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && out.Len() == 0 {
		t.Fatalf("%s: %v: %s", name, err, errs.String())
	}
	return out.Bytes()
}

// oracle decodes everything with ffmpeg and ffprobe. The way to RGB is spelled out
// here again, and not taken from the code under test.
func oracle(t *testing.T, name, turn string) (base codecs.Rational, pictures []picture) {
	t.Helper()
	file := filepath.Join(videos, name)
	var p probed
	if err := json.Unmarshal(run(t, "ffprobe", "-v", "quiet", "-fflags", "+discardcorrupt", "-threads", "1", "-select_streams", "v:0",
		"-show_frames", "-show_streams", "-of", "json", file), &p); err != nil {
		t.Fatal(err)
	}
	num, den, _ := strings.Cut(p.Streams[0].TimeBase, "/")
	n, _ := strconv.ParseInt(num, 10, 64)
	d, _ := strconv.ParseInt(den, 10, 64)
	base = codecs.NewRational(n, d)

	f0 := p.Frames[0]
	format := f0.PixFmt
	matrix, rng := f0.Matrix, f0.Range
	if matrix == "" || matrix == "unknown" || matrix == "gbr" {
		matrix = "170m"
		if f0.Height >= 720 {
			matrix = "709"
		}
	}
	if rng == "" || rng == "unknown" {
		rng = "tv"
	}
	var vf []string
	raw := "rgb24"
	bytesPerPixel := 3
	switch {
	case format == "gray":
		raw, bytesPerPixel = "gray", 1
	case format == "rgb48be":
		raw, bytesPerPixel = "rgb48le", 6
	case strings.HasPrefix(format, "yuv"):
		vf = append(vf, fmt.Sprintf("zscale=min=%s:rin=%s:m=gbr:r=full", matrix, rng), "format=gbrp")
	}
	if turn != "" {
		vf = append(vf, turn)
	}
	vf = append(vf, "format="+raw)
	all := run(t, "ffmpeg", "-nostdin", "-v", "quiet", "-fflags", "+discardcorrupt", "-threads", "1", "-noautorotate", "-copyts", "-i", file, "-map", "0:v:0",
		"-autoscale", "0", "-vf", strings.Join(vf, ","), "-fps_mode", "passthrough", "-f", "rawvideo", "-")
	for i, f := range p.Frames {
		pic := picture{duration: f.Duration, key: f.Key == 1, w: f.Width, h: f.Height}
		switch {
		case f.Pts != nil:
			pic.pts = *f.Pts
		case i > 0: // no time of its own: when the one before ends
			pic.pts = pictures[i-1].pts + pictures[i-1].duration
		}
		if strings.Contains(turn, "transpose") {
			pic.w, pic.h = pic.h, pic.w
		}
		n := pic.w * pic.h * bytesPerPixel
		if len(all) < n {
			t.Fatalf("ffmpeg gave too few bytes for %d frames", len(p.Frames))
		}
		pic.sha = sha256.Sum256(toRGB(all[:n], raw, rng == "tv"))
		all = all[n:]
		pictures = append(pictures, pic)
	}
	if len(all) != 0 {
		t.Fatalf("ffmpeg gave %d bytes more than %d frames have", len(all), len(p.Frames))
	}
	return base, pictures
}

// toRGB expands what ffmpeg gave in a format of more than 8 bits, or in gray.
func toRGB(b []byte, format string, limited bool) []byte {
	full := func(v, depth int) byte {
		x := float64(v) / float64(int(1)<<depth-1)
		if limited && strings.HasPrefix(format, "gray") {
			x = (float64(v) - float64(int(16)<<depth>>8)) / float64(int(219)<<depth>>8)
		}
		return byte(max(0, min(255, x*255+0.5)))
	}
	var out []byte
	switch format {
	case "gray":
		for _, v := range b {
			g := full(int(v), 8)
			out = append(out, g, g, g)
		}
	case "rgb48le":
		for i := 0; i < len(b); i += 2 {
			out = append(out, full(int(binary.LittleEndian.Uint16(b[i:])), 16))
		}
	default:
		return b
	}
	return out
}

var picks = []codecs.Pick{
	{Rule: codecs.PickAll},
	{Rule: codecs.PickFPS, Rate: codecs.Rational{Num: 2, Den: 1}},
	{Rule: codecs.PickEvery, N: 3},
	{Rule: codecs.PickUniform, N: 4},
	{Rule: codecs.PickKeyframes},
	{Rule: codecs.PickAt, At: []codecs.Rational{{Num: -1, Den: 4}, {Num: 1, Den: 3}, {Num: 1, Den: 2}, {Num: 21, Den: 20}, {Num: 7, Den: 2}}},
}

// choose applies a pick's definition to the letter: it walks the times.
func choose(p codecs.Pick, base codecs.Rational, pics []picture) []int {
	last := len(pics) - 1
	end := pics[last].pts + pics[last].duration
	if end <= pics[last].pts {
		end = pics[last].pts + 1
		if last > 0 && pics[last].pts > pics[last-1].pts {
			end = 2*pics[last].pts - pics[last-1].pts
		}
	}
	sec := func(ticks int64) *big.Rat {
		return new(big.Rat).Mul(new(big.Rat).SetInt64(ticks), new(big.Rat).SetFrac64(base.Num, base.Den))
	}
	shown := func(at *big.Rat) int {
		n := -1
		for i, pic := range pics {
			if sec(pic.pts).Cmp(at) <= 0 {
				n = i
			}
		}
		return n
	}
	var out []int
	add := func(i int) {
		if i >= 0 && !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	start, stop := sec(pics[0].pts), sec(end)
	span := new(big.Rat).Sub(stop, start)
	switch p.Rule {
	case codecs.PickFPS:
		for k := int64(0); ; k++ {
			at := new(big.Rat).Add(start, new(big.Rat).SetFrac64(k*p.Rate.Den, p.Rate.Num))
			if at.Cmp(stop) >= 0 {
				break
			}
			add(shown(at))
		}
	case codecs.PickUniform:
		for i := range p.N {
			part := new(big.Rat).SetFrac64(int64(2*i+1), int64(2*p.N))
			add(shown(part.Add(start, part.Mul(part, span))))
		}
	case codecs.PickAt:
		for _, at := range p.At {
			add(shown(new(big.Rat).SetFrac64(at.Num, at.Den)))
		}
	default:
		for i, pic := range pics {
			if p.Rule == codecs.PickAll || p.Rule == codecs.PickEvery && i%p.N == 0 || p.Rule == codecs.PickKeyframes && pic.key {
				add(i)
			}
		}
	}
	return out
}

// got is one frame as we give it.
type got struct {
	Index, W, H int
	PTS         codecs.Rational
	Key         bool
	SHA         [32]byte
}

// drain reads all frames and how they ended.
func drain(t *testing.T, f codecs.Frames) (frames []got, end error) {
	t.Helper()
	for {
		fr, err := f.Next()
		if err != nil {
			return frames, err
		}
		if len(fr.Pix) != fr.Width*fr.Height*3 {
			t.Fatalf("frame %d: %d bytes for %dx%d", fr.Index, len(fr.Pix), fr.Width, fr.Height)
		}
		frames = append(frames, got{int(fr.Index), fr.Width, fr.Height, fr.PTS, fr.Key, sha256.Sum256(fr.Pix)})
	}
}

func TestEqualsFFmpeg(t *testing.T) {
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			base, pics := oracle(t, c.name, c.turn)
			src := load(t, c.name)
			for _, pick := range picks {
				var want []got
				for _, i := range choose(pick, base, pics) {
					p := pics[i]
					want = append(want, got{i, p.w, p.h, codecs.Rational{Num: p.pts, Den: 1}.Scaled(base.Num, base.Den), p.key, p.sha})
				}
				for _, all := range []bool{false, true} {
					if all && pick.Rule != codecs.PickFPS {
						continue // one rule will do: the plan is checked against ffmpeg itself
					}
					f, err := open(t, src, pick, Options{DecodeAll: all})
					if err != nil {
						t.Fatalf("%s: %v", pick.Rule, err)
					}
					if r := f.(*Reader); r.whole != c.whole && !all {
						t.Errorf("%s: planned: %v, because %q", pick.Rule, !r.whole, r.index.unclear)
					}
					frames, end := drain(t, f)
					if whole := f.(*Reader).whole; whole != c.whole && !all {
						t.Errorf("%s: fell back to decoding everything", pick.Rule)
					}
					f.Close()
					checkEnd(t, end, c.end)
					compare(t, fmt.Sprintf("%s, all %v", pick.Rule, all), frames, want)
				}
			}
		})
	}
}

func checkEnd(t *testing.T, end error, want codecs.Code) {
	t.Helper()
	if want == "" && end == io.EOF {
		return
	}
	if e := codecs.AsError(end); e != nil && e.Code == want {
		return
	}
	t.Errorf("ended with %v, want %q", end, want)
}

func compare(t *testing.T, what string, frames, want []got) {
	t.Helper()
	if len(frames) != len(want) {
		t.Errorf("%s: %d frames, want %d", what, len(frames), len(want))
		return
	}
	for i := range frames {
		if !reflect.DeepEqual(frames[i], want[i]) {
			f, w := frames[i], want[i]
			t.Errorf("%s: frame %d: index %d %dx%d at %s key %v, pixels equal %v; want index %d %dx%d at %s key %v",
				what, i, f.Index, f.W, f.H, f.PTS, f.Key, f.SHA == w.SHA, w.Index, w.W, w.H, w.PTS, w.Key)
			return
		}
	}
}
