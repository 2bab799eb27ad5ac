package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"slices"

	"golang.org/x/image/webp"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/shard"
)

// picture is what a sample looks like, and where its patches are.
type picture struct {
	img image.Image
	// wide and high are the proportions to show it in: a square squash is undone.
	wide, high float64
	grid       cells // zero where no patches are known
	// crop is the part of the picture that the grid covers, in 0..1.
	x0, y0, x1, y1 float64
}

const mostPictureBytes = 256 << 20

// look makes a sample's picture: from the kept frame, or else from its patches.
func look(r shard.Reader, e *shard.Entry, d *pipeline.Description) (*picture, error) {
	name, grid, gridErr := firstGrid(r, e, d)
	p, err := keptFrame(r, e)
	if p != nil || err != nil {
		if p != nil && name != "" {
			p.cover(d.Tokens[name], grid)
		}
		return p, err
	}
	if name == "" {
		return nil, errors.Join(errors.New("no picture kept"), gridErr)
	}
	data, err := read(r, e, name+".patches.npy")
	if err != nil {
		return nil, err
	}
	info := d.Tokens[name]
	img, err := unpatch(data, info, grid)
	if err != nil {
		return nil, fmt.Errorf("%s.patches.npy: %w", name, err)
	}
	p = &picture{img: img, grid: grid, x1: 1, y1: 1}
	p.wide, p.high = float64(img.Rect.Dx()), float64(img.Rect.Dy())
	if s, rs := d.Size, info.Resized; s != nil && s[0] > 0 && s[1] > 0 && rs[0] > 0 && rs[1] > 0 && info.Layout != patch.LLaVANext {
		p.wide *= float64(s[0]) / float64(rs[0])
		p.high *= float64(s[1]) / float64(rs[1])
	}
	return p, nil
}

// firstGrid finds the first token output, by name, whose grid is there.
func firstGrid(r shard.Reader, e *shard.Entry, d *pipeline.Description) (string, cells, error) {
	if d == nil {
		return "", cells{}, nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.Tokens)) {
		if e.Field(name+".grid.npy") < 0 || e.Field(name+".patches.npy") < 0 {
			continue
		}
		data, err := read(r, e, name+".grid.npy")
		if err != nil {
			return "", cells{}, err
		}
		g, err := gridOf(data)
		if err != nil {
			return "", cells{}, fmt.Errorf("%s.grid.npy: %w", name, err)
		}
		return name, g, nil
	}
	return "", cells{}, nil
}

// cover places the grid on a whole picture: the processor resized it, and cropped the
// centre where the grid is smaller than that.
func (p *picture) cover(info pipeline.TokenInfo, g cells) {
	p.grid = g
	p.x0, p.x1 = middle(g.cols*info.Patch, info.Resized[0])
	p.y0, p.y1 = middle(g.rows*info.Patch, info.Resized[1])
	if info.Layout == patch.LLaVANext { // the grid is of the first tile, all of it squashed
		p.x0, p.y0, p.x1, p.y1 = 0, 0, 1, 1
	}
}

func middle(part, whole int) (from, to float64) {
	if part >= whole || part < 1 {
		return 0, 1
	}
	from = float64((whole-part)/2) / float64(whole)
	return from, from + float64(part)/float64(whole)
}

// keptFrame decodes the field frame.*; nil where there is none. These decoders are for
// looking at a picture; none of their pixels trains anything.
func keptFrame(r shard.Reader, e *shard.Entry) (*picture, error) {
	for _, f := range []struct {
		name   string
		config func(io.Reader) (image.Config, error)
		decode func(io.Reader) (image.Image, error)
	}{
		{"frame.jpg", jpeg.DecodeConfig, jpeg.Decode},
		{"frame.webp", webp.DecodeConfig, decodeWebP},
		{"frame.png", png.DecodeConfig, png.Decode},
	} {
		if e.Field(f.name) < 0 {
			continue
		}
		data, err := read(r, e, f.name)
		if err != nil {
			return nil, err
		}
		c, err := f.config(bytes.NewReader(data))
		if err == nil {
			err = codecs.DefaultLimits().CheckSize(codecs.KindImage, c.Width, c.Height)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		img, err := f.decode(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		return &picture{img: img, wide: float64(c.Width), high: float64(c.Height)}, nil
	}
	return nil, nil
}

// decodeWebP undoes what x/image/webp leaves: lossy WebP has video range (16..235),
// and that package hands it out as JPEG's full range, which looks washed out.
func decodeWebP(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	if ycc, ok := img.(*image.YCbCr); ok && err == nil {
		stretch(ycc.Y, 16, 219)
		stretch(ycc.Cb, 128, 224)
		stretch(ycc.Cr, 128, 224)
	}
	return img, err
}

// stretch widens levels around a fixed offset: 16 becomes 0, 128 stays.
func stretch(plane []byte, offset, span int) {
	to := offset &^ 16
	for i, v := range plane {
		plane[i] = byte(min(max((int(v)-offset)*255/span+to, 0), 255))
	}
}

func read(r shard.Reader, e *shard.Entry, name string) ([]byte, error) {
	return shard.ReadField(r, e, e.Field(name), nil, shard.Limits{MaxSampleBytes: mostPictureBytes})
}
