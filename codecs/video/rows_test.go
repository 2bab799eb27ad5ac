package video

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// made is a file that the ffmpeg program makes; its name is the last argument.
func made(t *testing.T, stdin []byte, args ...string) bytesSource {
	t.Helper()
	file := filepath.Join(t.TempDir(), args[len(args)-1])
	args[len(args)-1] = file
	if stdin != nil {
		in := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(in, stdin, 0o600); err != nil {
			t.Fatal(err)
		}
		args[slices.Index(args, "-i")+1] = in
	}
	run(t, "ffmpeg", append([]string{"-v", "error", "-y"}, args...)...)
	return loadFile(t, file)
}

// put writes big-endian words behind the first box of a name, skip bytes into its body.
func put(t *testing.T, src bytesSource, box string, skip int, words ...uint32) bytesSource {
	t.Helper()
	at := bytes.Index(src, []byte(box))
	if at < 0 {
		t.Fatalf("there is no %s", box)
	}
	out := bytes.Clone(src)
	for i, w := range words {
		binary.BigEndian.PutUint32(out[at+4+skip+4*i:], w)
	}
	return out
}

// jpegs are pictures of the given sizes one behind the other, gray where the width is odd.
func jpegs(t *testing.T, sizes ...[2]int) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, s := range sizes {
		var img image.Image = image.NewGray(image.Rect(0, 0, s[0], s[1]))
		if s[0]%2 == 0 {
			rgb := image.NewRGBA(img.Bounds())
			for i := range rgb.Pix {
				rgb.Pix[i] = byte(i)
			}
			rgb.Set(0, 0, color.White)
			img = rgb
		}
		if err := jpeg.Encode(&b, img, nil); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// changing is a film each of whose frames has another size than the one before.
func changing(t *testing.T, sizes ...[2]int) bytesSource {
	return made(t, jpegs(t, sizes...), "-f", "mjpeg", "-framerate", "10", "-i", "", "-c", "copy", "changing.mkv")
}

// What is odd about a film's sizes, times and shapes ends in frames, or in a refusal that
// says what it is. Packets that are no pictures give none.
func TestOddFilms(t *testing.T) {
	const second = "testsrc2=s=64x48:r=10:d=1"
	film := load(t, "h264_nob.mp4")
	matrix := func(w ...uint32) bytesSource { return put(t, film, "tkhd", 40, w...) }
	alternating := make([][2]int, 20)
	for i := range alternating {
		alternating[i] = [2]int{32 + 16*(i%2), 24 + 16*(i%2)}
	}
	lossless := func(size string, codec ...string) bytesSource {
		args := append([]string{"-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.3,scale=" + size, "-c:v"}, codec...)
		return made(t, nil, append(args, "odd.mkv")...)
	}
	for _, c := range []struct {
		name      string
		src       bytesSource
		container string
		frames    int
		size      string // of the last frame; "" where nothing is to come
		applied   string
		code      codecs.Code // "" for a whole film
		stage     codecs.Stage
	}{
		{"1x1", lossless("1:1", "png"), Matroska, 3, "1x1", "", "", ""},
		{"1x1 of H.264", lossless("1:1", "libx264", "-pix_fmt", "yuv444p"), Matroska, 3, "1x1", "", "", ""},
		{"odd sizes", lossless("63:47", "libx264", "-pix_fmt", "yuv444p"), Matroska, 3, "63x47", "", "", ""},
		{"odd sizes of chroma by halves", lossless("63:47", "libvpx", "-pix_fmt", "yuv420p"), Matroska, 3, "63x47", "", "", ""},
		{"65535x1", lossless("65535:1", "png"), Matroska, 0, "", "", codecs.CodeLimitPixels, codecs.StageProbe},
		{"1x65535", lossless("1:65535", "png"), Matroska, 0, "", "", codecs.CodeLimitPixels, codecs.StageProbe},
		{"size and pixel format change with each frame", changing(t, [2]int{32, 24}, [2]int{33, 25}, [2]int{48, 8}, [2]int{1, 1}, [2]int{64, 64}), Matroska, 5, "64x64", "", "", ""},
		{"size changes with each frame, for ever", changing(t, alternating...), Matroska, 17, "32x24", "", codecs.CodeLimitChanges, codecs.StageDecode},
		{"size grows beyond the limit", changing(t, [2]int{32, 24}, [2]int{8194, 2}), Matroska, 1, "32x24", "", codecs.CodeLimitPixels, codecs.StageProbe},
		{"codec changes with a frame", otherCodec(t), Matroska, 2, "32x24", "", "", ""},
		{"pixels of 1,000,000 to 1", withShape(t, film, 1_000_000, 1), MP4, 30, "96x64", "sar:ignored", "", ""},
		{"pixels of 1 to 1,000,000", withShape(t, film, 1, 1_000_000), MP4, 30, "96x64", "", "", ""},
		{"pixels of 16 to 1", withShape(t, film, 16, 1), MP4, 30, "1536x64", "sar:16/1", "", ""},
		{"pixels of 0 to 0", withShape(t, film, 0, 0), MP4, 30, "96x64", "", "", ""},
		{"turned by 37 degrees", matrix(52339, 39441, 0, 1<<32-39441, 52339), MP4, 30, "96x64", "matrix:ignored", "", ""},
		{"turned by 90 degrees", matrix(0, 1<<16, 0, 1<<32-1<<16, 0), MP4, 30, "64x96", "rotate:90", "", ""},
		{"a matrix of nothing", matrix(0, 0, 0, 0, 0), MP4, 30, "96x64", "matrix:ignored", "", ""},
		{"a million frames a second", put(t, film, "mdhd", 12, 1<<31-1), MP4, 0, "", "", codecs.CodeLimitFPS, codecs.StageProbe},
		{"a time base of nothing", put(t, film, "mdhd", 12, 0), MP4, 0, "", "", codecs.CodeTime, codecs.StageProbe},
		{"a time base of less than nothing", put(t, film, "mdhd", 12, 1<<32-1), MP4, 0, "", "", codecs.CodeTime, codecs.StageProbe},
		{"negative times", load(t, "h264_negative.mp4"), MP4, -1, "128x96", "", "", ""},
		{"times that go back all the way", backwards(t, load(t, "h264_twins.mkv")), Matroska, 0, "", "", codecs.CodeTime, codecs.StageDecode},
		{"fragments without a duration", load(t, "h264_fragments.mp4"), MP4, -1, "128x96", "", "", ""},
		{"no frames", put(t, put(t, film, "stsz", 4, 0, 0), "stts", 4, 0), MP4, 0, "", "", codecs.CodeNoFrames, codecs.StageDecode},
		{"not one keyframe", made(t, nil, "-f", "lavfi", "-i", second, "-c:v", "libx264", "-bf", "2", "-x264-params", "keyint=100", "-bsf:v", "noise=drop=key", "nokey.mkv"), Matroska, 0, "", "", codecs.CodeNoFrames, codecs.StageDecode},
		{"a whole film, then a stretch of nothing", barren(t, 100), WebM, 0, "", "", codecs.CodeStall, codecs.StageDecode},
		{"a whole film, then a short stretch of nothing", barren(t, 1), WebM, -1, "", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			lim := codecs.DefaultLimits()
			lim.MaxFrameBytes = 8 << 20
			f, err := Open(t.Context(), c.src, c.container, codecs.Pick{Rule: codecs.PickAll}, lim, Options{})
			n, size, applied := 0, "", ""
			if err == nil {
				defer f.Close()
				var fr *codecs.Frame
				for fr, err = f.Next(); err == nil; fr, err = f.Next() {
					n++
					size, applied = sizeOf(fr), strings.Join(fr.Applied, ",")
				}
			}
			if c.code == "" {
				if err != io.EOF {
					t.Fatalf("%d frames, then %v", n, err)
				}
			} else if e := codecs.AsError(err); e == nil || e.Code != c.code || e.Stage != c.stage || e.Detail == "" {
				t.Fatalf("%d frames, then %v; want %s at %s", n, err, c.code, c.stage)
			}
			if c.frames >= 0 && n != c.frames || c.frames < 0 && n == 0 || c.size != "" && size != c.size || applied != c.applied {
				t.Errorf("%d frames, the last of %s, %q applied; want %d of %s, %q", n, size, applied, c.frames, c.size, c.applied)
			}
		})
	}
}

