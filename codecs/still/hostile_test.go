package still_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

// patched returns data with b written at an offset.
func patched(data []byte, at int, b ...byte) []byte {
	out := bytes.Clone(data)
	copy(out[at:], b)
	return out
}

// after returns data with b put in behind the first n bytes.
func after(data []byte, n int, b ...byte) []byte {
	return append(append(bytes.Clone(data[:n]), b...), data[n:]...)
}

func pngChunk(name string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, name...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngOf is a PNG that claims a size; its pixels are some zeros.
func pngOf(width, height uint32, depth, colour byte, more ...[]byte) []byte {
	ihdr := binary.BigEndian.AppendUint32(nil, width)
	ihdr = binary.BigEndian.AppendUint32(ihdr, height)
	ihdr = append(ihdr, depth, colour, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", ihdr)...)
	for _, c := range more {
		out = append(out, c...)
	}
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write(make([]byte, 1<<16))
	w.Close()
	out = append(out, pngChunk("IDAT", z.Bytes())...)
	return append(out, pngChunk("IEND", nil)...)
}

func gifOf(width, height uint16) []byte {
	b := append([]byte("GIF89a"), byte(width), byte(width>>8), byte(height), byte(height>>8), 0, 0, 0)
	b = append(b, ',', 0, 0, 0, 0, byte(width), byte(width>>8), byte(height), byte(height>>8), 0, 8)
	return append(b, 2, 0, 1, 0, ';')
}

// jpegSOF finds a JPEG's frame header: the offset of its precision byte.
func jpegSOF(t testing.TB, data []byte) int {
	t.Helper()
	for _, m := range []string{"\xff\xc0\x00", "\xff\xc2\x00"} {
		if at := bytes.Index(data, []byte(m)); at > 0 {
			return at + 4
		}
	}
	t.Fatal("no frame header")
	return 0
}

// scanBomb repeats a progressive JPEG's last scan.
func scanBomb(data []byte, times int) []byte {
	at := bytes.LastIndex(data, []byte("\xff\xda"))
	scan := data[at : len(data)-2]
	return append(append(bytes.Clone(data[:at]), bytes.Repeat(scan, times)...), 0xFF, 0xD9)
}

// webpChunks is a RIFF file of chunks.
func webpChunks(chunks ...string) []byte {
	body := "WEBP" + strings.Join(chunks, "")
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func webpChunk(name, body string) string {
	return string(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body)))) + body + strings.Repeat("\x00", len(body)%2)
}

