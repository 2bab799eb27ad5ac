package video

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// firstError opens and drains; it returns whichever fails, or nil.
func firstError(t *testing.T, src codecs.Source, container string, pick codecs.Pick, lim codecs.Limits, opt Options) error {
	t.Helper()
	f, err := Open(context.Background(), src, container, pick, lim, opt)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = drain(t, f); err == io.EOF {
		return nil
	}
	return err
}

func TestRefusals(t *testing.T) {
	all := codecs.Pick{Rule: codecs.PickAll}
	for _, c := range []struct {
		name  string
		file  string
		limit func(*codecs.Limits)
		want  codecs.Code
	}{
		{"sound only", "audio.mp4", nil, codecs.CodeNoVideo},
		{"cover art only", "cover.m4a", nil, codecs.CodeNoVideo},
		{"common encryption", "h264_cenc.mp4", nil, codecs.CodeEncrypted},
		{"index never written", "h264_nomoov.mp4", nil, codecs.CodeTruncated},
		{"container that is off", "mpeg4.avi", nil, codecs.CodeFormatDenied},
		{"codec that is off", "huffyuv.mkv", nil, codecs.CodeFormatDenied},
		{"streams", "h264_aac.mp4", func(l *codecs.Limits) { l.MaxStreams = 1 }, codecs.CodeLimitStreams},
		{"side", "h264_nob.mp4", func(l *codecs.Limits) { l.MaxSide = 95 }, codecs.CodeLimitPixels},
		{"pixels", "h264_nob.mp4", func(l *codecs.Limits) { l.MaxVideoPixels = 96*64 - 1 }, codecs.CodeLimitPixels},
		{"pixels after squaring", "h264_sar43.mp4", func(l *codecs.Limits) { l.MaxVideoPixels = 160*90 - 1 }, codecs.CodeLimitPixels},
		{"frames decoded", "h264_nob.mp4", func(l *codecs.Limits) { l.MaxFramesDecoded = 29 }, codecs.CodeLimitFrames},
		{"frames kept", "h264_nob.mp4", func(l *codecs.Limits) { l.MaxFramesKept = 29 }, codecs.CodeLimitFrames},
		{"duration", "h264_vfr.mkv", func(l *codecs.Limits) { l.MaxDuration = 1 }, codecs.CodeLimitDuration},
		{"frame rate", "h264_interlaced.mp4", func(l *codecs.Limits) { l.MaxFPS = 20 }, codecs.CodeLimitFPS},
		{"size changes", "h264_resize.mkv", func(l *codecs.Limits) { l.MaxSizeChanges = 1 }, codecs.CodeLimitChanges},
		{"at the limits", "h264_nob.mp4", func(l *codecs.Limits) {
			l.MaxSide, l.MaxVideoPixels, l.MaxFramesKept, l.MaxFramesDecoded, l.MaxStreams = 96, 96*64, 30, 30, 1
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			lim := codecs.DefaultLimits()
			if c.limit != nil {
				c.limit(&lim)
			}
			src := load(t, c.file)
			container, _ := Sniff(src)
			err := firstError(t, src, container, all, lim, Options{})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := codecs.AsError(err)
			if e == nil || e.Code != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if e.Stage == "" || e.Detail == "" {
				t.Errorf("%#v says too little", e)
			}
		})
	}
}

// What the settings refuse has a stable code, and names the setting.
func TestSettingsRefuse(t *testing.T) {
	all := codecs.Pick{Rule: codecs.PickAll}
	for _, c := range []struct {
		name, file, container string
		opt                   Options
		want                  codecs.Code
		says                  string
	}{
		{"interlaced", "h264_interlaced.mp4", MP4, Options{Interlaced: Refuse}, codecs.CodeUnsupported, "interlaced: refuse"},
		{"interlaced from frame 8 on", "h264_mixed.mkv", Matroska, Options{Interlaced: Refuse}, codecs.CodeUnsupported, "frame 8"},
		{"PQ", "hevc_pq.mp4", MP4, Options{HDR: Refuse}, codecs.CodeUnsupported, "hdr: refuse"},
		{"HLG", "hevc_hlg.mkv", Matroska, Options{HDR: Refuse}, codecs.CodeUnsupported, "(hlg)"},
		{"HDR alone", "h264_interlaced.mp4", MP4, Options{HDR: Refuse}, "", ""},
		{"fields alone", "hevc_pq.mp4", MP4, Options{Interlaced: Refuse}, "", ""},
		{"two recordings in one", "h264_restart.ts", MPEGTS, Options{Containers: []string{MPEGTS}}, codecs.CodeTime, "start over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			err := firstError(t, load(t, c.file), c.container, all, codecs.DefaultLimits(), c.opt)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e := codecs.AsError(err); e == nil || e.Code != c.want || !strings.Contains(e.Detail, c.says) {
				t.Errorf("got %v, want %s and %q", err, c.want, c.says)
			}
		})
	}
	for _, opt := range []Options{{Interlaced: "weave"}, {HDR: "clip"}, {Interlaced: Tonemap}} {
		err := firstError(t, load(t, "h264_nob.mp4"), MP4, all, codecs.DefaultLimits(), opt)
		if err == nil || codecs.AsError(err) != nil {
			t.Errorf("%+v: %v, which should be a fault of the settings", opt, err)
		}
	}
}