func sizeOf(f *codecs.Frame) string { return fmt.Sprintf("%dx%d", f.Width, f.Height) }

// withShape gives the track's pixels a shape, by a box behind its decoder's settings.
func withShape(t *testing.T, film bytesSource, h, v uint32) bytesSource {
	t.Helper()
	pasp := binary.BigEndian.AppendUint32(nil, 16)
	pasp = append(pasp, "pasp"...)
	pasp = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(pasp, h), v)
	if at := bytes.Index(film, []byte("pasp")); at > 0 { // there already
		return put(t, film, "pasp", 0, h, v)
	}
	at := bytes.LastIndex(film, []byte("avcC")) - 4
	out := slices.Concat(film[:at], pasp, film[at:])
	for _, box := range []string{"avc1", "stsd", "stbl", "minf", "mdia", "trak", "moov"} {
		i := bytes.LastIndex(out, []byte(box)) - 4 // "avc1" is a brand as well
		binary.BigEndian.PutUint32(out[i:], binary.BigEndian.Uint32(out[i:])+16)
	}
	return out
}

// otherCodec is a film of JPEG pictures, in the place of the second of which is a PNG.
func otherCodec(t *testing.T) bytesSource {
	film := changing(t, [2]int{32, 24}, [2]int{32, 24}, [2]int{32, 24})
	first := bytes.Index(film, []byte("\xff\xd8\xff"))
	second := first + 3 + bytes.Index(film[first+3:], []byte("\xff\xd8\xff"))
	third := second + 3 + bytes.Index(film[second+3:], []byte("\xff\xd8\xff"))
	clear(film[second : third-16])
	copy(film[second:], "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x20\x00\x00\x00\x18\x08\x02\x00\x00\x00")
	return film
}

