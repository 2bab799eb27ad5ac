package inspect

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// unpatch is the inverse of every layout's cutter, where the cutter need not resize.
func TestUnpatch(t *testing.T) {
	mean, std := [3]float64{0.48145466, 0.4578275, 0.40821073}, [3]float64{0.26862954, 0.26130258, 0.27577711}
	for _, c := range []struct {
		spec patch.Spec
		w, h int
	}{
		{patch.Spec{Layout: patch.ViT, Size: 64}, 64, 64},
		{patch.Spec{Layout: patch.ViT, Size: 64, Resize: "shortest_edge", Crop: 64}, 64, 64},
		{patch.Spec{Layout: patch.NaFlex}, 288, 224},
		{patch.Spec{Layout: patch.TimmFlex}, 288, 224},
		{patch.Spec{Layout: patch.Pixtral}, 96, 48},
		{patch.Spec{Layout: patch.Qwen2VL}, 84, 56},
		{patch.Spec{Layout: patch.Qwen3VL}, 320, 256},
	} {
		px := paint(c.w, c.h, func(x, y, c int) byte { return byte(x*3 + y*5 + c*31) })
		for dtype, off := range map[string]int{"uint8": 0, "float32": 0, "float16": 1, "bfloat16": 2} {
			spec := c.spec
			spec.DType, spec.Mean, spec.Std = dtype, mean, std
			s := cut(t, 0, px, spec)
			var d pipeline.Description
			if err := json.Unmarshal(s.Fields[0].Data, &d); err != nil {
				t.Fatal(err)
			}
			g, err := gridOf(s.Fields[2].Data)
			if err != nil {
				t.Fatal(err)
			}
			img, err := unpatch(s.Fields[1].Data, d.Tokens[c.spec.Layout], g)
			if err != nil {
				t.Errorf("%s %s: %v", spec.Layout, dtype, err)
				continue
			}
			if img.Rect.Dx() != c.w || img.Rect.Dy() != c.h {
				t.Fatalf("%s: the case is resized to %v", spec.Layout, img.Rect)
			}
			if most := farthest(img, px); most > off {
				t.Errorf("%s %s: a level is off by %d", spec.Layout, dtype, most)
			}
		}
	}
}

func farthest(img *image.NRGBA, px codecs.Pixels) int {
	most := 0
	for i, v := range px.Pix {
		d := int(v) - int(img.Pix[i/3*4+i%3])
		most = max(most, d, -d)
	}
	return most
}

func TestUnpatchRefuses(t *testing.T) {
	good := func() patch.Array {
		return patch.Array{DType: "uint8", Shape: []int{4, 12}, Data: make([]byte, 48)}
	}
	vit := pipeline.TokenInfo{Layout: patch.ViT, Patch: 2}
	qwen := pipeline.TokenInfo{Layout: patch.Qwen2VL, Patch: 2}
	wide := pipeline.TokenInfo{Layout: patch.ViT, Patch: 1 << 20}
	for why, c := range map[string]struct {
		a    patch.Array
		info pipeline.TokenInfo
		g    cells
	}{
		"holds no grid of 2x3":      {good(), vit, cells{2, 3}},
		"no whole squares":          {good(), qwen, cells{1, 3}},
		"patches of side 1048576":   {good(), wide, cells{1, 1}},
		"patches of side 0":         {good(), pipeline.TokenInfo{}, cells{1, 1}},
		"patches of dtype int32":    {patch.Array{DType: "int32", Shape: []int{1, 12}, Data: make([]byte, 48)}, vit, cells{1, 1}},
		"an array of shape [48 1]":  {patch.Array{DType: "uint8", Shape: []int{48, 1}, Data: make([]byte, 48)}, vit, cells{1, 1}},
		"in an array of shape [48]": {patch.Array{DType: "uint8", Shape: []int{48}, Data: make([]byte, 48)}, vit, cells{1, 1}},
	} {
		if _, err := unpatch(patch.AppendNPY(nil, c.a), c.info, c.g); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v", why, err)
		}
	}
	for _, a := range []patch.Array{
		{DType: "int64", Shape: []int{2}, Data: make([]byte, 16)}, // zeros
		{DType: "int64", Shape: []int{1}, Data: []byte{1, 0, 0, 0, 0, 0, 0, 0}},
		{DType: "int64", Shape: []int{2}, Data: bytes.Repeat([]byte{0xff}, 16)},
		{DType: "int32", Shape: []int{4}, Data: bytes.Repeat([]byte{1, 0, 0, 0}, 4)},
	} {
		if g, err := gridOf(patch.AppendNPY(nil, a)); err == nil {
			t.Errorf("%+v gives the grid %v", a, g)
		}
	}
}

