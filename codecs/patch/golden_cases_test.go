package patch

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// How many rows the golden file has; a row that goes missing must show.
const (
	goldenCases    = 550
	goldenPillow13 = 32 // of them, cases of which Pillow 13 makes other bytes
	goldenUpright  = 34 // cases in which its vertical pass is first
	goldenErrors   = 6
	goldenClips    = 8
)

// goldenTable is what a golden test shows: a row for each case, then sums by processor.
type goldenTable struct {
	rows   []string
	groups []string
	tally  map[string]*struct{ equal, of int }
}

// add notes one comparison. An error is a difference, which it describes.
func (g *goldenTable) add(t *testing.T, group, name string, err error) {
	t.Helper()
	verdict := "equal"
	if err != nil {
		verdict = err.Error()
		t.Errorf("%s/%s: %v", group, name, err)
	}
	g.rows = append(g.rows, fmt.Sprintf("%-32s %-36s %s", group, name, verdict))
	if g.tally == nil {
		g.tally = map[string]*struct{ equal, of int }{}
	}
	if g.tally[group] == nil {
		g.tally[group] = new(struct{ equal, of int })
		g.groups = append(g.groups, group)
	}
	if g.tally[group].of++; err == nil {
		g.tally[group].equal++
	}
}

// show logs the table, and fails the test where it has not as many rows as it must.
func (g *goldenTable) show(t *testing.T, want int) {
	t.Helper()
	if len(g.rows) != want {
		t.Errorf("%d rows; there must be %d", len(g.rows), want)
	}
	equal := 0
	sums := make([]string, 0, len(g.groups))
	for _, name := range g.groups {
		equal += g.tally[name].equal
		sums = append(sums, fmt.Sprintf("%-32s %3d of %3d equal", name, g.tally[name].equal, g.tally[name].of))
	}
	t.Logf("case by case, against the processor's arrays:\n%s", strings.Join(g.rows, "\n"))
	t.Logf("in all %d of %d equal\n%s", equal, len(g.rows), strings.Join(sums, "\n"))
}

func TestGolden(t *testing.T) {
	var g goldenData
	readGolden(t, "patch-cases.json", &g)
	if len(g.Cases) != goldenCases {
		t.Fatalf("the golden file has %d cases; there were %d", len(g.Cases), goldenCases)
	}
	images := map[string]codecs.Pixels{}
	var table, newer goldenTable
	of := 0
	for n, k := range g.Cases {
		if k.Pillow13 != nil {
			of++
		}
		if n%(thin+1) != 0 {
			continue
		}
		src, s := g.image(t, images, k.Image), g.Processors[k.Processor]
		s.DType = Float32
		table.add(t, k.Processor, k.Image, k.check(t, s, src, k.Resized.SHA256, k.Patches.SHA256, ""))
		// Where Pillow 13 goes the other way first, its values may differ, or not.
		s.PassOrder = Pillow13
		if v := k.Pillow13; v != nil {
			newer.add(t, k.Processor, k.Image+", other bytes", k.check(t, s, src, v.Resized, v.Patches, v.PixelValues))
		} else if h, w := k.Resized.Height, k.Resized.Width; src.Height > h && src.Height-h > 2*(src.Width-w) {
			newer.add(t, k.Processor, k.Image+", same bytes", k.check(t, s, src, k.Resized.SHA256, k.Patches.SHA256, ""))
		}
	}
	if of != goldenPillow13 {
		t.Errorf("%d cases with other bytes from Pillow 13; there were %d", of, goldenPillow13)
	}
	t.Log("Pillow before 13")
	table.show(t, (goldenCases+thin)/(thin+1))
	t.Log("Pillow 13, where its vertical pass is first")
	if thin == 0 {
		newer.show(t, goldenUpright)
	} else {
		newer.show(t, len(newer.rows))
		t.Logf("under the race detector, which slows this down tenfold, one case of %d is run", thin+1)
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
		return fmt.Errorf("the patches differ: %s", compare(got.Patches, k.Patches, s))
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
func compare(a Array, want goldenArray, s Spec) string {
	var most, total float64
	for n, at := range want.SampleIndex {
		d := levels(a, at, want.SampleValue[n], s)
		most, total = max(most, d), total+d
	}
	return fmt.Sprintf("max %.3f, mean %.4f levels in %d samples", most, total/float64(max(1, len(want.SampleIndex))), len(want.SampleIndex))
}

// levels is how far value at of float32 patches is from want, in levels of 255.
func levels(a Array, at int, want float64, s Spec) float64 {
	values := a.Shape[len(a.Shape)-1]
	c := at % values / (values / 3)
	if l, _ := layoutOf(s.Layout); l.innerRGB {
		c = at % 3
	}
	got := float64(math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*at:])))
	return math.Abs(got-want) * 255 * s.Std[c]
}

func TestGoldenErrors(t *testing.T) {
	var g goldenData
	readGolden(t, "patch-cases.json", &g)
	if len(g.Errors) != goldenErrors {
		t.Fatalf("the golden file has %d pictures that are refused; there were %d", len(g.Errors), goldenErrors)
	}
	images := map[string]codecs.Pixels{}
	for _, k := range g.Errors {
		_, err := mustNew(t, g.Processors[k.Processor]).Cut(g.image(t, images, k.Image))
		if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeLayout || e.Stage != codecs.StagePatchify {
			t.Errorf("%s/%s: got %v, want what the processor refuses (%s)", k.Processor, k.Image, err, k.Error)
		}
	}
}
