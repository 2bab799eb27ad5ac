package video

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// The way to RGB as the ffmpeg program is told it. Untagged pictures of this size are
// BT.601 of limited range.
const (
	sd    = "zscale=min=170m:rin=tv:m=gbr:r=full,format=gbrp"
	asIs  = "zscale=m=gbr:r=full,format=gbrp" // by the frame's own tags
	moved = "format=gbrp"                     // RGB already
	bwdif = "bwdif=mode=send_frame:parity=auto:deint=all,"
)

// tonemap is the documented rule for the given transfer.
func tonemapped(transfer string) string {
	return "zscale=min=2020_ncl:rin=tv:pin=2020:tin=" + transfer + ":t=linear:m=gbr:r=full:npl=100:agamma=0,format=gbrpf32le," +
		"zscale=p=bt709,tonemap=tonemap=hable:desat=0:peak=10,zscale=t=bt709:m=gbr:r=full:agamma=0,format=gbrp"
}

// truth is one odd file, and what is to be applied to its frames.
type truth struct {
	file, odd string
	opt       Options
	// vf is the filters for all frames; from is those for frames from some number on.
	vf   string
	from map[int]string
	// deinterlace puts bwdif before vf, for interlaced frames alone.
	deinterlace bool
	formula     *layout // measured on the first frame where it is known
	applied     string  // of all frames, each kind once
	assumed     string
	never       int  // frames that are never shown
	whole       bool // can not be planned
	end         codecs.Code
}

var bt601, bt709, bt2020 = layout{kr: 0.299, kb: 0.114}, layout{kr: 0.2126, kb: 0.0722}, layout{kr: 0.2627, kb: 0.0593}

// of fills a matrix in to a whole layout of the usual test size.
func (l layout) of(depth int, sub string, full bool, siting string) *layout {
	l.w, l.h, l.depth, l.sub, l.full, l.siting = 96, 64, depth, sub, full, siting
	return &l
}

