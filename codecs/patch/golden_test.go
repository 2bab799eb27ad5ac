package patch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
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

func TestGolden(t *testing.T) {
	var g goldenData
	readGolden(t, "patch-cases.json", &g)
	images := map[string]codecs.Pixels{}
	type tally struct{ equal, of int }
	tallies := map[string]*tally{}
	for n, k := range g.Cases {
		if n%(thin+1) != 0 {
			continue
		}
		src := g.image(t, images, k.Image)
		s := g.Processors[k.Processor]
		s.DType = Float32
		row := tallies[k.Processor]
		if row == nil {
			row = &tally{}
			tallies[k.Processor] = row
		}
		row.of++
		if err := k.check(t, s, src, k.Resized.SHA256, k.Patches.SHA256, ""); err != nil {
			t.Errorf("%s/%s: %v", k.Processor, k.Image, err)
			continue
		}
		row.equal++
		if v := k.Pillow13; v != nil {
			s.PassOrder = Pillow13
			if err := k.check(t, s, src, v.Resized, v.Patches, v.PixelValues); err != nil {
				t.Errorf("%s/%s with Pillow 13: %v", k.Processor, k.Image, err)
			}
		}
	}
	t.Log("processor                        equal / cases")
	names := make([]string, 0, len(tallies))
	for name := range tallies {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%-32s %3d / %d", name, tallies[name].equal, tallies[name].of)
	}
}

// check compares in the order in which a difference is best understood.
func (k goldenCase) check(t *testing.T, s Spec, src codecs.Pixels, resized, patches, pixelValues string) error {
	c := mustNew(t, s)
	got, err := c.Cut(src)
	if err != nil {
		return err
	}
	if got.ResizedHeight != k.Resized.Height || got.ResizedWidth != k.Resized.Width {
		return fmt.Errorf("resized to %dx%d, want %dx%d", got.ResizedWidth, got.ResizedHeight, k.Resized.Width, k.Resized.Height)
	}
	whole := c.picture // llava_next: the canvas, which is what was hashed
	if s.Crop > 0 {
		whole = codecs.Pixels{}
		if err := c.resizer.Resize(&whole, src, got.ResizedWidth, got.ResizedHeight, image.Rect(0, 0, got.ResizedWidth, got.ResizedHeight)); err != nil {
			return err
		}
	}
	if sum(whole.Pix) != resized {
		return fmt.Errorf("the resized pixels differ")
	}
	if patches != "" && sum(got.Patches.Data) != patches {
		return fmt.Errorf("the patches differ: %s", compare(got.Patches, k.Patches, s.Std))
	}
	if k.PixelValues != nil {
		if pixelValues == "" {
			pixelValues = k.PixelValues.SHA256
		}
		if sum(joined(got, s.Patch)) != pixelValues {
			return fmt.Errorf("the patches, put together again, are not the processor's pixel_values")
		}
	}
	return k.checkOthers(got)
}

func (k goldenCase) checkOthers(got *Tokens) error {
	if n := len(k.Patches.Shape); !slices.Equal(got.Patches.Shape[1:], k.Patches.Shape[n-1:]) || got.Patches.DType != k.Patches.DType {
		return fmt.Errorf("patches are %s %v, want %s %v", got.Patches.DType, got.Patches.Shape, k.Patches.DType, k.Patches.Shape)
	}
	for _, a := range []struct {
		name string
		got  *Array
		want *goldenArray
	}{{"mask", got.Mask, k.Mask}, {"coords", got.Coords, k.Coords}, {"grid", &got.Grid, k.Grid}} {
		if a.want == nil {
			if a.got != nil && a.name != "grid" {
				return fmt.Errorf("there is a %s that the processor has not", a.name)
			}
			continue
		}
		if a.got == nil || a.got.DType != a.want.DType || !slices.Equal(append([]int{1}, a.got.Shape...), a.want.Shape) || sum(a.got.Data) != a.want.SHA256 {
			return fmt.Errorf("the %s differs: %+v", a.name, a.got)
		}
	}
	return nil
}

// joined undoes the conv2d order: tokens back to float32 [tiles, 3, height, width].
func joined(k *Tokens, patch int) []byte {
	gw := int(binary.LittleEndian.Uint64(k.Grid.Data[len(k.Grid.Data)-8:]))
	gh := int(binary.LittleEndian.Uint64(k.Grid.Data[len(k.Grid.Data)-16:]))
	width := gw * patch
	out := make([]byte, len(k.Patches.Data))
	for n := range k.Count {
		tile, y, x := n/(gh*gw), n/gw%gh, n%gw
		for r := range 3 * patch { // channel, row in patch
			c, i := r/patch, r%patch
			line := k.Patches.Data[(n*3*patch*patch+r*patch)*4:][:4*patch]
			copy(out[(((tile*3+c)*gh*patch+y*patch+i)*width+x*patch)*4:], line)
		}
	}
	return out
}