// backwards gives the blocks of a film's clusters times that descend by two seconds each.
func backwards(t *testing.T, film bytesSource) bytesSource {
	t.Helper()
	out, n := bytes.Clone(film), 0
	for at := bytes.Index(out, []byte("\x1f\x43\xb6\x75")); at >= 0 && at < len(out)-8; at++ {
		if out[at] != 0xa3 { // SimpleBlock
			continue
		}
		size, length := ffmpeg.Vint(out[at+1:])
		body := at + 1 + length
		if length == 0 || size < 5 || size > uint64(len(out)-body) || out[body] != 0x81 {
			continue
		}
		n++
		binary.BigEndian.PutUint16(out[body+1:], uint16(int16(30_000-2_000*n)))
		at = body + int(size) - 1
	}
	if n < 5 {
		t.Fatalf("%d blocks", n)
	}
	return out
}

// barren is a film, and behind it blocks of a track that there is none of, of 1 MiB each.
func barren(t *testing.T, blocks int) bytesSource {
	t.Helper()
	const untilEnd = "\x01\xff\xff\xff\xff\xff\xff\xff"
	film := bytes.Clone(load(t, "vp9.webm"))
	copy(film[bytes.Index(film, []byte("\x18\x53\x80\x67"))+4:], untilEnd)
	film = append(film, "\x1f\x43\xb6\x75"+untilEnd+"\xe7\x81\x00"...)
	block := append([]byte("\xa3\x10\x10\x00\x04\xff\x00\x00\x00"), make([]byte, 1<<20)...) // track 127
	return append(film, bytes.Repeat(block, blocks)...)
}

// A decoder that makes no picture of very much is stopped, wherever its bytes come from.
func TestPicturesMustCome(t *testing.T) {
	noLeaks(t)
	lim := codecs.DefaultLimits()
	lim.MaxFrameBytes = 2000
	err := firstError(t, load(t, "h264_bframes.mp4"), MP4, codecs.Pick{Rule: codecs.PickAll}, lim, Options{})
	if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeStall || e.Stage != codecs.StageDecode {
		t.Errorf("got %v", err)
	}
}