func truths() []truth {
	const bt2020pq = "zscale=min=2020_ncl:rin=tv:m=gbr:r=full,format=gbrp"
	rgb10 := "zscale=min=gbr:rin=full:m=gbr:r=full,format=gbrp"
	return []truth{
		{file: "h264_422_10.mp4", odd: "4:2:2, 10 bit, BT.709", vf: asIs, formula: bt709.of(10, "422", false, "left")},
		{file: "h264_444_10_full.mkv", odd: "4:4:4, 10 bit, BT.709, full range", vf: asIs, formula: bt709.of(10, "444", true, "left")},
		{file: "h264_709_full.mp4", odd: "BT.709, full range", vf: asIs},
		{file: "h264_10bit.mkv", odd: "4:2:0, 10 bit, untagged", vf: sd, formula: bt601.of(10, "420", false, "left"), assumed: "matrix"},
		{file: "hevc_10bit.mkv", odd: "HEVC main 10", vf: sd, assumed: "matrix"},
		{file: "hevc_12bit.mkv", odd: "HEVC 12 bit, BT.2020 primaries", vf: asIs, formula: bt2020.of(12, "420", false, "left")},
		{file: "hevc_422_12.mkv", odd: "HEVC 4:2:2, 12 bit", vf: sd, formula: bt601.of(12, "422", false, "left"), assumed: "matrix"},
		{file: "hevc_444_10.mp4", odd: "HEVC 4:4:4, 10 bit", vf: sd, formula: bt601.of(10, "444", false, "left"), assumed: "matrix"},
		{file: "hevc_gbr10.mkv", odd: "HEVC RGB, 10 bit", vf: rgb10},
		{file: "vp9_10bit.webm", odd: "VP9 profile 2", vf: sd, formula: bt601.of(10, "420", false, "left"), assumed: "matrix"},
		{file: "vp9_444_12.webm", odd: "VP9 profile 3, 4:4:4, 12 bit", vf: sd, formula: bt601.of(12, "444", false, "left"), assumed: "matrix"},
		{file: "av1_10bit.mp4", odd: "AV1, 10 bit", vf: sd, formula: bt601.of(10, "420", false, "left"), assumed: "matrix"},
		{file: "ffv1_422_12.mkv", odd: "FFV1 4:2:2, 12 bit", vf: sd, assumed: "matrix"},
		{file: "ffv1_gray10.mkv", odd: "gray, 10 bit, full range", vf: "mergeplanes=0x000000:gbrp10," + rgb10, assumed: "matrix"},
		{file: "h264_topleft.mkv", odd: "chroma sited top left", vf: sd, formula: bt601.of(8, "420", false, "topleft"), assumed: "matrix,range"},
		{file: "vp9_alpha.webm", odd: "alpha beside the pictures", vf: sd, applied: "alpha:dropped", assumed: "matrix"},
		{file: "ffv1_alpha.mkv", odd: "alpha, 4:2:0", vf: sd, applied: "alpha:dropped", assumed: "matrix"},
		{file: "ffv1_alpha10.mkv", odd: "alpha, 10 bit", vf: sd, applied: "alpha:dropped", assumed: "matrix"},
		{file: "ffv1_bgra.mkv", odd: "alpha, RGB", vf: moved, applied: "alpha:dropped"},

		{file: "hevc_pq.mp4", odd: "PQ, kept", vf: bt2020pq, formula: bt2020.of(10, "420", false, "left"), applied: "hdr:pq"},
		{file: "hevc_pq.mp4", odd: "PQ, tone-mapped", opt: Options{HDR: Tonemap}, vf: tonemapped("smpte2084"), applied: "tonemap:hable"},
		{file: "hevc_pq.mp4", odd: "PQ, refused", opt: Options{HDR: Refuse}, end: codecs.CodeUnsupported},
		{file: "hevc_hlg.mkv", odd: "HLG, kept", vf: bt2020pq, formula: bt2020.of(10, "420", false, "left"), applied: "hdr:hlg"},
		{file: "hevc_hlg.mkv", odd: "HLG, tone-mapped", opt: Options{HDR: Tonemap}, vf: tonemapped("arib-std-b67"), applied: "tonemap:hable"},
		{file: "hevc_hlg.mkv", odd: "HLG, refused", opt: Options{HDR: Refuse}, end: codecs.CodeUnsupported},
		{file: "av1_pq.mp4", odd: "PQ without other tags", vf: bt2020pq, formula: bt2020.of(10, "420", false, "left"), applied: "hdr:pq", assumed: "primaries,matrix"},
		{file: "h264_709.mp4", odd: "no HDR: nothing to refuse", opt: Options{HDR: Refuse, Interlaced: Refuse}, vf: asIs},

		{file: "h264_interlaced.mp4", odd: "interlaced, kept", vf: sd, applied: "interlaced:tff", assumed: "matrix,range"},
		{file: "h264_interlaced.mp4", odd: "interlaced, made whole", opt: Options{Interlaced: Deinterlace}, vf: sd, deinterlace: true, applied: "deinterlaced:bwdif", assumed: "matrix,range"},
		{file: "h264_interlaced.mp4", odd: "interlaced, refused", opt: Options{Interlaced: Refuse}, end: codecs.CodeUnsupported},
		{file: "h264_bff.mkv", odd: "bottom field first, kept", vf: sd, applied: "interlaced:bff", assumed: "matrix,range"},
		{file: "h264_bff.mkv", odd: "bottom field first, made whole", opt: Options{Interlaced: Deinterlace}, vf: sd, deinterlace: true, applied: "deinterlaced:bwdif", assumed: "matrix,range"},
		{file: "h264_mixed.mkv", odd: "interlaced in parts, kept", vf: sd, applied: "interlaced:tff", assumed: "matrix,range"},
		{file: "h264_mixed.mkv", odd: "interlaced in parts, made whole", opt: Options{Interlaced: Deinterlace}, vf: sd, deinterlace: true, applied: "deinterlaced:bwdif", assumed: "matrix,range"},
		{file: "h264_bframes.mp4", odd: "not interlaced: nothing to make whole", opt: Options{Interlaced: Deinterlace}, vf: sd, assumed: "matrix,range"},

		{file: "h264_resize.mkv", odd: "size changes", vf: sd, assumed: "matrix,range"},
		{file: "vp9_resize.webm", odd: "size changes, VP9", vf: sd, assumed: "matrix"},
		{file: "h264_resar.ts", odd: "sample aspect changes", vf: sd + ",zscale=w=128:h=64:f=lanczos,format=gbrp", from: map[int]string{4: sd}, applied: "sar:4/3", assumed: "matrix,range"},
		{file: "h264_redepth.mkv", odd: "depth changes", vf: sd, assumed: "matrix,range"},
		{file: "h264_recolour.mkv", odd: "matrix and range change", vf: asIs},
		{file: "h264_cover.mp4", odd: "larger cover art", vf: sd, assumed: "matrix,range"},
		{file: "h264_cover.mkv", odd: "larger cover art", vf: sd, assumed: "matrix,range"},
		{file: "cover.m4a", odd: "cover art and sound alone", end: codecs.CodeNoVideo},
		{file: "h264_rot90.mp4", odd: "a quarter turn", vf: sd + ",transpose=clock", applied: "rotate:90", assumed: "matrix,range"},
		{file: "h264_mirror.mp4", odd: "mirrored", vf: sd + ",hflip", applied: "flip:horizontal", assumed: "matrix,range"},
		{file: "h264_mirror90.mp4", odd: "mirrored and turned", vf: sd + ",hflip,transpose=clock", applied: "flip:horizontal,rotate:90", assumed: "matrix,range"},
		{file: "h264_rot45.mp4", odd: "an eighth of a turn", vf: sd, applied: "matrix:ignored", assumed: "matrix,range"},
		{file: "h264_sei.mp4", odd: "mirrored and turned by the pictures", vf: sd + ",hflip,transpose=cclock", applied: "flip:horizontal,rotate:270", assumed: "matrix,range"},
		{file: "h264_sar43.mp4", odd: "sample aspect 4:3", vf: sd + ",zscale=w=160:h=90:f=lanczos,format=gbrp", applied: "sar:4/3", assumed: "matrix,range"},
		{file: "h264_sar34.mkv", odd: "sample aspect 3:4", vf: sd + ",zscale=w=120:h=120:f=lanczos,format=gbrp", applied: "sar:3/4", assumed: "matrix,range"},

		{file: "h264_vfr.mp4", odd: "variable rate, B-frames", vf: sd, assumed: "matrix,range"},
		{file: "h264_vfr.mkv", odd: "variable rate, milliseconds", vf: sd, assumed: "matrix,range"},
		{file: "h264_vfr.flv", odd: "variable rate, FLV", vf: sd, assumed: "matrix,range"},
		{file: "h264_bframes.mp4", odd: "B-pyramid", vf: sd, assumed: "matrix,range"},
		{file: "h264_hole.mkv", odd: "a hole of five seconds", vf: sd, assumed: "matrix,range"},
		{file: "h264_rate.mkv", odd: "wrong average rate", vf: sd, assumed: "matrix,range"},
		{file: "h264_edit.mp4", odd: "edit list into a group", vf: sd, assumed: "matrix,range"},
		{file: "h264_edits.mp4", odd: "two edits, frames left out", vf: sd, assumed: "matrix,range"},
		{file: "h264_negative.mp4", odd: "negative times", vf: sd, assumed: "matrix,range"},
		{file: "h264_late.mkv", odd: "first frame at 3.25 s", vf: sd, assumed: "matrix,range"},
		{file: "h264_delay.mp4", odd: "starts after the sound", vf: sd, assumed: "matrix,range"},
		{file: "h264_wrap.ts", odd: "33-bit clock wraps", vf: sd, assumed: "matrix,range"},
		{file: "h264_untimed.ts", odd: "one in three packets has a time", vf: sd, assumed: "matrix,range"},
		{file: "h264_vfr.avi", odd: "no presentation times", vf: sd, assumed: "matrix,range", whole: true},
		{file: "mpeg4.avi", odd: "no presentation times, packed", vf: sd, assumed: "matrix,range", whole: true},
		{file: "h264_twins.mkv", odd: "two frames of one time", vf: sd, assumed: "matrix,range", never: 3, whole: true},
		{file: "h264_dts.mkv", odd: "times in decoding order", vf: sd, assumed: "matrix,range", never: 3, whole: true},
		{file: "h264_restart.ts", odd: "times start over", end: codecs.CodeTime},
		{file: "h264_single.mp4", odd: "one frame", vf: sd, assumed: "matrix,range"},
	}
}

