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
	xs, ys := borders(x0, x1, p.grid.cols), borders(y0, y1, p.grid.rows)
	weight := lineWeight(min(in.Dx()/p.grid.cols, in.Dy()/p.grid.rows))
	s.lines(in, xs, ys, 1, color.NRGBA{A: 255}, weight*0.8) // a shadow, for bright pictures
	s.lines(in, xs, ys, 0, color.NRGBA{255, 255, 255, 255}, weight)
	s.lines(in, []int{x0, x1 - 1}, []int{y0, y1 - 1}, 0, bright, 0.7)
}

// borders gives n+1 lines from one end to the other, all of them inside.
func borders(from, to, n int) []int {
	at := make([]int, n+1)
	for i := range at {
		at[i] = min(from+(to-from)*i/n, to-1)
	}
	return at
}

// lines mixes c into the lines, shifted right and down, each pixel once.
func (s *sheet) lines(in image.Rectangle, xs, ys []int, shift int, c color.NRGBA, weight float64) {
	across := make(map[int]bool, len(ys))
	for _, y := range ys {
		across[y+shift] = true
		for x := in.Min.X; x < in.Max.X && y+shift < in.Max.Y; x++ {
			s.mix(x, y+shift, c, weight)
		}
	}
	for _, x := range slices.Compact(xs) {
		for y := in.Min.Y; y < in.Max.Y && x+shift < in.Max.X; y++ {
			if !across[y] {
				s.mix(x+shift, y, c, weight)
			}
		}
	}
}

// lineWeight makes finer grids fainter, so that the picture stays to be seen; below
// three pixels a grid would only be a veil.
func lineWeight(pixels int) float64 {
	switch {
	case pixels >= 12:
		return 0.5
	case pixels >= 6:
		return 0.35
	case pixels >= 3:
		return 0.18
	}
	return 0
}

func place(from, length int, part float64) int { return from + int(part*float64(length)+0.5) }

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
