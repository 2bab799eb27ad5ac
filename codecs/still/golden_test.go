package still_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

const images = "../../testdata/images"

func TestMain(m *testing.M) {
	code := m.Run()
	if n := still.Live(); n != 0 && code == 0 {
		println("C objects left alive:", n)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// pillow are the options under which our pixels are Pillow's.
var pillow = still.Options{DropAlpha: true, Gray16: still.Gray16Clip, EnableTIFF: true, EnableBMP: true}

func load(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(images, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	if err := json.Unmarshal(load(t, path), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// frames decodes data with the container that Sniff finds.
func frames(data []byte, opt still.Options, limits codecs.Limits) ([]*codecs.Frame, codecs.Info, error) {
	container, ok := still.Sniff(data)
	if !ok {
		return nil, codecs.Info{}, errors.New("no container")
	}
	f, err := still.Open(context.Background(), bytes.NewReader(data), container, opt, limits)
	if err != nil {
		return nil, codecs.Info{}, err
	}
	defer f.Close()
	var out []*codecs.Frame
	for {
		p, err := f.Next()
		if err == io.EOF {
			return out, f.Info(), nil
		}
		if err != nil {
			return out, f.Info(), err
		}
		out = append(out, p.Clone())
	}
}

func one(t testing.TB, data []byte, opt still.Options) *codecs.Frame {
	t.Helper()
	f, _, err := frames(data, opt, codecs.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	if len(f) != 1 {
		t.Fatalf("%d frames, want 1", len(f))
	}
	return f[0]
}

func hash(pix []byte) string {
	sum := sha256.Sum256(pix)
	return hex.EncodeToString(sum[:])
}

func TestGoldenImagesEqualPillow(t *testing.T) {
	var cases []struct {
		Name                       string
		Width, Height, Orientation int
		RGB                        struct {
			Width, Height int
			SHA256, Rule  string
		}
	}
	readJSON(t, "golden.json", &cases)
	if len(cases) != 35 {
		t.Fatalf("%d golden images, want 35", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			data := load(t, filepath.Join("golden", c.Name))
			f, info, err := frames(data, pillow, codecs.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			p := f[0]
			if p.Width != c.RGB.Width || p.Height != c.RGB.Height || hash(p.Pix) != c.RGB.SHA256 {
				t.Errorf("%dx%d %s, want %dx%d %s (%s)", p.Width, p.Height, hash(p.Pix), c.RGB.Width, c.RGB.Height, c.RGB.SHA256, c.RGB.Rule)
			}
			if info.Width != c.Width || info.Height != c.Height || p.BeforeWidth != c.Width || p.BeforeHeight != c.Height {
				t.Errorf("info %dx%d, before %dx%d, want %dx%d", info.Width, info.Height, p.BeforeWidth, p.BeforeHeight, c.Width, c.Height)
			}
			if wrote := strings.Contains(strings.Join(p.Applied, " "), "exif:"); wrote != (c.Orientation > 1) {
				t.Errorf("applied %q with orientation %d", p.Applied, c.Orientation)
			}
			if !p.Key || p.PTS != codecs.NewRational(0, 1) || p.Index != 0 {
				t.Errorf("key %v, pts %s, index %d", p.Key, p.PTS, p.Index)
			}
		})
	}
}
