package still_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/still"
)

// oracleFile is what Pillow 11.3 sees in one of testdata/images/odd: made by make.py
// beside it.
type oracleFile struct {
	Name, Mode string
	Frames     []struct {
		Width, Height int
		SHA256        string
		Over          string // pasted over white, where there is alpha
		Ms            int    // of an animation; 0 is "not said"
	}
}

func oracle(t testing.TB) []oracleFile {
	t.Helper()
	var files []oracleFile
	readJSON(t, "oracle.json", &files)
	if len(files) < 90 {
		t.Fatalf("%d files in oracle.json, want 90 and more", len(files))
	}
	return files
}

// firstOnly are animations of which this package gives only the picture that a
// program without animation shows.
var firstOnly = map[string]bool{"p_apng.png": true, "a_sequence.avif": true}

func TestOddImagesEqualPillow(t *testing.T) {
	for _, c := range oracle(t) {
		if c.Name == "t_cmyk.tif" {
			continue // see TestHostile
		}
		t.Run(c.Name, func(t *testing.T) {
			opt := pillow
			opt.Animation = still.AnimationAll
			data := load(t, filepath.Join("odd", c.Name))
			got, _, err := frames(data, opt, codecs.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			want := c.Frames
			if firstOnly[c.Name] {
				want = want[:1]
			}
			if len(got) != len(want) {
				t.Fatalf("%d frames, want %d", len(got), len(want))
			}
			at := codecs.NewRational(0, 1)
			for i, f := range got {
				if f.Width != want[i].Width || f.Height != want[i].Height || hash(f.Pix) != want[i].SHA256 {
					t.Errorf("frame %d: %dx%d %s, want %dx%d %s", i, f.Width, f.Height, hash(f.Pix), want[i].Width, want[i].Height, want[i].SHA256)
				}
				if f.Index != int64(i) || f.PTS.Cmp(at) != 0 || f.Key != (i == 0) {
					t.Errorf("frame %d: index %d, pts %s, want %s, key %v", i, f.Index, f.PTS, at, f.Key)
				}
				if len(got) > 1 {
					ms := int64(want[i].Ms)
					if ms < 20 {
						ms = 100
					}
					if f.Duration.Cmp(codecs.NewRational(ms, 1000)) != 0 {
						t.Errorf("frame %d: duration %s, want %d ms", i, f.Duration, ms)
					}
					at = at.Add(f.Duration)
				}
			}
			// The first frame alone is the same as the first of all.
			opt.Animation = still.AnimationFirst
			if f := one(t, data, opt); hash(f.Pix) != want[0].SHA256 {
				t.Errorf("first frame alone: %s, want %s", hash(f.Pix), want[0].SHA256)
			}
		})
	}
}

func TestAlphaIsCompositedAsPillowPastes(t *testing.T) {
	n := 0
	for _, c := range oracle(t) {
		// GIF: Pillow takes areas that no frame covers as painted, browsers and we do not.
		if c.Frames[0].Over == "" || strings.HasPrefix(c.Name, "g_") {
			continue
		}
		if c.Name == "p_gray2_key.png" {
			continue // Pillow looks for the 2-bit key among values that it has stretched to 8 bits
		}
		n++
		f := one(t, load(t, filepath.Join("odd", c.Name)), still.Options{EnableTIFF: true})
		if hash(f.Pix) != c.Frames[0].Over {
			t.Errorf("%s: %s, want %s", c.Name, hash(f.Pix), c.Frames[0].Over)
		}
		if !strings.Contains(strings.Join(f.Applied, " "), "alpha:over:#ffffff") {
			t.Errorf("%s: applied %q", c.Name, f.Applied)
		}
	}
	if n < 10 {
		t.Errorf("only %d pictures with alpha", n)
	}
}

func TestBackgroundShowsThroughUncoveredGIF(t *testing.T) {
	data := load(t, "odd/g_first_small.gif")
	f := one(t, data, still.Options{Background: "#102030"})
	if got := [3]byte(f.Pix[:3]); got != [3]byte{0x10, 0x20, 0x30} {
		t.Errorf("the corner that no frame covers is %v", got)
	}
	f = one(t, data, still.Options{DropAlpha: true})
	if got := [3]byte(f.Pix[:3]); got != [3]byte{0, 113, 226} {
		t.Errorf("with alpha dropped the corner is %v, want the palette's first colour", got)
	}
}

func TestGray16(t *testing.T) {
	data := load(t, "golden/gray16_160x120.png")
	high, clip := one(t, data, still.Options{}), one(t, data, still.Options{Gray16: still.Gray16Clip})
	if high.Applied[0] != "gray16:high-byte" || clip.Applied[0] != "gray16:clip" {
		t.Errorf("applied %q and %q", high.Applied, clip.Applied)
	}
	var white int
	for i := range high.Pix {
		if clip.Pix[i] == 255 {
			white++
		} else if high.Pix[i] != 0 {
			t.Fatalf("byte %d: clipped %d and high byte %d do not come from one sample", i, clip.Pix[i], high.Pix[i])
		}
	}
	if white < len(high.Pix)/2 {
		t.Errorf("only %d of %d bytes are clipped", white, len(high.Pix))
	}
}
