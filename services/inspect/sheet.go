package inspect

import (
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"strings"

	"github.com/disintegration/imaging"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// MostOnSheet is how many samples a contact sheet can show.
const MostOnSheet = 36

// SheetOptions say what is on a contact sheet.
type SheetOptions struct {
	Samples int // at most MostOnSheet; below 1: 24
}

// WriteSheet draws samples, evenly spread over all shards, as a PNG: each with its
// picture, its patch grid, key, time, size and tokens. Equal shards give an equal
// picture. It holds one sample's picture at a time beside the sheet itself (under
// 20 MB). It returns how many samples are on it.
func WriteSheet(ctx context.Context, w io.Writer, name string, shards []Source, o SheetOptions) (int, error) {
	counts := make([]int64, len(shards))
	total, size := int64(0), int64(0)
	for i := range shards {
		n, err := shards[i].count(ctx)
		if err != nil {
			return 0, fmt.Errorf("draw a sheet: %w", err)
		}
		counts[i] = n
		total += n
		size += shards[i].Bytes
	}
	if total == 0 {
		return 0, fmt.Errorf("draw a sheet: %s has no samples", name)
	}
	n := int(min(int64(min(orDefault(o.Samples, 24), MostOnSheet)), total))
	s, err := newSheet(n)
	if err != nil {
		return 0, fmt.Errorf("draw a sheet: %w", err)
	}
	s.header(name, fmt.Sprintf("%s  ·  %s  ·  %s  ·  %d shown, with the patches of their first token output", plural(total, "sample"), plural(int64(len(shards)), "shard"), bytesText(size), n))
	if err := s.fill(ctx, shards, counts, spread(total, n)); err != nil {
		return 0, fmt.Errorf("draw a sheet: %w", err)
	}
	enc := png.Encoder{CompressionLevel: png.DefaultCompression}
	if err := enc.Encode(w, s.canvas); err != nil {
		return 0, fmt.Errorf("draw a sheet: %w", err)
	}
	return s.shown, nil
}

// spread gives n places in 0..total-1, each in the middle of its share.
func spread(total int64, n int) []int64 {
	at := make([]int64, n)
	for i := range at {
		at[i] = (2*int64(i) + 1) * total / int64(2*n)
	}
	return at
}

// fill draws the samples at the given places, which count over all shards.
func (s *sheet) fill(ctx context.Context, shards []Source, counts, at []int64) error {
	first := int64(0)
	for i := range shards {
		here := 0
		for here < len(at) && at[here] < first+counts[i] {
			here++
		}
		if here > 0 {
			if err := s.shard(ctx, &shards[i], first, at[:here]); err != nil {
				return err
			}
		}
		at = at[here:]
		first += counts[i]
	}
	return nil
}

func (s *sheet) shard(ctx context.Context, src *Source, first int64, at []int64) error {
	place := first
	return src.walk(ctx, func(r shard.Reader, e *shard.Entry) error {
		if len(at) == 0 {
			return errStop
		}
		if place == at[0] {
			s.sample(r, e)
			at = at[1:]
		}
		place++
		return ctx.Err()
	})
}

// sample draws the next card. What is wrong with a sample stands on its card: the
// others are worth seeing all the same.
func (s *sheet) sample(r shard.Reader, e *shard.Entry) {
	c := card{key: e.Key}
	d, err := describe(r, e, &s.buf)
	if err == nil && d != nil && d.Kind == "text" {
		c.text = d.Text
	} else if err == nil {
		c.pic, err = look(r, e, d)
	}
	if err != nil {
		c.text, c.faint = err.Error(), true
	}
	if d != nil {
		c.facts, c.tokens = facts(d), tokensText(d)
	}
	s.draw(c)
}

func facts(d *pipeline.Description) string {
	var parts []string
	if d.PTSSeconds != nil {
		parts = append(parts, clock(d.PTSSeconds))
	} else if d.Kind != "" {
		parts = append(parts, d.Kind)
	}
	if d.Size != nil {
		parts = append(parts, fmt.Sprintf("%d×%d", d.Size[0], d.Size[1]))
	}
	return strings.Join(parts, "   ")
}

func tokensText(d *pipeline.Description) string {
	var parts []string
	for _, name := range sortedTokens(d) {
		parts = append(parts, fmt.Sprintf("%s %s", name, number(int64(d.Tokens[name].Count))))
	}
	if len(parts) == 0 {
		return "no tokens"
	}
	return strings.Join(parts, "  ·  ")
}

// card is what one sample shows.
type card struct {
	pic    *picture
	text   string // in place of a picture
	faint  bool   // text is a remark, not the sample's own
	key    string
	facts  string
	tokens string
}

// The sheet's measures, in pixels.
const (
	margin, gap  = 36, 18
	headerHeight = 76
	cardWidth    = 344
	cardPad      = 12
	boxWidth     = cardWidth - 2*cardPad
	boxHeight    = 200
	lineHeight   = 21
	cardHeight   = cardPad + boxHeight + 10 + 3*lineHeight + 10
)

// sheet is the canvas and where the next card goes.
type sheet struct {
	canvas *image.NRGBA
	fonts  fonts
	cols   int
	shown  int
	buf    []byte
}

func newSheet(n int) (*sheet, error) {
	f, err := newFonts()
	if err != nil {
		return nil, err
	}
	cols := columns(n)
	rows := (n + cols - 1) / cols
	width := 2*margin + cols*(cardWidth+gap) - gap
	height := margin + headerHeight + rows*(cardHeight+gap) - gap + margin
	s := &sheet{canvas: imaging.New(width, height, ground), fonts: f, cols: cols}
	return s, nil
}

// columns keeps the sheet near a screen's shape, and the last row well filled.
func columns(n int) int {
	if n <= 3 {
		return max(n, 2) // room for the header
	}
	best, most := 4, -1.0
	for c := 3; c <= 6; c++ {
		rows := (n + c - 1) / c
		full := float64(n) / float64(rows*c)
		shape := float64(c*cardWidth) / float64(rows*cardHeight)
		if score := full - 0.25*max(shape/1.7, 1.7/shape); score > most {
			best, most = c, score
		}
	}
	return best
}
