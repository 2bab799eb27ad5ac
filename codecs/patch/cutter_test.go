package patch

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// copied keeps a result beyond the cutter's next call.
func copied(k *Tokens) Tokens {
	array := func(a Array) Array {
		return Array{DType: a.DType, Shape: slices.Clone(a.Shape), Data: bytes.Clone(a.Data)}
	}
	c := *k
	c.Patches, c.Grid = array(k.Patches), array(k.Grid)
	if k.Mask != nil {
		m := array(*k.Mask)
		c.Mask = &m
	}
	if k.Coords != nil {
		m := array(*k.Coords)
		c.Coords = &m
	}
	return c
}

func equal(a, b Tokens) bool {
	same := func(a, b Array) bool {
		return a.DType == b.DType && slices.Equal(a.Shape, b.Shape) && bytes.Equal(a.Data, b.Data)
	}
	both := func(a, b *Array) bool { return (a == nil) == (b == nil) && (a == nil || same(*a, *b)) }
	return same(a.Patches, b.Patches) && same(a.Grid, b.Grid) && both(a.Mask, b.Mask) && both(a.Coords, b.Coords) &&
		a.Count == b.Count && a.Language == b.Language && a.ResizedWidth == b.ResizedWidth && a.ResizedHeight == b.ResizedHeight
}

// stills are the presets that take single pictures, by every dtype, the largest ones
// of them with a smaller budget.
func stills() map[string]Spec {
	all := map[string]Spec{}
	for name, s := range Presets() {
		if l, _ := layoutOf(s.Layout); !l.stills {
			continue
		}
		s.MinPixels, s.MaxPixels = min(s.MinPixels, 50_000), min(s.MaxPixels, 70_000)
		dtypes := DTypes()
		if thin > 0 {
			dtypes = []string{Float16}
		}
		for _, s.DType = range dtypes {
			all[name+"/"+s.DType] = s
		}
	}
	return all
}

// TestCutAgain cuts other pictures in between, larger and smaller, and compares with
// a fresh cutter each time: nothing may stay in the reused buffers.
func TestCutAgain(t *testing.T) {
	pictures := []codecs.Pixels{noise(90, 61, 1), noise(300, 40, 2), noise(5, 5, 4), noise(90, 61, 1)}
	for name, s := range stills() {
		used := mustNew(t, s)
		for n, p := range pictures {
			got, err := used.Cut(p)
			if err != nil {
				t.Fatal(name, err)
			}
			want, err := mustNew(t, s).Cut(p)
			if err != nil {
				t.Fatal(name, err)
			}
			if !equal(*got, *want) {
				t.Errorf("%s: picture %d comes out otherwise than from a fresh cutter", name, n)
			}
		}
	}
}

