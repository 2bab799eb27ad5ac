package still_test

import (
	"bytes"
	"context"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/image/webp"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

// megapixel is a 1000x1000 picture with text, edges and soft parts.
func megapixel(b *testing.B) codecs.Pixels {
	b.Helper()
	big := one(b, load(b, filepath.Join("golden", "text_1920x1080.png")), pillow)
	soft := one(b, load(b, filepath.Join("golden", "exact_448x336.png")), pillow)
	p := codecs.Pixels{Width: 1000, Height: 1000, Pix: make([]byte, 3e6)}
	for y := range 1000 {
		copy(p.Pix[y*3000:][:3000], big.Pix[y*big.Width*3:])
		copy(p.Pix[y*3000+300:][:448*3], soft.Pix[y%336*448*3:])
	}
	return p
}

// benchmarkOpen sets decoding to RGB beside Go's own decoder, which stops short of it
// (at YCbCr, RGBA or a palette). cpu-ms/op is what to compare on a busy machine.
func benchmarkOpen(b *testing.B, data []byte, others func(io.Reader) (image.Image, error)) {
	container, _ := still.Sniff(data)
	measure(b, "still", func() error {
		f, err := still.Open(context.Background(), bytes.NewReader(data), container, still.Options{}, codecs.DefaultLimits())
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Next()
		return err
	})
	measure(b, "go", func() error {
		_, err := others(bytes.NewReader(data))
		return err
	})
}

func measure(b *testing.B, name string, decode func() error) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		before := cpu(b)
		for b.Loop() {
			if err := decode(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	})
}

// cpu is the time that this process has computed.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkJPEG(b *testing.B) {
	data, err := still.EncodeJPEG(megapixel(b), 85, still.Subsample420)
	if err != nil {
		b.Fatal(err)
	}
	benchmarkOpen(b, data, jpeg.Decode)
}

func BenchmarkPNG(b *testing.B) {
	data, err := still.EncodePNG(megapixel(b))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkOpen(b, data, png.Decode)
}

func BenchmarkWebP(b *testing.B) {
	for name, quality := range map[string]still.WebPQuality{"lossy": 85, "lossless": still.Lossless} {
		b.Run(name, func(b *testing.B) {
			data, err := still.EncodeWebP(megapixel(b), quality)
			if err != nil {
				b.Fatal(err)
			}
			benchmarkOpen(b, data, webp.Decode)
		})
	}
}

func BenchmarkGIF(b *testing.B) {
	var buf bytes.Buffer
	p := still.Thumbnail(megapixel(b), 1000, 1000)
	if err := gif.Encode(&buf, p, nil); err != nil {
		b.Fatal(err)
	}
	benchmarkOpen(b, buf.Bytes(), gif.Decode)
}