func TestOptionsSwitchOn(t *testing.T) {
	noLeaks(t)
	lim, all := codecs.DefaultLimits(), codecs.Pick{Rule: codecs.PickAll}
	if err := firstError(t, load(t, "mpeg4.avi"), AVI, all, lim, Options{Containers: []string{AVI}}); err != nil {
		t.Error(err)
	}
	if err := firstError(t, load(t, "huffyuv.mkv"), Matroska, all, lim, Options{Codecs: []string{"huffyuv"}}); err != nil {
		t.Error(err)
	}
	// A playlist can not be reached by any name.
	playlist := bytesSource("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
	for _, c := range []string{"hls", "concat", "dash", "applehttp", ""} {
		err := firstError(t, playlist, c, all, lim, Options{Containers: []string{c}})
		if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeFormatDenied {
			t.Errorf("%q: %v", c, err)
		}
	}
	err := firstError(t, playlist, MP4, all, lim, Options{})
	if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeInvalid {
		t.Errorf("as mp4: %v", err)
	}
}

// failing is a source that can not be read from some byte on.
type failing struct {
	bytesSource
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.bytesSource.ReadAt(p, at)
}

func TestSourceFailureIsNotTheMediasFault(t *testing.T) {
	noLeaks(t)
	broken := errors.New("the network is gone")
	src := load(t, "h264_bframes.mp4")
	for from := int64(0); from < src.Size(); from += 9_001 {
		err := firstError(t, failing{src, from, broken}, MP4, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{})
		if !errors.Is(err, broken) || codecs.AsError(err) != nil {
			t.Errorf("from byte %d: %v", from, err)
		}
	}
}

type panicking struct{ bytesSource }

func (panicking) ReadAt([]byte, int64) (int, error) { panic("no") }

func TestPanickingSource(t *testing.T) {
	noLeaks(t)
	err := firstError(t, panicking{load(t, "vp9.webm")}, WebM, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{})
	if err == nil || codecs.AsError(err) != nil {
		t.Errorf("got %v", err)
	}
}

func TestCancel(t *testing.T) {
	noLeaks(t)
	src := load(t, "h264_bframes.mp4")
	ctx, cancel := context.WithCancel(context.Background())
	f, err := Open(ctx, src, MP4, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = f.Next()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Next: %v", err)
	}
	if f.Close() != nil || f.Close() != nil {
		t.Error("closing twice")
	}
	if _, err := Open(ctx, src, MP4, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}

func TestProbe(t *testing.T) {
	noLeaks(t)
	info, err := Probe(context.Background(), load(t, "h264_rot90.mp4"), MP4, codecs.DefaultLimits(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Codec != "h264" || info.Width != 96 || info.Height != 64 || info.Rotation != 90 || info.FrameRate != (codecs.Rational{Num: 15, Den: 1}) {
		t.Errorf("got %+v", info)
	}
	info, err = Probe(context.Background(), load(t, "h264_709_full.mp4"), MP4, codecs.DefaultLimits(), Options{})
	if err != nil || info.Colour.Matrix != "bt709" || info.Colour.Range != "pc" || info.Colour.Transfer != "bt709" || info.Colour.Assumed != nil {
		t.Errorf("got %+v, %v", info.Colour, err)
	}
	if _, err := Probe(context.Background(), load(t, "audio.mp4"), MP4, codecs.DefaultLimits(), Options{}); codecs.AsError(err) == nil {
		t.Errorf("sound: %v", err)
	}
}

func TestApplied(t *testing.T) {
	noLeaks(t)
	for file, want := range map[string]string{
		"h264_rot270.mp4": "rotate:270",
		"h264_sar43.mp4":  "sar:4/3",
		"ffv1_alpha.mkv":  "alpha:dropped",
		"h264_nob.mp4":    "",
	} {
		src := load(t, file)
		f, err := open(t, src, codecs.Pick{Rule: codecs.PickUniform, N: 1}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		fr, err := f.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(fr.Applied, ","); got != want {
			t.Errorf("%s: applied %q, want %q", file, got, want)
		}
		f.Close()
	}
	f, err := open(t, load(t, "h264_sar43.mp4"), codecs.Pick{Rule: codecs.PickUniform, N: 1}, Options{KeepSAR: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fr, err := f.Next(); err != nil || fr.Width != 120 || len(fr.Applied) != 0 {
		t.Errorf("KeepSAR: %v, %v", fr, err)
	}
}
