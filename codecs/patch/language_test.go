package patch

import (
	"testing"

	"github.com/millrace/millrace/codecs"
)

// TestGoldenLanguage compares with the processors' own counts for pictures of many
// sizes. A row is the tile or the longest edge, height, width, and the count.
func TestGoldenLanguage(t *testing.T) {
	var g struct {
		LLaVANext [][4]int `json:"llava_next"`
		Pixtral   [][4]int `json:"pixtral"`
	}
	readGolden(t, "language-cases.json", &g)
	if len(g.LLaVANext) != 642 || len(g.Pixtral) != 620 {
		t.Fatalf("%d and %d rows; there were 642 and 620", len(g.LLaVANext), len(g.Pixtral))
	}
	for layout, rows := range map[string][][4]int{LLaVANext: g.LLaVANext, Pixtral: g.Pixtral} {
		differ := 0
		cutters := map[int]*cutter{}
		for _, k := range rows {
			c := cutters[k[0]]
			if c == nil {
				s := Spec{Layout: layout, Size: k[0]}
				if n := k[0]; layout == LLaVANext {
					s.Pinpoints = [][2]int{{n, 2 * n}, {2 * n, n}, {2 * n, 2 * n}, {3 * n, n}, {n, 3 * n}}
				}
				c = mustNew(t, s)
				cutters[k[0]] = c
			}
			if err := c.start(1, size{k[1], k[2]}, false); err != nil {
				t.Errorf("%s: %dx%d (height first): %v", layout, k[1], k[2], err)
			}
			if got := c.result.places; got != k[3] {
				differ++
				t.Errorf("%s, %d: %dx%d (height first) takes %d places, want %d", layout, k[0], k[1], k[2], got, k[3])
			}
		}
		t.Logf("%-10s %d sizes, %d differ", layout, len(rows), differ)
	}
}

// TestLanguage: what a cut picture of 97x61 says, by hand.
func TestLanguage(t *testing.T) {
	for name, want := range map[string][2]int{ // patches, places
		"vit-base-patch16-224":        {196, 196},
		"clip-vit-base-patch32":       {49, 49},
		"siglip2-base-patch16-naflex": {12 * 20, 12 * 20}, // of 256 rows
		"naflexvit-base-patch16":      {12 * 20, 12 * 20},
		"qwen2.5-vl":                  {4 * 6, 2 * 3},
		"qwen3-vl":                    {14 * 22, 7 * 11},
		"pixtral-12b":                 {4 * 7, 4 * 8},
		"llava-next":                  {3 * 24 * 24, 24*24 + 24*(38+1)}, // 38 of the canvas's 48 columns hold picture
	} {
		got, err := mustNew(t, Presets()[name]).Cut(noise(97, 61, 1))
		if err != nil {
			t.Fatal(name, err)
		}
		if got.Count != want[0] || got.Language != want[1] {
			t.Errorf("%s: %d patches in %d places, want %d in %d", name, got.Count, got.Language, want[0], want[1])
		}
	}
	c, err := NewClip(Spec{Layout: Qwen2VL, MinPixels: 784, MaxPixels: 56 * 84}, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	five := []codecs.Pixels{noise(84, 56, 1), noise(84, 56, 2), noise(84, 56, 3), noise(84, 56, 4), noise(84, 56, 5)}
	if got, err := cutClip(c, five); err != nil || got.Count != 3*4*6 || got.Language != 3*2*3 {
		t.Errorf("a clip of five frames: %+v (%v)", got, err)
	}
}