func drawn(t *testing.T, n int, shards ...Source) (*image.NRGBA, []byte) {
	t.Helper()
	var b bytes.Buffer
	shown, err := WriteSheet(t.Context(), &b, "set", shards, SheetOptions{Samples: n})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(b.Bytes())
	img, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	if shown > n {
		t.Errorf("%d samples on a sheet for %d", shown, n)
	}
	out := image.NewNRGBA(img.Bounds())
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.Set(x, y, img.At(x, y))
		}
	}
	return out, data
}

// box is where card i's picture is on a sheet of so many columns.
func box(i, cols int) image.Rectangle {
	x := margin + i%cols*(cardWidth+gap) + cardPad
	y := margin + headerHeight + i/cols*(cardHeight+gap) + cardPad
	return image.Rect(x, y, x+boxWidth, y+boxHeight)
}

func near(a, b color.NRGBA, off int) bool {
	for _, d := range []int{int(a.R) - int(b.R), int(a.G) - int(b.G), int(a.B) - int(b.B)} {
		if d > off || -d > off {
			return false
		}
	}
	return true
}

// Pictures are spread over the dataset, in order, whether shards say their counts or not.
func TestSheet(t *testing.T) {
	var requests int
	a := inMemory("a.tar", sealed(t, frames(t, 0, 4)...), &requests)
	b := inMemory("b.tar", sealed(t, frames(t, 4, 6)...), &requests)
	a.Samples = 4
	img, data := drawn(t, 3, a, b) // the middle of three shares of two: 1, 3, 5
	for i, frame := range []int{1, 3, 5} {
		r := box(i, 3)
		// The gray between the lines: 4 x 3 cells of 66 pixels stand in the box.
		at := image.Pt((r.Min.X+r.Max.X)/2+33, (r.Min.Y+r.Max.Y)/2)
		v := uint8(40 * frame)
		if got := img.NRGBAAt(at.X, at.Y); !near(got, color.NRGBA{v, v, v, 255}, 2) {
			t.Errorf("card %d shows %v, frame %d is %d", i, got, frame, v)
		}
		line := img.NRGBAAt((r.Min.X+r.Max.X)/2-1, at.Y) // its shadow is the pixel after
		if int(line.R) < int(v)+20 && v < 200 {
			t.Errorf("card %d: no patch border in the middle, %v on %d", i, line, v)
		}
	}
	if _, again := drawn(t, 3, a, b); !bytes.Equal(data, again) {
		t.Error("the same shards gave another sheet")
	}
	if _, err := WriteSheet(t.Context(), new(bytes.Buffer), "set", nil, SheetOptions{}); err == nil || !strings.Contains(err.Error(), "set has no samples") {
		t.Errorf("nothing: %v", err)
	}
}

func TestSpread(t *testing.T) {
	for total := int64(1); total < 200; total++ {
		for n := 1; n <= min(int(total), MostOnSheet); n++ {
			last := int64(-1)
			for _, at := range spread(total, n) {
				if at <= last || at >= total {
					t.Fatalf("spread(%d, %d) = %v", total, n, spread(total, n))
				}
				last = at
			}
		}
	}
	for n := 1; n <= MostOnSheet; n++ {
		if c := columns(n); c < 2 || c > 6 {
			t.Errorf("%d cards in %d columns", n, c)
		}
	}
}

