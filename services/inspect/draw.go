package inspect

import (
	"image"
	"image/color"
	"image/draw"
	"maps"
	"slices"
	"strings"

	"github.com/disintegration/imaging"

	"github.com/millrace/millrace/pipeline"
)

// The sheet's colours: pictures stand out on a dark ground.
var (
	ground  = color.NRGBA{0x12, 0x15, 0x1b, 0xff}
	surface = color.NRGBA{0x1d, 0x22, 0x2b, 0xff}
	well    = color.NRGBA{0x0c, 0x0e, 0x12, 0xff} // behind a picture
	bright  = color.NRGBA{0xf2, 0xf4, 0xf8, 0xff}
	soft    = color.NRGBA{0xb4, 0xbd, 0xcb, 0xff}
	accent  = color.NRGBA{0x6f, 0xc3, 0xdf, 0xff}
)

func (s *sheet) header(title, line string) {
	s.fonts.title.draw(s.canvas, bright, margin, margin+24, s.fonts.title.fit(title, s.width()))
	s.fonts.text.draw(s.canvas, soft, margin, margin+52, s.fonts.text.fit(line, s.width()))
}

func (s *sheet) width() int { return s.canvas.Rect.Dx() - 2*margin }

// draw puts the next card on the sheet.
func (s *sheet) draw(c card) {
	x := margin + s.shown%s.cols*(cardWidth+gap)
	y := margin + headerHeight + s.shown/s.cols*(cardHeight+gap)
	s.shown++
	fill(s.canvas, image.Rect(x, y, x+cardWidth, y+cardHeight), surface)
	box := image.Rect(x+cardPad, y+cardPad, x+cardPad+boxWidth, y+cardPad+boxHeight)
	fill(s.canvas, box, well)
	if c.pic != nil {
		s.picture(box, c.pic)
	} else {
		s.words(box, c)
	}
	base := box.Max.Y + 10 + 14
	s.fonts.mono.draw(s.canvas, bright, box.Min.X, base, s.fonts.mono.fitMiddle(c.key, boxWidth))
	s.fonts.text.draw(s.canvas, soft, box.Min.X, base+lineHeight, s.fonts.text.fit(c.facts, boxWidth))
	s.fonts.text.draw(s.canvas, accent, box.Min.X, base+2*lineHeight, s.fonts.text.fit(c.tokens, boxWidth))
}

func fill(dst draw.Image, r image.Rectangle, c color.Color) {
	draw.Draw(dst, r, image.NewUniform(c), image.Point{}, draw.Src)
}

// picture shows p in the middle of box, as large as fits.
func (s *sheet) picture(box image.Rectangle, p *picture) {
	scale := min(float64(box.Dx())/p.wide, float64(box.Dy())/p.high)
	w := min(max(int(p.wide*scale+0.5), 1), box.Dx())
	h := min(max(int(p.high*scale+0.5), 1), box.Dy())
	at := image.Rect(0, 0, w, h).Add(box.Min).Add(image.Pt((box.Dx()-w)/2, (box.Dy()-h)/2))
	small := imaging.Resize(p.img, w, h, imaging.Linear)
	draw.Draw(s.canvas, at, small, image.Point{}, draw.Over)
	if p.grid.rows > 0 {
		s.grid(at, p)
	}
}

// grid draws the borders of the patches, and dims what no patch covers.
func (s *sheet) grid(at image.Rectangle, p *picture) {
	x0, x1 := place(at.Min.X, at.Dx(), p.x0), place(at.Min.X, at.Dx(), p.x1)
	y0, y1 := place(at.Min.Y, at.Dy(), p.y0), place(at.Min.Y, at.Dy(), p.y1)
	in := image.Rect(x0, y0, x1, y1)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			if !image.Pt(x, y).In(in) {
				s.mix(x, y, well, 0.65)
			}
		}
	}
	inner := lineWeight(min(in.Dx()/p.grid.cols, in.Dy()/p.grid.rows))
	line := func(i, n int) float64 {
		if i == 0 || i == n {
			return 0.75
		}
		return inner
	}
	for i := range p.grid.cols + 1 {
		x := min(x0+in.Dx()*i/p.grid.cols, x1-1)
		for y := y0; y < y1; y++ {
			s.contrast(x, y, line(i, p.grid.cols))
		}
	}
	for i := range p.grid.rows + 1 {
		y := min(y0+in.Dy()*i/p.grid.rows, y1-1)
		for x := x0; x < x1; x++ {
			s.contrast(x, y, line(i, p.grid.rows))
		}
	}
}

// lineWeight makes finer grids fainter, so that the picture stays to be seen; below
// three pixels a grid would only be a veil.
func lineWeight(pixels int) float64 {
	switch {
	case pixels >= 12:
		return 0.42
	case pixels >= 6:
		return 0.3
	case pixels >= 3:
		return 0.18
	}
	return 0
}

func place(from, length int, part float64) int { return from + int(part*float64(length)+0.5) }

// contrast moves a pixel towards white, or towards black where it is bright already.
func (s *sheet) contrast(x, y int, weight float64) {
	px := s.canvas.NRGBAAt(x, y)
	if 299*int(px.R)+587*int(px.G)+114*int(px.B) > 150_000 {
		s.mix(x, y, color.NRGBA{A: 255}, weight)
	} else {
		s.mix(x, y, color.NRGBA{255, 255, 255, 255}, weight)
	}
}

func (s *sheet) mix(x, y int, c color.NRGBA, weight float64) {
	i := s.canvas.PixOffset(x, y)
	for k, v := range [3]byte{c.R, c.G, c.B} {
		s.canvas.Pix[i+k] = byte(float64(s.canvas.Pix[i+k])*(1-weight) + float64(v)*weight + 0.5)
	}
}

// words shows a text in place of a picture.
func (s *sheet) words(box image.Rectangle, c card) {
	ink := bright
	if c.faint {
		ink = soft
	}
	y := box.Min.Y + 28
	for _, line := range s.fonts.text.wrap(c.text, box.Dx()-24, (box.Dy()-24)/lineHeight) {
		s.fonts.text.draw(s.canvas, ink, box.Min.X+12, y, line)
		y += lineHeight
	}
}

func sortedTokens(d *pipeline.Description) []string { return slices.Sorted(maps.Keys(d.Tokens)) }

// wrap breaks a text into at most n lines of a width, at blanks.
func (f face) wrap(text string, width, n int) []string {
	const most = 2000 // runes; more never fits a card
	if r := []rune(text); len(r) > most {
		text = string(r[:most])
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		longer := strings.TrimSpace(line + " " + word)
		if line == "" || f.width(longer) <= width {
			line = longer
			continue
		}
		if lines = append(lines, f.fit(line, width)); len(lines) == n {
			lines[n-1] = f.fit(line+" …", width)
			return lines
		}
		line = word
	}
	return append(lines, f.fit(line, width))
}
