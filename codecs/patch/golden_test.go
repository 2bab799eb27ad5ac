package patch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// The golden data: what the models' own processors gave, with the pixels they got.
const goldenFolder = "../../testdata/golden"

type goldenArray struct {
	DType       string
	Shape       []int
	SHA256      string
	SampleIndex []int     `json:"sample_index"`
	SampleValue []float64 `json:"sample_value"`
}

type goldenCase struct {
	Processor, Image string
	Resized          struct {
		Height, Width int
		SHA256        string `json:"rgb_sha256"`
	}
	Patches     goldenArray
	PixelValues *goldenArray `json:"pixel_values"`
	Mask        *goldenArray
	Coords      *goldenArray
	Grid        *goldenArray
	Pillow13    *struct {
		Resized     string `json:"resized_sha256"`
		Patches     string `json:"patches_sha256"`
		PixelValues string `json:"pixel_values_sha256"`
	}
}

type goldenData struct {
	Images map[string]struct {
		File          string
		Width, Height int
		SHA256        string
	}
	Processors map[string]Spec
	Cases      []goldenCase
	Errors     []struct{ Processor, Image, Error string }
	Videos     []struct {
		Name                  string
		Frames, Width, Height int
		SHA256                string `json:"rgb_sha256"`
	}
	Clips []struct {
		ID, Video string
		Spec      Spec
		Patches   goldenArray
		Grid      *goldenArray
	}
}

func readGolden(t testing.TB, name string, to any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(goldenFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatal(name, err)
	}
}

// readRGB reads an 8-bit RGB or gray PNG, whose pixels Go decodes exactly.
func readRGB(t testing.TB, name string) codecs.Pixels {
	t.Helper()
	f, err := os.Open(filepath.Join(goldenFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(name, err)
	}
	size := m.Bounds().Size()
	p := codecs.Pixels{Width: size.X, Height: size.Y, Pix: make([]byte, 0, size.X*size.Y*3)}
	switch m := m.(type) {
	case *image.RGBA: // what image/png makes of RGB without alpha
		for i := 0; i < len(m.Pix); i += 4 {
			p.Pix = append(p.Pix, m.Pix[i:i+3]...)
		}
	case *image.Gray:
		for _, v := range m.Pix {
			p.Pix = append(p.Pix, v, v, v)
		}
	default:
		t.Fatalf("%s: is a %T", name, m)
	}
	return p
}

// image reads an image once for all processors, and checks that it is the one.
func (g *goldenData) image(t testing.TB, cache map[string]codecs.Pixels, name string) codecs.Pixels {
	t.Helper()
	if p, ok := cache[name]; ok {
		return p
	}
	i := g.Images[name]
	p := readRGB(t, i.File)
	if p.Width != i.Width || p.Height != i.Height || sum(p.Pix) != i.SHA256 {
		t.Fatalf("%s: the RGB differs from the golden one", i.File)
	}
	cache[name] = p
	return p
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func mustNew(t testing.TB, s Spec) *cutter {
	t.Helper()
	c, err := New(s, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return c.(*cutter)
}