// What FFmpeg gets no memory for is told as that, not as damage, wherever FFmpeg says so:
// within the slices of a picture its H.264 decoder keeps it to itself.
func TestNoMemory(t *testing.T) {
	defer ffmpeg.LimitAllocations(512 << 20)
	for _, c := range []struct {
		name, file, container string
		before                int // frames that come before memory runs out; -1: ahead of opening
	}{
		{"opening", "h264_bframes.mp4", MP4, -1},
		{"opening Matroska", "vp9.webm", WebM, -1},
		{"first frame", "hevc.mp4", MP4, 0},
		{"after some frames", "h264_resize.mkv", Matroska, 3},
		{"after some frames of AV1", "av1.mp4", MP4, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			ffmpeg.LimitAllocations(512 << 20)
			src, n := load(t, c.file), 0
			if c.before < 0 {
				ffmpeg.LimitAllocations(1 << 10)
			}
			f, err := Open(t.Context(), src, c.container, codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits(), Options{})
			if err == nil {
				defer f.Close()
				for ; err == nil; n++ {
					if n == c.before {
						ffmpeg.LimitAllocations(1 << 10)
					}
					_, err = f.Next()
				}
			}
			if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeOOM {
				t.Errorf("%d frames, then %v", n-1, err)
			}
		})
	}
}

// Codecs that are off are let in by name, and give all their frames.
func TestCodecsByName(t *testing.T) {
	for _, c := range []struct {
		codec string
		args  []string
	}{
		{"ffv1", []string{"-c:v", "ffv1", "-level", "3", "film.mkv"}},
		{"huffyuv", []string{"-c:v", "huffyuv", "-pix_fmt", "yuv422p", "film.mkv"}},
		{"mpeg2video", []string{"-c:v", "mpeg2video", "-g", "4", "-bf", "2", "film.mkv"}},
		{"prores", []string{"-c:v", "prores", "-pix_fmt", "yuv422p10le", "film.mov"}},
	} {
		t.Run(c.codec, func(t *testing.T) {
			noLeaks(t)
			src := made(t, nil, append([]string{"-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1.2"}, c.args...)...)
			container, _ := Sniff(src[:min(4096, len(src))])
			all, lim := codecs.Pick{Rule: codecs.PickAll}, codecs.DefaultLimits()
			if e := codecs.AsError(firstError(t, src, container, all, lim, Options{})); e == nil || e.Code != codecs.CodeFormatDenied || !strings.Contains(e.Detail, "video.codecs") {
				t.Errorf("off: %v", e)
			}
			f, err := Open(t.Context(), src, container, all, lim, Options{Codecs: []string{c.codec}})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got, err := drain(t, f); len(got) != 12 || err != io.EOF {
				t.Errorf("%d frames, then %v", len(got), err)
			}
		})
	}
}

// A picture whose sides are odd has the pixels of one that goes on beyond them: what chroma
// covers is the same.
func TestOddSides(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct {
		format string
		opt    Options
		tags   []string
	}{
		{"yuv420p", Options{}, nil},
		{"yuv422p", Options{}, nil},
		{"yuv411p", Options{}, nil},
		{"yuv420p10le", Options{}, nil},
		{"yuv420p10le", Options{HDR: Tonemap}, []string{"-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"}},
	} {
		film := func(crop string) []*codecs.Frame {
			args := append([]string{"-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.3,format=" + c.format + ",crop=" + crop + ":0:0:exact=1", "-c:v", "ffv1", "-level", "3"}, c.tags...)
			f, err := open(t, made(t, nil, append(args, "film.mkv")...), codecs.Pick{Rule: codecs.PickAll}, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var all []*codecs.Frame
			for {
				fr, err := f.Next()
				if err == io.EOF {
					return all
				}
				if err != nil {
					t.Fatalf("%s, %s: %v", c.format, crop, err)
				}
				all = append(all, fr.Clone())
			}
		}
		even, odd := film("64:48"), film("63:47")
		if len(odd) != 3 || len(even) != 3 {
			t.Fatalf("%s: %d and %d frames", c.format, len(even), len(odd))
		}
		for i, f := range odd {
			if f.Width != 63 || f.Height != 47 || f.BeforeWidth != 63 {
				t.Fatalf("%s: %dx%d", c.format, f.Width, f.Height)
			}
			for y := range 47 {
				if !bytes.Equal(f.Pix[y*63*3:(y+1)*63*3], even[i].Pix[y*64*3:][:63*3]) {
					t.Fatalf("%s, frame %d: row %d differs", c.format, i, y)
				}
			}
		}
	}
}
