package video

import (
	"context"
	"io"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// FuzzOpen reads any bytes as a video, under every rule and setting. They end as frames
// whose numbers agree, or with a fault that has a code; and nothing leaks.
func FuzzOpen(f *testing.F) {
	for i, name := range []string{
		"h264_single.mp4", "h264_edits.mp4", "h264_twins.mkv", "h264_dts.mkv", "h264_mixed.mkv", "h264_recolour.mkv", "h264_untimed.ts", "h264_vfr.avi", "h264_sei.mp4",
		"hevc_pq.mp4", "hevc_gbr10.mkv", "vp9_alpha.webm", "vp9_resize.webm", "av1_pq.mp4", "ffv1_bgra.mkv", "ffv1_alpha10.mkv", "png_pal.mov",
	} {
		f.Add([]byte(load(f, name)), uint8(i), uint8(i))
	}
	lim := codecs.DefaultLimits()
	lim.MaxVideoPixels, lim.MaxFramesDecoded = 1<<18, 300
	f.Fuzz(func(t *testing.T, data []byte, rule, setting uint8) {
		container, ok := Sniff(data[:min(4096, len(data))])
		if !ok {
			return
		}
		opt := Options{Containers: []string{AVI, MPEGTS, FLV}, Codecs: []string{"ffv1"}, DecodeAll: setting&1 != 0, KeepSAR: setting&2 != 0,
			Interlaced: []string{"", Deinterlace, Refuse}[setting/4%3], HDR: []string{"", Tonemap, Refuse}[setting/12%3]}
		r, err := Open(context.Background(), bytesSource(data), container, picks[int(rule)%len(picks)], lim, opt)
		if err == nil {
			var frames []got
			frames, err = drain(t, r)
			for i, m := range r.Picks()[:len(frames)] {
				if g := frames[i]; m != (codecs.Moment{Index: int64(g.Index), PTS: g.PTS}) || i > 0 && g.PTS.Cmp(frames[i-1].PTS) <= 0 {
					t.Errorf("frame %d is %+v, picked as %+v", i, g, m)
				}
			}
			r.Close()
		}
		if err != io.EOF && codecs.AsError(err) == nil {
			t.Errorf("ended with %v, which has no code", err)
		}
		if n := LiveObjects(); n != 0 {
			t.Fatalf("%d C objects are alive", n)
		}
	})
}
