package video

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// far is a source of which every byte that is read counts, in blocks of 64 KiB.
type far struct {
	bytesSource
	blocks map[int64]bool
}

func (f *far) Sparse() bool { return true }

func (f *far) ReadAt(p []byte, at int64) (int, error) {
	for b := at >> 16; b <= (at+int64(len(p))-1)>>16; b++ {
		f.blocks[b] = true
	}
	return f.bytesSource.ReadAt(p, at)
}

var sparsePicks = map[string]codecs.Pick{
	"keyframes": {Rule: codecs.PickKeyframes}, "uniform": {Rule: codecs.PickUniform, N: 3}, "one": {Rule: codecs.PickUniform, N: 1},
	"at": {Rule: codecs.PickAt, At: []codecs.Rational{{Num: 1, Den: 10}, {Num: 4, Den: 10}}}, "fps": {Rule: codecs.PickFPS, Rate: codecs.Rational{Num: 1, Den: 5}},
	"every": {Rule: codecs.PickEvery, N: 7},
}

// A source of which little is read gives the very frames that it gives when all is read,
// or says that it must be.
func TestSparseEqualsWhole(t *testing.T) {
	noLeaks(t)
	files, err := filepath.Glob(videos + "/*.m*")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	sparse := map[string]bool{}
	for _, name := range files {
		src := loadFile(t, name)
		container, ok := Sniff(src[:min(4096, len(src))])
		if !ok {
			continue
		}
		for pick, p := range sparsePicks {
			for _, fields := range []string{"", Deinterlace} {
				opt := Options{Interlaced: fields}
				want, end, err := readAll(t, src, container, p, opt)
				got, gotEnd, gotErr := readAll(t, &far{src, map[int64]bool{}}, container, p, opt)
				if errors.Is(gotErr, codecs.ErrWhole) || errors.Is(gotEnd, codecs.ErrWhole) {
					continue
				}
				what := filepath.Base(name) + " " + pick + " " + fields
				if a, b := codecs.AsError(errors.Join(err, end)), codecs.AsError(errors.Join(gotErr, gotEnd)); (a == nil) != (b == nil) || a != nil && a.Code != b.Code {
					t.Errorf("%s ends as %v; read in whole as %v", what, b, a)
					continue
				}
				compare(t, what, got, want)
				if err == nil {
					sparse[filepath.Base(name)] = true
				}
			}
		}
	}
	for _, name := range []string{"h264_709.mp4", "h264_bframes.mp4", "h264_opengop.mp4", "h264_edit.mp4", "h264_vfr.mp4", "hevc.mp4", "demo_720p.mp4"} {
		if !sparse[name] {
			t.Errorf("%s can not be read sparsely; %v can", name, sparse)
		}
	}
	for _, name := range []string{"h264_vfr.mkv", "h264_fragments.mp4", "av1.mp4", "h264_cut.mp4"} {
		if sparse[name] {
			t.Errorf("%s is read sparsely", name)
		}
	}
	t.Logf("%d files are read sparsely: %v", len(sparse), sparse)
}

func readAll(t *testing.T, src codecs.Source, container string, p codecs.Pick, opt Options) (frames []got, end, err error) {
	f, err := Open(context.Background(), src, container, p, codecs.DefaultLimits(), opt)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	frames, end = drain(t, f)
	return frames, end, nil
}

// Of a long film, a few frames cost a small share of its bytes, wherever its index is.
func TestSparseShare(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	for name, flags := range map[string]string{"moov first": "+faststart", "moov last": "0"} {
		file := filepath.Join(dir, "film.mp4")
		run(t, "ffmpeg", "-nostdin", "-v", "error", "-y", "-stream_loop", "150", "-i", videos+"/demo_720p.mp4", "-c", "copy", "-movflags", flags, file)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := codecs.Pick{Rule: codecs.PickUniform, N: 4}
		want, _, err := readAll(t, bytesSource(b), MP4, p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		src := &far{bytesSource(b), map[int64]bool{}}
		got, _, err := readAll(t, src, MP4, p, Options{})
		if err != nil {
			t.Fatal(err)
		}
		compare(t, name, got, want)
		share := float64(len(src.blocks)<<16) / float64(len(b))
		t.Logf("%s: %d of %d KiB (%.1f %%)", name, len(src.blocks)<<6, len(b)>>10, 100*share)
		if share > 0.2 {
			t.Errorf("%s: %.0f %% of the bytes are read", name, 100*share)
		}
	}
}