// A kept frame is shown whole; what the processor cropped away is dim, and the frame
// of the grid is where the crop is.
func TestSheetShowsCrop(t *testing.T) {
	s := cut(t, 0, paint(320, 160, gray(200)), patch.Spec{Layout: patch.ViT, Resize: "shortest_edge", Size: 64, Crop: 64})
	var pic bytes.Buffer
	white := image.NewNRGBA(image.Rect(0, 0, 320, 160))
	for i := range white.Pix {
		white.Pix[i] = 200
	}
	if err := jpeg.Encode(&pic, white, nil); err != nil {
		t.Fatal(err)
	}
	s.Fields = append(s.Fields, pipeline.Field{Name: "frame.jpg", Data: pic.Bytes()})
	var requests int
	img, _ := drawn(t, 1, inMemory("a.tar", sealed(t, s), &requests))
	r := box(0, 2) // the picture is 320x160 in it, the crop its middle 160 columns
	mid := (r.Min.Y + r.Max.Y) / 2
	for x, want := range map[int]bool{20: false, 70: false, 100: true, 180: true, 250: false, 300: false} {
		got := img.NRGBAAt(r.Min.X+x, mid+10)
		if bright := got.R > 120; bright != want {
			t.Errorf("at column %d of the picture: %v", x, got)
		}
	}
	if edge := img.NRGBAAt(r.Min.X+80, mid+10); edge.R < 220 {
		t.Errorf("the crop's edge is %v", edge)
	}
}

// A square squash is shown in the proportions of the picture that it was made from.
func TestSheetUndoesSquash(t *testing.T) {
	var requests int
	s := cut(t, 0, paint(480, 160, gray(128)), patch.Spec{Layout: patch.ViT, Size: 32})
	img, _ := drawn(t, 1, inMemory("a.tar", sealed(t, s), &requests))
	r := box(0, 2) // 320 x 107 in it
	for y, want := range map[int]bool{30: false, 60: true, 140: true, 170: false} {
		if got := img.NRGBAAt(r.Min.X+40, r.Min.Y+y); near(got, color.NRGBA{128, 128, 128, 255}, 2) != want {
			t.Errorf("row %d of the box is %v", y, got)
		}
	}
}

// One bad sample is a remark on its card, and harms no other.
func TestSheetWithBadSamples(t *testing.T) {
	ss := frames(t, 0, 5)
	ss[0].Fields[0].Data = []byte("{")
	ss[1].Fields[4].Data = []byte("no grid")
	ss[2].Fields = append(ss[2].Fields, pipeline.Field{Name: "frame.png", Data: bomb(t)})
	ss[3] = pipeline.Sample{Key: "words", Fields: []pipeline.Field{{Name: "json", Data: []byte(`{"kind":"text","text":"` + strings.Repeat("many words ", 200) + `"}`)}}}
	var requests int
	src := inMemory("a.tar", sealed(t, ss...), &requests)
	img, _ := drawn(t, 5, src)
	r := box(4, columns(5))
	if got := img.NRGBAAt((r.Min.X+r.Max.X)/2+33, (r.Min.Y+r.Max.Y)/2); !near(got, color.NRGBA{160, 160, 160, 255}, 2) {
		t.Errorf("the good one shows %v", got)
	}
	for i, why := range []string{"unexpected end of JSON", "naflex.grid.npy: npy:", "the picture is 60000x60000", ""} {
		_, err := lookAt(t, src, i)
		if i == 3 {
			continue // words, which draw by themselves
		}
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("sample %d: %v", i, err)
		}
	}
}

// A frame that was kept as WebP, with no patches beside it.
func TestSheetWebP(t *testing.T) {
	red, err := base64.StdEncoding.DecodeString("UklGRkoAAABXRUJQVlA4ID4AAAAwAwCdASooABQAPtFmrFCoJaQipWgBABoJZwDJEA8Kmm4AAP7oOL6qp6/G7/+Ic/rb/uU1pLQh5HadwwAAAA==")
	if err != nil {
		t.Fatal(err)
	}
	var requests int
	src := inMemory("a.tar", sealed(t, pipeline.Sample{Key: "k", Fields: []pipeline.Field{{Name: "frame.webp", Data: red}}}), &requests)
	img, _ := drawn(t, 1, src)
	r := box(0, 2)
	if got := img.NRGBAAt(r.Min.X+100, r.Min.Y+100); !near(got, color.NRGBA{200, 40, 40, 255}, 4) {
		t.Errorf("the picture is %v", got)
	}
}

