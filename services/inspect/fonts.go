package inspect

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// fonts are the Go fonts, which are in the binary.
type fonts struct{ title, text, mono face }

func newFonts() (fonts, error) {
	var f fonts
	for _, x := range []struct {
		face *face
		ttf  []byte
		size float64
	}{{&f.title, gobold.TTF, 28}, {&f.text, goregular.TTF, 15}, {&f.mono, gomono.TTF, 14}} {
		parsed, err := opentype.Parse(x.ttf)
		if err != nil {
			return f, fmt.Errorf("reading a built-in font: %w", err)
		}
		x.face.Face, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: x.size, DPI: 72, Hinting: font.HintingFull})
		if err != nil {
			return f, fmt.Errorf("reading a built-in font: %w", err)
		}
	}
	return f, nil
}

// face is a font at a size. It belongs to one goroutine.
type face struct{ font.Face }

// draw writes text with its base line at y.
func (f face) draw(dst draw.Image, c color.Color, x, y int, text string) {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(c), Face: f, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

func (f face) width(text string) int { return font.MeasureString(f, text).Ceil() }

// fit cuts text at its end to a width in pixels.
func (f face) fit(text string, width int) string {
	text = printable(text)
	if f.width(text) <= width {
		return text
	}
	r := []rune(text)
	r = r[:min(len(r), width)] // a letter has a pixel at least
	for len(r) > 0 && f.width(string(r)+"…") > width {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// fitMiddle takes letters out of the middle.
func (f face) fitMiddle(text string, width int) string {
	text = printable(text)
	for n := min(len([]rune(text)), width); n > 2 && f.width(text) > width; n-- {
		text = shorten(text, n)
	}
	return text
}
