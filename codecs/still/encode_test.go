package still_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

func sample(t testing.TB) codecs.Pixels {
	t.Helper()
	return one(t, load(t, "golden/scenery_97x61.png"), pillow).Pixels
}

// worst is the largest difference of two pictures, and their mean.
func worst(a, b []byte) (most int, mean float64) {
	for i := range a {
		d := int(a[i]) - int(b[i])
		d = max(d, -d)
		most = max(most, d)
		mean += float64(d)
	}
	return most, mean / float64(len(a))
}

func TestEncodedPicturesComeBack(t *testing.T) {
	p := sample(t)
	for _, c := range []struct {
		name      string
		container string
		encode    func() ([]byte, error)
		mean      float64 // of the difference, at most; 0 is lossless
	}{
		{"jpeg 4:4:4", still.JPEG, func() ([]byte, error) { return still.EncodeJPEG(p, 95, still.Subsample444) }, 3},
		{"jpeg 4:2:0", still.JPEG, func() ([]byte, error) { return still.EncodeJPEG(p, 95, still.Subsample420) }, 6},
		{"png", still.PNG, func() ([]byte, error) { return still.EncodePNG(p) }, 0},
		{"webp", still.WebP, func() ([]byte, error) { return still.EncodeWebP(p, 95) }, 8},
		{"webp lossless", still.WebP, func() ([]byte, error) { return still.EncodeWebP(p, still.Lossless) }, 0},
	} {
		data, err := c.encode()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, _ := still.Sniff(data); got != c.container {
			t.Errorf("%s: sniffed as %q", c.name, got)
		}
		f := one(t, data, still.Options{})
		if f.Width != p.Width || f.Height != p.Height {
			t.Fatalf("%s: %dx%d", c.name, f.Width, f.Height)
		}
		if most, mean := worst(f.Pix, p.Pix); mean > c.mean {
			t.Errorf("%s: differs by %d at most, %.2f in the mean; %.2f is allowed", c.name, most, mean, c.mean)
		}
		again, err := c.encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: other bytes the second time (%v)", c.name, err)
		}
	}
}

func TestJPEGGrowsItsBuffer(t *testing.T) {
	// Noise at quality 100 takes more than the half byte a pixel that is set aside.
	p := codecs.Pixels{Width: 300, Height: 300, Pix: make([]byte, 300*300*3)}
	state := uint32(1)
	for i := range p.Pix {
		state = state*1664525 + 1013904223
		p.Pix[i] = byte(state >> 24)
	}
	data, err := still.EncodeJPEG(p, 100, still.Subsample444)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 2*(4096+300*300/2) {
		t.Fatalf("%d bytes did not need the buffer to grow", len(data))
	}
	if most, _ := worst(one(t, data, still.Options{}).Pix, p.Pix); most > 8 {
		t.Errorf("differs by %d", most)
	}
}

func TestEncodersRefuse(t *testing.T) {
	p := sample(t)
	short := p
	short.Pix = p.Pix[1:]
	wide := codecs.Pixels{Width: 16384, Height: 1, Pix: make([]byte, 16384*3)}
	for _, c := range []struct {
		name string
		call func() ([]byte, error)
		want string
	}{
		{"jpeg of wrong length", func() ([]byte, error) { return still.EncodeJPEG(short, 80, still.Subsample420) }, "are not the pixels"},
		{"png of wrong length", func() ([]byte, error) { return still.EncodePNG(short) }, "are not the pixels"},
		{"nothing", func() ([]byte, error) { return still.EncodePNG(codecs.Pixels{}) }, "are not the pixels"},
		{"jpeg quality", func() ([]byte, error) { return still.EncodeJPEG(p, 0, still.Subsample420) }, "from 1 to 100"},
		{"jpeg subsampling", func() ([]byte, error) { return still.EncodeJPEG(p, 80, "4:1:1") }, "4:2:0"},
		{"webp quality", func() ([]byte, error) { return still.EncodeWebP(p, 101) }, "from 0 to 100"},
		{"webp side", func() ([]byte, error) { return still.EncodeWebP(wide, 50) }, "16383"},
	} {
		if b, err := c.call(); err == nil || b != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d bytes, %v, want %q", c.name, len(b), err, c.want)
		}
	}
}

func TestThumbnail(t *testing.T) {
	p := sample(t) // 97x61
	for _, c := range []struct{ maxW, maxH, w, h int }{
		{48, 48, 48, 30}, {200, 200, 97, 61}, {10, 3, 4, 3}, {1, 1, 1, 1},
	} {
		img := still.Thumbnail(p, c.maxW, c.maxH)
		if img == nil || img.Rect.Dx() != c.w || img.Rect.Dy() != c.h {
			t.Errorf("%dx%d: %v, want %dx%d", c.maxW, c.maxH, img.Bounds(), c.w, c.h)
		}
	}
	grey := codecs.Pixels{Width: 8, Height: 8, Pix: bytes.Repeat([]byte{9, 99, 199}, 64)}
	img := still.Thumbnail(grey, 3, 3)
	for i := 0; i < len(img.Pix); i += 4 {
		if [4]byte(img.Pix[i:]) != [4]byte{9, 99, 199, 255} {
			t.Fatalf("a plain colour became %v", img.Pix[i:i+4])
		}
	}
	short := p
	short.Pix = p.Pix[:10]
	if still.Thumbnail(short, 9, 9) != nil || still.Thumbnail(p, 0, 9) != nil {
		t.Error("a picture of wrong length or a bound of 0 gave a thumbnail")
	}
}