// The truth table: each odd file against what FFmpeg's own programs give for it, under
// every pick rule, and against the formula where the pictures are YUV of a known kind.
func TestTruthTable(t *testing.T) {
	var rows []string
	for _, c := range truths() {
		t.Run(c.file+", "+c.odd, func(t *testing.T) {
			noLeaks(t)
			rows = append(rows, c.check(t))
		})
	}
	t.Logf("\n%-21s %-38s %7s %7s %7s %-12s %s\n%s", "file", "what is odd", "frames", "hashes", "times", "colour", "applied", strings.Join(rows, "\n"))
}

// check runs one row and describes it.
func (c truth) check(t *testing.T) string {
	src := load(t, c.file)
	all, end := c.read(t, src, codecs.Pick{Rule: codecs.PickAll})
	checkEnd(t, end, c.end)
	if c.end != "" {
		if len(all) != 0 {
			t.Errorf("%d frames came before it was refused", len(all))
		}
		return fmt.Sprintf("%-21s %-38s %7d %7s %7s %-12s %s", c.file, c.odd, 0, "-", "-", "-", "refused: "+string(c.end))
	}
	wants, decoded, yuv := c.oracle(t)
	if never := decoded - len(wants); never != c.never {
		t.Errorf("%d of FFmpeg's frames are never shown, want %d", never, c.never)
	}
	if len(all) != len(wants) {
		t.Fatalf("%d frames, want %d", len(all), len(wants))
	}
	hashes, times := 0, 0
	var notes []string
	for i, f := range all {
		w := wants[i]
		if digest(sha256.Sum256(f.Pix)) == w.sha {
			hashes++
		}
		if f.PTS == w.pts && f.Duration == w.duration && f.Key == w.key && f.Index == int64(i) {
			times++
		} else {
			t.Errorf("frame %d: index %d at %s for %s, key %v; want %s for %s, %v", i, f.Index, f.PTS, f.Duration, f.Key, w.pts, w.duration, w.key)
		}
		for _, a := range f.Applied {
			if !slices.Contains(notes, a) {
				notes = append(notes, a)
			}
		}
	}
	if hashes != len(wants) {
		t.Errorf("pixels of %d of %d frames are FFmpeg's", hashes, len(wants))
	}
	if got := strings.Join(notes, ","); got != c.applied {
		t.Errorf("applied %q, want %q", got, c.applied)
	}
	if got := strings.Join(all[0].Colour.Assumed, ","); got != c.assumed {
		t.Errorf("assumed %q of %+v, want %q", got, all[0].Colour, c.assumed)
	}
	colour := "-"
	if c.formula != nil {
		most, mean := deviation(all[0].Pix, c.formula.formula(yuv))
		if colour = fmt.Sprintf("%.0f / %.4f", most, mean); most > 1 {
			t.Errorf("up to %v levels from the formula", most)
		}
	}
	c.checkPicks(t, src, all, wants)
	odd := c.odd
	if c.never > 0 {
		odd += fmt.Sprintf(", %d never shown", c.never)
	}
	n := len(wants)
	return fmt.Sprintf("%-21s %-38s %7d %7s %7s %-12s %s", c.file, odd, n, fmt.Sprintf("%d/%d", hashes, n), fmt.Sprintf("%d/%d", times, n), colour, c.applied)
}