func TestHostile(t *testing.T) {
	jpeg := load(t, "golden/baseline420_320x240.jpg")
	progressive := load(t, "golden/progressive420_317x239.jpg")
	png := load(t, "golden/rgba_128x96.png")
	gif := load(t, "odd/g_disposal2.gif")
	webp, animated := load(t, "odd/w_lossy_alpha.webp"), load(t, "odd/w_anim_alpha.webp")
	lossless, avif := load(t, "odd/w_lossless.webp"), load(t, "odd/a_420.avif")
	sof := jpegSOF(t, jpeg)
	app := append([]byte{0xFF, 0xE5, 0xFF, 0xFF}, make([]byte, 65533)...)
	vp8x := webpChunk("VP8X", "\x02\x00\x00\x00\xff\x3f\x00\xff\x3f\x00") // 16384 x 16384, animated
	anmf := webpChunk("ANMF", "\x00\x00\x00\x00\x00\x00\x07\x00\x00\x07\x00\x00\x28\x00\x00\x00"+strings.Repeat("x", 8))
	few := codecs.DefaultLimits()
	few.MaxImageFrames = 3
	fewPixels := codecs.DefaultLimits()
	fewPixels.MaxAnimationPix = 2000
	small := codecs.DefaultLimits()
	small.MaxImagePixels = 1000

	for _, c := range []struct {
		name string
		data []byte
		want codecs.Code
		l    codecs.Limits
	}{
		{"png 65535 squared", pngOf(65535, 65535, 8, 2), codecs.CodeLimitPixels, codecs.Limits{}},
		{"png of 2^32-1", pngOf(1<<32-1, 1<<32-1, 8, 2), codecs.CodeInvalid, codecs.Limits{}},
		{"png of no width", pngOf(0, 5, 8, 2), codecs.CodeInvalid, codecs.Limits{}},
		{"png one pixel over", png, codecs.CodeLimitPixels, small},
		{"png of depth 3", pngOf(4, 4, 3, 0), codecs.CodeInvalid, codecs.Limits{}},
		{"png with 1 GiB zTXt claimed", after(png, 33, append([]byte{0x40, 0, 0, 0}, "zTXt"...)...), codecs.CodeLimitMetadata, codecs.Limits{}},
		{"png with 1 GiB iCCP claimed", after(png, 33, append([]byte{0x40, 0, 0, 0}, "iCCP"...)...), codecs.CodeLimitMetadata, codecs.Limits{}},
		{"png with 1 GiB of pixels claimed", after(png, 33, append([]byte{0x40, 0, 0, 0}, "IDAT"...)...), codecs.CodeInvalid, codecs.Limits{}},
		{"png of empty chunks", after(png, 33, bytes.Repeat(pngChunk("teXt", nil), 400_000)...), codecs.CodeLimitMetadata, codecs.Limits{}},
		{"png with more rows claimed than coded", pngOf(200, 200, 8, 2), codecs.CodeTruncated, codecs.Limits{}},
		{"png cut in its pixels", png[:len(png)/2], codecs.CodeTruncated, codecs.Limits{}},
		{"png cut in its header", png[:20], codecs.CodeTruncated, codecs.Limits{}},
		{"png without pixels", append(bytes.Clone(png[:33]), pngChunk("IEND", nil)...), codecs.CodeNoFrames, codecs.Limits{}},
		{"png with its checksum off", patched(png, 30, 1, 2), codecs.CodeInvalid, codecs.Limits{}},
		{"png with a pixel flipped", patched(png, len(png)/2, png[len(png)/2]^1), codecs.CodeInvalid, codecs.Limits{}},
		{"png of palette indices without palette", pngOf(4, 4, 8, 3), codecs.CodeInvalid, codecs.Limits{}},

		{"gif 65535 squared", gifOf(65535, 65535), codecs.CodeLimitPixels, codecs.Limits{}},
		{"gif of too many frames", gif, codecs.CodeLimitFrames, few},
		{"gif of too many pixels", gif, codecs.CodeLimitPixels, fewPixels},
		{"gif cut in a frame", gif[:len(gif)-100], codecs.CodeTruncated, codecs.Limits{}},
		{"gif cut in its header", gif[:9], codecs.CodeTruncated, codecs.Limits{}},
		{"gif of LZW garbage", patched(gif, 55, bytes.Repeat([]byte{0xEE}, 200)...), codecs.CodeInvalid, codecs.Limits{}},
		{"gif without a picture", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), codecs.CodeNoFrames, codecs.Limits{}},
		{"gif of stray bytes", append([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00"), make([]byte, 5<<20)...), codecs.CodeLimitMetadata, codecs.Limits{}},

		{"jpeg 65535 squared", patched(jpeg, sof+1, 0xFF, 0xFF, 0xFF, 0xFF), codecs.CodeLimitPixels, codecs.Limits{}},
		{"jpeg of 12 bits", patched(jpeg, sof, 12), codecs.CodeUnsupported, codecs.Limits{}},
		{"jpeg of 2 components", patched(jpeg, sof+5, 2), codecs.CodeUnsupported, codecs.Limits{}},
		{"jpeg of no height (DNL)", patched(jpeg, sof+1, 0, 0), codecs.CodeUnsupported, codecs.Limits{}},
		{"jpeg lossless", patched(jpeg, sof-3, 0xC3), codecs.CodeUnsupported, codecs.Limits{}},
		{"jpeg cut in its pixels", jpeg[:len(jpeg)/2], codecs.CodeTruncated, codecs.Limits{}},
		{"jpeg cut, with an end put on", append(bytes.Clone(jpeg[:len(jpeg)/2]), 0xFF, 0xD9), codecs.CodeTruncated, codecs.Limits{}},
		{"jpeg cut in its header", jpeg[:sof], codecs.CodeTruncated, codecs.Limits{}},
		{"jpeg progressive, cut", progressive[:len(progressive)/2], codecs.CodeTruncated, codecs.Limits{}},
		{"jpeg with two frame headers", after(jpeg, sof-4, jpeg[sof-4:sof-4+19]...), codecs.CodeInvalid, codecs.Limits{}},
		{"jpeg of 600 scans", scanBomb(progressive, 600), codecs.CodeLimitFrames, codecs.Limits{}},
		{"jpeg of APPn", after(jpeg, 2, bytes.Repeat(app, 70)...), codecs.CodeLimitMetadata, codecs.Limits{}},
		{"jpeg of nothing", []byte{0xFF, 0xD8, 0xFF, 0xD9}, codecs.CodeInvalid, codecs.Limits{}},

		{"webp 16384 squared", webpChunks(vp8x, anmf), codecs.CodeLimitPixels, codecs.Limits{}},
		{"webp of too many frames", animated, codecs.CodeLimitFrames, few},
		{"webp of too many pixels", animated, codecs.CodeLimitPixels, fewPixels},
		{"webp cut", webp[:len(webp)/2], codecs.CodeTruncated, codecs.Limits{}},
		{"webp animation cut", animated[:len(animated)-500], codecs.CodeTruncated, codecs.Limits{}},
		{"webp without a picture", webpChunks(webpChunk("ICCP", "x")), codecs.CodeNoFrames, codecs.Limits{}},
		{"webp of metadata", webpChunks(webpChunk("ICCP", strings.Repeat("x", 5<<20))), codecs.CodeLimitMetadata, codecs.Limits{}},
		{"webp with a chunk beyond its end", webpChunks(webpChunk("ICCP", "xx")[:9]), codecs.CodeInvalid, codecs.Limits{}},
		{"webp of garbage", patched(lossless, 60, bytes.Repeat([]byte{0xFF}, 300)...), codecs.CodeInvalid, codecs.Limits{}},
		{"webp canvas and picture apart", patched(webp, 24, 200), codecs.CodeInvalid, codecs.Limits{}},

		{"avif cut in its pixels", avif[:len(avif)-100], codecs.CodeTruncated, codecs.Limits{}},
		{"avif cut in its meta box", avif[:100], codecs.CodeTruncated, codecs.Limits{}},
		{"avif of garbage", patchAfter(t, avif, "mdat", 0, bytes.Repeat([]byte{0xFF}, 20)...), codecs.CodeInvalid, codecs.Limits{}},
		{"avif larger than said", patchAfter(t, avif, "ispe", 4, 0, 0, 0, 16, 0, 0, 0, 16), codecs.CodeInvalid, codecs.Limits{}},
		{"avif 65535 squared", patchAfter(t, avif, "ispe", 4, 0, 0, 255, 255, 0, 0, 255, 255), codecs.CodeLimitPixels, codecs.Limits{}},
		{"avif of a grid", patchAfter(t, avif, "infe\x02\x00\x00\x00\x00\x01\x00\x00", 0, 'g', 'r', 'i', 'd'), codecs.CodeUnsupported, codecs.Limits{}},
		{"avif with a meta box of 1 GiB", patched(avif, 32, 0x40), codecs.CodeLimitMetadata, codecs.Limits{}},

		{"tiff cmyk", load(t, "odd/t_cmyk.tif"), codecs.CodeUnsupported, codecs.Limits{}},
		{"tiff cut", load(t, "odd/t_rgb_raw.tif")[:500], codecs.CodeTruncated, codecs.Limits{}},
		{"bmp cut", load(t, "odd/b_rgb.bmp")[:500], codecs.CodeTruncated, codecs.Limits{}},
		{"bmp 65535 squared", patched(load(t, "odd/b_rgb.bmp"), 18, 255, 255, 0, 0, 255, 255), codecs.CodeLimitPixels, codecs.Limits{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.l
			if l == (codecs.Limits{}) {
				l = codecs.DefaultLimits()
			}
			opt := pillow
			opt.Animation = still.AnimationAll
			f, _, err := frames(c.data, opt, l)
			e := codecs.AsError(err)
			if e == nil {
				t.Fatalf("%d frames and error %v, want %s", len(f), err, c.want)
			}
			if e.Code != c.want {
				t.Fatalf("%v, want %s", e, c.want)
			}
			if e.Detail == "" || e.Stage != codecs.StageProbe && e.Stage != codecs.StageDecode {
				t.Errorf("%#v says too little", e)
			}
		})
	}
}

// patchAfter writes b at skip bytes behind the first occurrence of mark.
func patchAfter(t testing.TB, data []byte, mark string, skip int, b ...byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte(mark))
	if at < 0 {
		t.Fatalf("no %q", mark)
	}
	out := bytes.Clone(data)
	for i, v := range b {
		out[at+len(mark)+skip+i] = v
	}
	return out
}

func TestTruncatedJPEGOnRequest(t *testing.T) {
	whole := load(t, "golden/baseline420_320x240.jpg")
	opt := still.Options{AllowTruncated: true}
	cut, full := one(t, whole[:len(whole)/2], opt), one(t, whole, opt)
	if len(full.Applied) != 0 {
		t.Errorf("the whole picture has %q applied", full.Applied)
	}
	if len(cut.Applied) != 1 || cut.Applied[0] != "truncated" {
		t.Errorf("the cut picture has %q applied", cut.Applied)
	}
	if !bytes.Equal(cut.Pix[:3*320*50], full.Pix[:3*320*50]) {
		t.Error("the rows before the cut are not the picture's")
	}
	if p := cut.Pix[len(cut.Pix)-3:]; p[0] != p[1] || p[1] != p[2] {
		t.Errorf("the gap ends with %v, want gray", p)
	}
}

func TestArithmeticJPEGDecodes(t *testing.T) {
	// libjpeg-turbo has it and so has Pillow; equality is TestOddImagesEqualPillow's.
	if f := one(t, load(t, "odd/j420_arithmetic.jpg"), still.Options{}); f.Width != 83 || f.Height != 61 {
		t.Errorf("%dx%d", f.Width, f.Height)
	}
}

func TestFormatsBehindSwitches(t *testing.T) {
	for _, name := range []string{"b_rgb.bmp", "t_rgb_raw.tif"} {
		data := load(t, filepath.Join("odd", name))
		_, _, err := frames(data, still.Options{}, codecs.DefaultLimits())
		e := codecs.AsError(err)
		if e == nil || e.Code != codecs.CodeFormatDenied || !strings.Contains(e.Detail, "set enable_") {
			t.Errorf("%s: %v, want %s with advice", name, err, codecs.CodeFormatDenied)
		}
	}
}

// failing is a source that breaks after some reads.
type failing struct {
	*bytes.Reader
	left int
}

var errLost = errors.New("connection lost")

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errLost
	}
	return f.Reader.ReadAt(p, off)
}

