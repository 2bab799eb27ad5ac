package patch

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// TestGoldenResample compares both implementations with Pillow, in both its orders of
// passes, on sizes and kernels that no processor's case has: odd and extreme ones, and
// lanczos and box.
func TestGoldenResample(t *testing.T) {
	var g struct {
		Cases []struct {
			Width, Height int
			Seed          uint32
			ToWidth       int `json:"to_width"`
			ToHeight      int `json:"to_height"`
			Filter        Filter
			SHA256        string `json:"rgb_sha256"`
			Pillow13      string `json:"pillow13_sha256"` // where it differs
		}
	}
	readGolden(t, "resample-cases.json", &g)
	const cases, casesMoved = 136, 23 // and how many of them Pillow 13 changes
	if len(g.Cases) != cases {
		t.Fatalf("%d cases; there were %d", len(g.Cases), cases)
	}
	var table goldenTable
	moved := 0
	for n, k := range g.Cases {
		if k.Pillow13 != "" {
			moved++
		}
		if n%(thin+1) != 0 {
			continue
		}
		src, all := noise(k.Width, k.Height, k.Seed), image.Rect(0, 0, k.ToWidth, k.ToHeight)
		var faults []error
		for _, kernel := range []kernel{reference, fastest()} {
			for order, want := range map[PassOrder]string{Horizontal: k.SHA256, Pillow13: cmp.Or(k.Pillow13, k.SHA256)} {
				var dst codecs.Pixels
				err := newResizer(t, k.Filter, order, kernel).Resize(&dst, src, k.ToWidth, k.ToHeight, all)
				if err != nil || sum(dst.Pix) != want {
					faults = append(faults, fmt.Errorf("%s, %s: differs from Pillow (%v)", kernel.name, order, err))
				}
			}
		}
		table.add(t, string(k.Filter), fmt.Sprintf("%dx%d to %dx%d", k.Width, k.Height, k.ToWidth, k.ToHeight), errors.Join(faults...))
	}
	if moved != casesMoved {
		t.Errorf("Pillow 13 has other bytes in %d cases; there were %d", moved, casesMoved)
	}
	table.show(t, (cases+thin)/(thin+1))
}