func lookAt(t *testing.T, src Source, i int) (p *picture, err error) {
	t.Helper()
	n := 0
	walkErr := src.walk(context.Background(), func(r shard.Reader, e *shard.Entry) error {
		if n++; n-1 == i {
			var buf []byte
			var d *pipeline.Description
			if d, err = describe(r, e, &buf); err == nil {
				p, err = look(r, e, d)
			}
			return errStop
		}
		return nil
	})
	if walkErr != nil {
		t.Fatal(walkErr)
	}
	return p, err
}

// bomb is a PNG whose header asks for 60000 x 60000 pixels.
func bomb(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	copy(data[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

func TestText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1 << 20: "1.0 MiB", 1023 << 10: "1.0 MiB", 250 << 20: "250 MiB", 5 << 40: "5.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes are %q", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := number(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
	for sec, want := range map[float64]string{0: "00:00.000", 59.9996: "01:00.000", 3723.5: "1:02:03.500", -0.25: "-00:00.250"} {
		if got := clock(&sec); got != want {
			t.Errorf("%v s is %q", sec, got)
		}
	}
	if got := shorten("abcdefghij", 6); got != "ab…hij" {
		t.Errorf("shortened to %q", got)
	}
	f, err := newFonts()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.Repeat("w", 5000), "", "\x1b[2J\n\xff", strings.Repeat("ü ", 400)} {
		for _, got := range append(f.text.wrap(text, 200, 3), f.mono.fitMiddle(text, 200), f.text.fit(text, 200)) {
			if f.mono.width(got) > 220 && f.text.width(got) > 200 || strings.ContainsAny(got, "\x1b\n") {
				t.Errorf("%.20q became %q", text, got)
			}
		}
	}
}

// Whatever a shard's fields hold, looking at them ends without a panic.
func FuzzSheet(f *testing.F) {
	good := cut(f, 0, paint(32, 32, gray(7)), patch.Spec{Layout: patch.ViT, Size: 32})
	qwen := cut(f, 0, paint(56, 56, gray(7)), patch.Spec{Layout: patch.Qwen2VL, DType: "float16"})
	f.Add(good.Fields[0].Data, good.Fields[1].Data, good.Fields[2].Data, []byte{1})
	f.Add(qwen.Fields[0].Data, qwen.Fields[1].Data, qwen.Fields[2].Data, bomb(f))
	f.Add([]byte(`{"tokens":{"vit":{"layout":"qwen2vl","patch":2}},"size":[-1,0],"pts_seconds":1e300}`), good.Fields[1].Data, good.Fields[2].Data, []byte("x"))
	sheet, err := newSheet(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, j, patches, grid, frame []byte) {
		s := pipeline.Sample{Key: "k"}
		for _, x := range []pipeline.Field{
			{Name: "json", Data: j},
			{Name: "vit.patches.npy", Data: patches}, {Name: "vit.grid.npy", Data: grid},
			{Name: "qwen2vl.patches.npy", Data: patches}, {Name: "qwen2vl.grid.npy", Data: grid},
			{Name: "frame.png", Data: frame},
		} {
			if len(x.Data) > 1 || x.Name == "json" && len(x.Data) > 0 {
				s.Fields = append(s.Fields, x)
			}
		}
		if len(s.Fields) == 0 {
			return
		}
		var requests int
		src := inMemory("a.tar", sealed(t, s), &requests)
		sheet.shown = 0
		if err := sheet.shard(t.Context(), &src, 0, []int64{0}); err != nil || sheet.shown != 1 {
			t.Fatal(err)
		}
		r, err := Dataset(t.Context(), "set", []Source{src})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.WriteText(new(bytes.Buffer), TextOptions{}); err != nil || r.Samples != 1 {
			t.Fatal(r, err)
		}
	})
}
