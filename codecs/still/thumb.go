package still

import (
	"image"

	"github.com/disintegration/imaging"

	"github.com/millrace/millrace/codecs"
)

// Thumbnail scales p down to fit maxW x maxH with its proportions, for people to look
// at: training pixels never come from here. A smaller picture keeps its size. It
// returns nil where p's Pix do not have the length that its size demands, or where
// a bound is below 1.
//
// imaging works in goroutines of its own, in which a panic would end the process,
// so it only ever gets pixels whose size has been checked here.
func Thumbnail(p codecs.Pixels, maxW, maxH int) *image.NRGBA {
	if !sound(p) || maxW < 1 || maxH < 1 {
		return nil
	}
	return imaging.Fit(toNRGBA(p), maxW, maxH, imaging.Lanczos)
}

// sound reports whether p's length is what its size demands.
func sound(p codecs.Pixels) bool {
	return p.Width > 0 && p.Height > 0 && p.Width < 1<<20 && p.Height < 1<<20 && len(p.Pix) == p.Width*p.Height*3
}

func toNRGBA(p codecs.Pixels) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		s, d := p.Pix[i*3:i*3+3:i*3+3], img.Pix[i*4:i*4+4:i*4+4]
		d[0], d[1], d[2], d[3] = s[0], s[1], s[2], 255
	}
	return img
}
