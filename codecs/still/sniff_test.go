package still_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

func TestSniff(t *testing.T) {
	for _, c := range []struct{ name, head, want string }{
		{"jpeg", "\xff\xd8\xff\xe0\x00\x10JFIF", "jpeg"},
		{"png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "png"},
		{"png by text transfer", "\x89PNG\n\x1a\n\x00\x00\x00\rIHDR", ""},
		{"gif 87", "GIF87a\x01\x00\x01\x00", "gif"},
		{"gif that is also a script", "GIF89a=1;alert(1)//", "gif"},
		{"gif of another year", "GIF90a", ""},
		{"webp", "RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"},
		{"wav", "RIFF\x00\x00\x00\x00WAVEfmt ", ""},
		{"tiff little", "II*\x00\x08\x00\x00\x00", "tiff"},
		{"tiff big", "MM\x00*\x00\x00\x00\x08", "tiff"},
		{"bigtiff", "II+\x00\x08\x00\x00\x00", ""},
		{"bmp", "BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "bmp"},
		{"text that begins with BM", "BM is short for bitmap, it says here", ""},
		{"avif", "\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1miafMA1B", "avif"},
		{"avif sequence", "\x00\x00\x00\x20ftypavis\x00\x00\x00\x00avifavismsf1iso8", "avif"},
		{"avif under mif1", "\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "avif"},
		{"heic under mif1", "\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", ""},
		{"avif named behind the box", "\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1avif", ""},
		{"heic", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", ""},
		{"mp4", "\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", ""},
		{"mp4 that lists avif", "\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomavifavc1mp41", ""},
		{"quicktime", "\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", ""},
		{"svg", "<svg xmlns=", ""},
		{"pdf with a jpeg in it", "%PDF-1.4\n\xff\xd8\xff", ""},
		{"nothing", "", ""},
		{"cut", "\x89PN", ""},
	} {
		for _, more := range []string{"", strings.Repeat("\x00", 1000)} {
			got, ok := still.Sniff([]byte(c.head + more))
			if got != c.want || ok != (c.want != "") {
				t.Errorf("%s: %q, %v, want %q", c.name, got, ok, c.want)
			}
		}
	}
}

// TestPolyglots: the magic at offset 0 decides, and what follows a picture is let be.
func TestPolyglots(t *testing.T) {
	for _, name := range []string{"golden/baseline420_320x240.jpg", "golden/scenery_97x61.png", "odd/g_pillow.gif", "odd/w_lossy.webp"} {
		data := load(t, name)
		want := one(t, data, still.Options{})
		got := one(t, append(bytes.Clone(data), "PK\x03\x04<script>%PDF-1.4"...), still.Options{})
		if !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%s: other pixels with another file behind it", name)
		}
	}
}

// TestProbeSaysWhatOpenFinds, but for what only reading all of a file tells.
func TestProbeSaysWhatOpenFinds(t *testing.T) {
	for _, dir := range []string{"golden", "odd"} {
		files, err := os.ReadDir(filepath.Join(images, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if file.Name() == "t_cmyk.tif" {
				continue
			}
			data := load(t, filepath.Join(dir, file.Name()))
			container, _ := still.Sniff(data)
			got, err := still.Probe(bytes.NewReader(data), container, codecs.DefaultLimits())
			if err != nil {
				t.Errorf("%s: %v", file.Name(), err)
				continue
			}
			f, info, err := frames(data, pillow, codecs.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != codecs.KindImage || got.Container != container || got.Width != info.Width || got.Height != info.Height ||
				got.Codec != info.Codec || got.Rotation != info.Rotation || got.Mirrored != info.Mirrored || got.Frames != info.Frames {
				t.Errorf("%s: probe %+v, open %+v", file.Name(), got, info)
			}
			turned := got.Rotation%180 != 0
			if turned != (f[0].Width == got.Height && f[0].Height == got.Width && got.Width != got.Height) {
				t.Errorf("%s: rotation %d, %dx%d became %dx%d", file.Name(), got.Rotation, got.Width, got.Height, f[0].Width, f[0].Height)
			}
		}
	}
}

func TestProbeRefusesWhatIsNoStill(t *testing.T) {
	if _, err := still.Probe(bytes.NewReader(nil), "mp4", codecs.DefaultLimits()); err == nil {
		t.Error("mp4 was taken")
	}
}

func TestOptionsValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		o    still.Options
		want string // in the error; empty is none
	}{
		{"zero", still.Options{}, ""},
		{"all", still.Options{Background: "#A0b1C2", Gray16: still.Gray16Clip, Animation: still.AnimationAll, Pick: codecs.Pick{Rule: codecs.PickEvery, N: 2}}, ""},
		{"colour by name", still.Options{Background: "white"}, "#rrggbb"},
		{"colour of other digits", still.Options{Background: "#00zz00"}, "hexadecimal"},
		{"signed colour", still.Options{Background: "#+12345"}, "hexadecimal"},
		{"gray16", still.Options{Gray16: "low"}, "high-byte"},
		{"animation", still.Options{Animation: "some"}, "first, all"},
		{"pick", still.Options{Pick: codecs.Pick{Rule: codecs.PickEvery}}, "every"},
	} {
		err := c.o.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