// compare says by how much the sampled values differ, in levels of 255.
func compare(a Array, want goldenArray, std [3]float64) string {
	var most, total float64
	for n, at := range want.SampleIndex {
		v := float64(math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*at:])))
		d := math.Abs(v-want.SampleValue[n]) * 255 * max(std[0], std[1], std[2])
		most, total = max(most, d), total+d
	}
	return fmt.Sprintf("max %.3f, mean %.4f levels in %d samples", most, total/float64(max(1, len(want.SampleIndex))), len(want.SampleIndex))
}

func TestGoldenErrors(t *testing.T) {
	var g goldenData
	readGolden(t, "patch-cases.json", &g)
	images := map[string]codecs.Pixels{}
	for _, k := range g.Errors {
		_, err := mustNew(t, g.Processors[k.Processor]).Cut(g.image(t, images, k.Image))
		if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeLayout || e.Stage != codecs.StagePatchify {
			t.Errorf("%s/%s: got %v, want what the processor refuses (%s)", k.Processor, k.Image, err, k.Error)
		}
	}
}

func TestGoldenClips(t *testing.T) {
	var g goldenData
	readGolden(t, "patch-cases.json", &g)
	clips := map[string][]codecs.Pixels{}
	for _, v := range g.Videos {
		var all []byte
		for n := range v.Frames {
			p := readRGB(t, fmt.Sprintf("videos/%s/f%03d.png", v.Name, n))
			clips[v.Name] = append(clips[v.Name], p)
			all = append(all, p.Pix...)
		}
		if sum(all) != v.SHA256 {
			t.Fatalf("%s: the RGB differs from the golden one", v.Name)
		}
	}
	for _, k := range g.Clips {
		s := k.Spec
		s.DType = Float32
		c, err := NewClip(s, DefaultLimits())
		if err != nil {
			t.Fatal(k.ID, err)
		}
		frames := clips[k.Video]
		for range 2 { // the second time with used buffers
			got, err := cutClip(c, frames)
			switch {
			case err != nil:
				t.Errorf("%s: %v", k.ID, err)
			case sum(got.Patches.Data) != k.Patches.SHA256 || !slices.Equal(got.Patches.Shape, k.Patches.Shape):
				t.Errorf("%s: the patches differ: %s", k.ID, compare(got.Patches, k.Patches, s.Std))
			case k.Grid != nil && sum(got.Grid.Data) != k.Grid.SHA256:
				t.Errorf("%s: the grid differs: %v", k.ID, got.Grid.Data)
			}
		}
		t.Logf("%-36s checked", k.ID)
	}
}

func cutClip(c ClipCutter, frames []codecs.Pixels) (*Tokens, error) {
	if err := c.Start(len(frames), frames[0].Width, frames[0].Height); err != nil {
		return nil, err
	}
	for _, f := range frames {
		if err := c.Add(f); err != nil {
			return nil, err
		}
	}
	return c.Finish()
}

// TestGoldenResample compares both implementations with Pillow on sizes and kernels
// that no processor's case has.
func TestGoldenResample(t *testing.T) {
	var g struct {
		Cases []struct {
			Width, Height int
			Seed          uint32
			ToWidth       int `json:"to_width"`
			ToHeight      int `json:"to_height"`
			Filter        Filter
			SHA256        string `json:"rgb_sha256"`
		}
	}
	readGolden(t, "resample-cases.json", &g)
	for n, k := range g.Cases {
		if n%(thin+1) != 0 {
			continue
		}
		src := noise(k.Width, k.Height, k.Seed)
		for _, kernel := range []kernel{reference, fastest()} {
			var dst codecs.Pixels
			err := newResizer(t, k.Filter, Horizontal, kernel).Resize(&dst, src, k.ToWidth, k.ToHeight, image.Rect(0, 0, k.ToWidth, k.ToHeight))
			if err != nil || sum(dst.Pix) != k.SHA256 {
				t.Errorf("%s, %s, %dx%d to %dx%d: differs from Pillow (%v)", kernel.name, k.Filter, k.Width, k.Height, k.ToWidth, k.ToHeight, err)
			}
		}
	}
}