// oracle is what FFmpeg's programs give, how many frames they decode, and the values of
// the first as they are coded, where they are to be measured.
func (c truth) oracle(t *testing.T) (wants []want, decoded int, yuv []byte) {
	file := filepath.Join(videos, c.file)
	base, frames := facts(t, file)
	put := func(sums []string, from int, interlaced bool) {
		if len(sums) != len(frames) {
			t.Fatalf("ffmpeg gave %d frames, ffprobe %d", len(sums), len(frames))
		}
		for i := from; i < len(sums); i++ {
			if !interlaced || frames[i].Interlaced == 1 {
				frames[i].sha = sums[i]
			}
		}
	}
	sums, yuv := hashes(t, file, c.vf, c.formula)
	put(sums, 0, false)
	for n, vf := range c.from {
		sums, _ = hashes(t, file, vf, nil)
		put(sums, n, false)
	}
	if c.deinterlace {
		sums, _ = hashes(t, file, bwdif+c.vf, nil)
		put(sums, 0, true)
	}
	return shown(base, frames), len(frames), yuv
}

// read gives all frames that a pick chooses, and holds them against what Picks promises.
func (c truth) read(t *testing.T, src bytesSource, pick codecs.Pick) (frames []*codecs.Frame, end error) {
	t.Helper()
	r, err := open(t, src, pick, c.opt)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	promised := r.Picks()
	for {
		f, err := r.Next()
		if err == io.EOF {
			if later := r.Picks(); !slices.Equal(promised, later) && !r.(*Reader).whole {
				t.Errorf("%s: Picks were %v, and are %v", pick.Rule, promised, later)
			}
		}
		if err != nil {
			if whole := r.(*Reader).whole; whole != c.whole && !c.opt.DecodeAll && len(frames) > 0 {
				t.Errorf("%s: everything was decoded: %v, because %q", pick.Rule, whole, r.(*Reader).index.unclear)
			}
			checkGiven(t, pick, r.Picks(), frames, err)
			return frames, err
		}
		frames = append(frames, f.Clone())
	}
}