// TestCutAllocates: a cutter in use allocates nothing.
func TestCutAllocates(t *testing.T) {
	p := noise(320, 240, 1)
	for name, s := range stills() {
		c, err := New(s, DefaultLimits())
		if err != nil {
			t.Fatal(name, err)
		}
		if n := testing.AllocsPerRun(3, func() {
			if _, err := c.Cut(p); err != nil {
				t.Fatal(name, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a picture", name, n)
		}
	}
}

// TestDTypes compares the float dtypes with uint8 and the normalising formula.
func TestDTypes(t *testing.T) {
	p := noise(64, 48, 1)
	for _, name := range []string{"siglip2-base-patch16-naflex", "clip-vit-base-patch32", "qwen2.5-vl"} {
		s := Presets()[name]
		cut := map[string]Tokens{}
		for _, s.DType = range DTypes() {
			got, err := mustNew(t, s).Cut(p)
			if err != nil {
				t.Fatal(err)
			}
			cut[s.DType] = copied(got)
		}
		raw, values := cut[UInt8].Patches, cut[UInt8].Patches.Shape[1]
		for i, b := range raw.Data {
			c := i % values / (values / 3)
			if s.Layout == NaFlex {
				c = i % 3
			}
			want := float32(0)
			if i/values < cut[UInt8].Count {
				want = (float32(b)/255 - float32(s.Mean[c])) / float32(s.Std[c])
			} else if b != 0 {
				t.Fatalf("%s: padding byte %d is %d", name, i, b)
			}
			got := math.Float32frombits(binary.LittleEndian.Uint32(cut[Float32].Patches.Data[4*i:]))
			h := binary.LittleEndian.Uint16(cut[Float16].Patches.Data[2*i:])
			bf := binary.LittleEndian.Uint16(cut[BFloat16].Patches.Data[2*i:])
			if got != want || h != half16(want) || bf != brain16(want) {
				t.Fatalf("%s: value %d of byte %d is %v, %#x, %#x; want %v", name, i, b, got, h, bf, want)
			}
		}
		if d := cut[BFloat16].Patches.DType; d != "uint16" {
			t.Errorf("bfloat16 is stored as %s", d)
		}
	}
}

func TestCutRefuses(t *testing.T) {
	small := Limits{MaxPixels: 1e6, MaxTokens: 300, MaxBytes: 300_000}
	for name, k := range map[string]struct {
		spec   Spec
		limits Limits
		p      codecs.Pixels
		code   codecs.Code
		says   string
	}{
		"aspect":           {Spec{Layout: Qwen2VL}, DefaultLimits(), noise(1005, 5, 1), codecs.CodeLayout, "ratio up to 200"},
		"no side left":     {Spec{Layout: Pixtral, Size: 128}, DefaultLimits(), noise(1000, 5, 1), codecs.CodeLayout, "no pixel left"},
		"empty":            {Spec{Layout: ViT}, DefaultLimits(), codecs.Pixels{}, codecs.CodeLayout, "0x0"},
		"short bytes":      {Spec{Layout: ViT}, DefaultLimits(), codecs.Pixels{Width: 2, Height: 2, Pix: make([]byte, 11)}, codecs.CodeLayout, "11 bytes"},
		"exploding edge":   {Spec{Layout: ViT, Resize: "shortest_edge"}, DefaultLimits(), noise(16384, 1, 1), codecs.CodeLimitTokens, "3670016x224"},
		"between passes":   {Spec{Layout: ViT}, Limits{MaxPixels: 60_000, MaxTokens: 300, MaxBytes: 1 << 20}, noise(1, 400, 1), codecs.CodeLimitTokens, "89600 pixels"},
		"between, upright": {Spec{Layout: ViT, PassOrder: Pillow13}, Limits{MaxPixels: 60_000, MaxTokens: 300, MaxBytes: 1 << 20}, noise(400, 1, 1), codecs.CodeLimitTokens, "89600 pixels"},
		"tokens":           {Spec{Layout: NaFlex, MaxPatches: 301}, small, noise(4, 4, 1), codecs.CodeLimitTokens, "301 tokens"},
		"bytes":            {Spec{Layout: ViT, DType: Float32}, small, noise(4, 4, 1), codecs.CodeLimitTokens, "196 tokens of 3072 bytes"},
	} {
		c, err := New(k.spec, k.limits)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := c.Cut(k.p)
		e := codecs.AsError(err)
		if got != nil || e == nil || e.Code != k.code || e.Stage != codecs.StagePatchify || !strings.Contains(e.Detail, k.says) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := c.Cut(noise(30, 20, 1)); err != nil && k.limits == DefaultLimits() {
			t.Errorf("%s: the cutter is of no use afterwards: %v", name, err)
		}
	}
}

func TestClipRefuses(t *testing.T) {
	clip := func(s Spec) ClipCutter {
		c, err := NewClip(s, DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	mae, qwen := clip(Spec{Layout: VideoMAE, Frames: 2}), clip(Spec{Layout: Qwen3VL})
	for name, err := range map[string]error{
		"too few frames":      mae.Start(1, 64, 64),
		"too many frames":     mae.Start(4, 64, 64),
		"no frames":           qwen.Start(0, 64, 64),
		"one frame":           qwen.Start(1, 64, 64),
		"smaller than a cell": qwen.Start(2, 64, 31),
		"aspect":              qwen.Start(2, 32*201, 32),
	} {
		if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeLayout {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := mae.Finish(); err == nil {
		t.Error("finished a clip that was not started")
	}
	if err := mae.Start(2, 64, 64); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := mae.Add(noise(64, 64, 1)); (err != nil) != (n == 2) {
			t.Errorf("frame %d: %v", n, err)
		}
	}
	if _, err := mae.Finish(); err != nil {
		t.Error(err)
	}
}

// TestQwen3Clip: the budget of a Qwen3-VL clip covers all its frames, which may change
// their size on the way.
func TestQwen3Clip(t *testing.T) {
	c, err := NewClip(Spec{Layout: Qwen3VL, MinPixels: 4096, MaxPixels: 100_000}, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	got, err := cutClip(c, []codecs.Pixels{noise(320, 240, 1), noise(320, 240, 2), noise(64, 480, 3)})
	if err != nil {
		t.Fatal(err)
	}
	want, err := smartSize(size{240, 320}, 32, 4096, 100_000, 3, 2)
	if err != nil || got.ResizedHeight != want.h || got.ResizedWidth != want.w {
		t.Errorf("resized to %dx%d, want %v", got.ResizedWidth, got.ResizedHeight, want)
	}
	if n := 2 * want.h / 16 * want.w / 16; got.Count != n || got.Patches.Shape[0] != n {
		t.Errorf("%d tokens, want %d", got.Count, n)
	}
}
