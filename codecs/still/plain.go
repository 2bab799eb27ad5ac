package still

import (
	"bytes"
	"image"
	"image/color"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/millrace/millrace/codecs"
)

// headPlain reads a BMP's or TIFF's size with the decoder that would decode it.
func headPlain(m *media, l codecs.Limits) (header, error) {
	r := io.NewSectionReader(m, 0, m.Size())
	h := header{container: m.container, codec: m.container, frames: 1}
	var c image.Config
	var err error
	if m.container == BMP {
		c, err = bmp.DecodeConfig(r)
	} else {
		c, err = tiff.DecodeConfig(r)
	}
	if err != nil {
		return header{}, m.plainFault(codecs.StageProbe, err)
	}
	h.width, h.height = c.Width, c.Height
	if err := l.CheckSize(codecs.KindImage, h.width, h.height); err != nil {
		return header{}, err
	}
	if m.container == TIFF {
		// A TIFF is an EXIF block, so far as orientation goes.
		head := make([]byte, min(m.Size(), 8+l.MaxMetadata))
		if err := m.fill(head, 0); err != nil {
			return header{}, err
		}
		h.orientation = fileOrientation(head, nil)
	}
	return h, nil
}

func decodePlain(m *media, h header, opt Options, l codecs.Limits) (picture, error) {
	data, err := m.all(roomFor(int64(h.width)*int64(h.height), l))
	if err != nil {
		return picture{}, err
	}
	var img image.Image
	if m.container == BMP {
		img, err = bmp.Decode(bytes.NewReader(data))
	} else {
		img, err = tiff.Decode(bytes.NewReader(data))
	}
	if err != nil {
		return picture{}, m.plainFault(codecs.StageDecode, err)
	}
	size := img.Bounds().Size()
	if size.X != h.width || size.Y != h.height {
		return picture{}, m.invalid(codecs.StageDecode, "it says %dx%d and holds %dx%d", h.width, h.height, size.X, size.Y)
	}
	p := picture{width: h.width, height: h.height, channels: 4, pix: make([]byte, h.width*h.height*4)}
	if _, ok := img.(*image.Gray16); ok {
		p.notes = []string{opt.gray16Note()}
	}
	return p, m.plainPixels(p, img, opt)
}

// plainFault tells what x/image does not support from what is broken.
func (m *media) plainFault(stage codecs.Stage, err error) error {
	if _, ok := err.(tiff.UnsupportedError); ok || err == bmp.ErrUnsupported {
		return m.unsupported("%s", err)
	}
	return m.fault(stage, err)
}

// plainPixels copies an image of one of the types that the two decoders make to RGBA
// that is not multiplied.
func (m *media) plainPixels(p picture, img image.Image, opt Options) error {
	at := 0
	put := func(r, g, b, a byte) {
		p.pix[at], p.pix[at+1], p.pix[at+2], p.pix[at+3] = r, g, b, a
		at += 4
	}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			switch img := img.(type) {
			case *image.Gray:
				v := img.GrayAt(x, y).Y
				put(v, v, v, 255)
			case *image.Gray16:
				v := img.Gray16At(x, y).Y
				if opt.Gray16 == Gray16Clip {
					v = min(v, 255) << 8
				}
				put(byte(v>>8), byte(v>>8), byte(v>>8), 255)
			case *image.NRGBA:
				c := img.NRGBAAt(x, y)
				put(c.R, c.G, c.B, c.A)
			case *image.NRGBA64:
				c := img.NRGBA64At(x, y)
				put(byte(c.R>>8), byte(c.G>>8), byte(c.B>>8), byte(c.A>>8))
			case *image.Paletted, *image.RGBA, *image.RGBA64:
				c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
				put(c.R, c.G, c.B, c.A)
			default:
				return m.unsupported("its pixels are a %T", img)
			}
		}
	}
	return nil
}