func TestLostSourceIsNoFaultOfThePicture(t *testing.T) {
	for _, name := range []string{"golden/rgba_128x96.png", "golden/baseline420_320x240.jpg", "odd/g_mixed.gif",
		"odd/w_anim_alpha.webp", "odd/w_lossy.webp", "odd/a_alpha.avif", "odd/t_rgb_raw.tif", "odd/b_rgb.bmp"} {
		data := load(t, name)
		container, _ := still.Sniff(data)
		failed := 0
		for reads := range 100 {
			f, err := still.Open(context.Background(), &failing{bytes.NewReader(data), reads}, container, pillow, codecs.DefaultLimits())
			if err == nil {
				_, err = f.Next()
				f.Close()
			}
			if err == nil {
				break
			}
			failed++
			if codecs.AsError(err) != nil || !errors.Is(err, errLost) {
				t.Errorf("%s after %d reads: %v, want the source's own error", name, reads, err)
			}
		}
		if failed == 0 || failed == 100 {
			t.Errorf("%s: %d failures", name, failed)
		}
	}
}

func TestCancelledAndClosed(t *testing.T) {
	data := load(t, "odd/w_anim_alpha.webp")
	ctx, cancel := context.WithCancel(context.Background())
	f, err := still.Open(ctx, bytes.NewReader(data), still.WebP, still.Options{Animation: still.AnimationAll}, codecs.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Next(); err != nil {
		t.Fatal(err)
	}
	if still.Live() != 1 {
		t.Errorf("%d C objects while an animation is open, want 1", still.Live())
	}
	cancel()
	for range 2 {
		if _, err := f.Next(); !errors.Is(err, context.Canceled) {
			t.Errorf("after cancelling: %v", err)
		}
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if still.Live() != 0 {
		t.Errorf("%d C objects are left", still.Live())
	}
	f, _ = still.Open(context.Background(), bytes.NewReader(data), still.WebP, still.Options{}, codecs.DefaultLimits())
	f.Close()
	if _, err := f.Next(); err != io.EOF {
		t.Errorf("Next after Close: %v", err)
	}
}
