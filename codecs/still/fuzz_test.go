package still_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

// seeds adds the files in testdata/images of a container, but for large ones.
func seeds(f *testing.F, container string) {
	f.Helper()
	for _, dir := range []string{"golden", "odd"} {
		files, err := os.ReadDir(filepath.Join(images, dir))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data := load(f, filepath.Join(dir, file.Name()))
			if c, _ := still.Sniff(data); len(data) < 10_000 && (container == "" || c == container) {
				f.Add(data)
			}
		}
	}
}

func FuzzSniff(f *testing.F) {
	seeds(f, "")
	f.Fuzz(func(t *testing.T, data []byte) {
		c, ok := still.Sniff(data)
		if ok != (c != "") {
			t.Errorf("%q, %v", c, ok)
		}
	})
}

// fuzzOpen feeds bytes to a container's decoder: it must end with frames of the right
// length or with an *Error, free everything, and find what Probe finds.
func fuzzOpen(f *testing.F, container string) {
	seeds(f, container)
	limits := codecs.DefaultLimits()
	limits.MaxSide, limits.MaxImagePixels, limits.MaxAnimationPix = 512, 1<<16, 1<<19
	limits.MaxImageFrames, limits.MaxMetadata = 16, 1<<16
	f.Fuzz(func(t *testing.T, data []byte) {
		opt := still.Options{Animation: still.AnimationAll, AllowTruncated: true, EnableBMP: true, EnableTIFF: true}
		_, probeErr := still.Probe(bytes.NewReader(data), container, limits)
		r, err := still.Open(context.Background(), bytes.NewReader(data), container, opt, limits)
		if err != nil {
			judge(t, err)
			return
		}
		if probeErr != nil {
			t.Errorf("Open takes what Probe refuses: %v", probeErr)
		}
		defer func() {
			r.Close()
			if n := still.Live(); n != 0 {
				t.Errorf("%d C objects are left", n)
			}
		}()
		for {
			p, err := r.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				judge(t, err)
				return
			}
			if len(p.Pix) != p.Width*p.Height*3 || p.Width < 1 || limits.CheckSize(codecs.KindImage, p.Width, p.Height) != nil {
				t.Errorf("%dx%d with %d bytes", p.Width, p.Height, len(p.Pix))
			}
		}
	})
}

func judge(t *testing.T, err error) {
	var e *codecs.Error
	if !errors.As(err, &e) || e.Code == "" || e.Detail == "" {
		t.Errorf("%v is no *codecs.Error", err)
	}
}

func FuzzJPEG(f *testing.F) { fuzzOpen(f, still.JPEG) }
func FuzzPNG(f *testing.F)  { fuzzOpen(f, still.PNG) }
func FuzzGIF(f *testing.F)  { fuzzOpen(f, still.GIF) }
func FuzzWebP(f *testing.F) { fuzzOpen(f, still.WebP) }
func FuzzAVIF(f *testing.F) { fuzzOpen(f, still.AVIF) }
func FuzzBMP(f *testing.F)  { fuzzOpen(f, still.BMP) }
func FuzzTIFF(f *testing.F) { fuzzOpen(f, still.TIFF) }