// checkGiven holds Picks, at the end, against the frames that came.
func checkGiven(t *testing.T, pick codecs.Pick, picks []codecs.Moment, frames []*codecs.Frame, end error) {
	t.Helper()
	if end == io.EOF && len(picks) != len(frames) {
		t.Errorf("%s: Picks has %d frames, Next gave %d", pick.Rule, len(picks), len(frames))
		return
	}
	for i, f := range frames {
		if picks[i] != (codecs.Moment{Index: f.Index, PTS: f.PTS}) {
			t.Errorf("%s: frame %d is %d at %s, but picked as %+v", pick.Rule, i, f.Index, f.PTS, picks[i])
		}
	}
}

// checkPicks reads by every rule, by plan and without: the same frames as of all, and
// those that the rule's definition gives. No two have one time.
func (c truth) checkPicks(t *testing.T, src bytesSource, all []*codecs.Frame, wants []want) {
	t.Helper()
	pics := make([]picture, len(wants))
	unit := codecs.Rational{Num: 1, Den: 90_000 * 64} // a multiple of each file's ticks
	ticks := func(r codecs.Rational) int64 {
		v := r.Scaled(unit.Den, unit.Num)
		if v.Den != 1 {
			t.Fatalf("%s s is no whole number of %s s", r, unit)
		}
		return v.Num
	}
	for i, w := range wants {
		pics[i] = picture{pts: ticks(w.pts), duration: ticks(w.duration), key: w.key}
	}
	for _, pick := range picks {
		for _, whole := range []bool{false, true} {
			if pick.Rule == codecs.PickAll || whole && pick.Rule != codecs.PickFPS {
				continue // one rule will do for what a plan must not change
			}
			c.opt.DecodeAll = whole
			frames, end := c.read(t, src, pick)
			checkEnd(t, end, "")
			indices := choose(pick, unit, pics)
			if len(frames) != len(indices) {
				t.Errorf("%s: %d frames, want %d", pick.Rule, len(frames), len(indices))
				continue
			}
			for i, f := range frames {
				a := all[indices[i]]
				if f.Index != a.Index || f.PTS != a.PTS || f.Duration != a.Duration || !slices.Equal(f.Pix, a.Pix) || !slices.Equal(f.Applied, a.Applied) {
					t.Errorf("%s, all decoded %v: frame %d is not as among all: index %d at %s", pick.Rule, whole, indices[i], f.Index, f.PTS)
				}
				if i > 0 && f.PTS.Cmp(frames[i-1].PTS) <= 0 {
					t.Errorf("%s: frame %d does not come after the one before", pick.Rule, i)
				}
			}
		}
	}
}
