package settings

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/audio"
	"github.com/millrace/millrace/codecs/still"
	"github.com/millrace/millrace/codecs/video"
	"github.com/millrace/millrace/pipeline"
)

// NewLine makes a recipe ready to run, with every decoder of this build. It is what a
// mill does with a recipe.
func (c Config) NewLine(r *pipeline.Recipe) (*pipeline.Line, error) {
	return pipeline.NewLine(r, pipeline.Tools{
		Decoders: []pipeline.Decoder{stills{}, videos{}}, Encode: new(encoder).encode, Listener: listener{}, EncodeSound: encodeSound,
	}, pipeline.Versions{Millrace: c.Version, FFmpeg: video.Version()})
}

// stills reads images by a recipe's image rules.
type stills struct{}

func (stills) Sniff(head []byte) (string, bool) { return still.Sniff(head) }

func (stills) Open(ctx context.Context, src codecs.Source, container string, r *pipeline.Recipe) (codecs.Frames, error) {
	o := still.Options{
		Gray16:         r.Image.Gray16,
		AllowTruncated: r.Image.Truncated == "keep",
		EnableTIFF:     slices.Contains(r.Image.Containers, still.TIFF),
		EnableBMP:      slices.Contains(r.Image.Containers, still.BMP),
	}
	if r.Image.Animation == "pick" {
		o.Animation, o.Pick = still.AnimationAll, r.Image.Pick
	}
	if colour, over := strings.CutPrefix(r.Image.Alpha, "over:"); over {
		o.Background = colour
	} else {
		o.DropAlpha = r.Image.Alpha == "drop"
	}
	return still.Open(ctx, src, container, o, r.Limits)
}

// videos reads videos by a recipe's video rules.
type videos struct{}

func (videos) Sniff(head []byte) (string, bool) { return video.Sniff(head) }

func (videos) Open(ctx context.Context, src codecs.Source, container string, r *pipeline.Recipe) (codecs.Frames, error) {
	return video.Open(ctx, src, container, r.Video.Pick, r.Limits, video.Options{
		Containers: r.Video.Containers, Codecs: r.Video.Codecs, KeepSAR: r.Video.KeepSampleAspect, Interlaced: r.Video.Interlaced, HDR: r.Video.HDR,
	})
}

// listener opens sound by a recipe's audio rules.
type listener struct{}

func (listener) Sniff(head []byte) (string, bool) { return audio.Sniff(head) }

func (listener) Open(ctx context.Context, src codecs.Source, container string, r *pipeline.Recipe) (codecs.Sounds, error) {
	return audio.Open(ctx, src, container, audio.Rules{Track: r.Audio.Track, Rate: r.Audio.Rate}, r.Limits)
}

func encodeSound(s *codecs.Sound, format string) ([]byte, error) {
	switch format {
	case "flac":
		return audio.EncodeFLAC(s)
	case "wav":
		return audio.EncodeWAV(s), nil
	}
	return nil, fmt.Errorf("sound can be kept as flac or wav, not as %q", format)
}

// encoder makes kept frames.
type encoder struct{}

func (e *encoder) encode(p codecs.Pixels, k pipeline.Keep) (string, []byte, error) {
	if k.MaxSide > 0 && max(p.Width, p.Height) > k.MaxSide {
		p = shrunk(p, k.MaxSide)
	}
	switch k.Frame {
	case "jpeg":
		b, err := still.EncodeJPEG(p, k.Quality, still.Subsample420)
		return "jpg", b, err
	case "webp":
		b, err := still.EncodeWebP(p, still.WebPQuality(k.Quality))
		return "webp", b, err
	case "png":
		b, err := still.EncodePNG(p)
		return "png", b, err
	}
	return "", nil, fmt.Errorf("a frame can be kept as jpeg, webp or png, not as %q", k.Frame)
}

// shrunk is p so small that no side is longer than side. It is for looking at; training
// pixels never come this way.
func shrunk(p codecs.Pixels, side int) codecs.Pixels {
	t := still.Thumbnail(p, side, side)
	b := t.Bounds()
	out := codecs.Pixels{Width: b.Dx(), Height: b.Dy(), Pix: make([]byte, 0, 3*b.Dx()*b.Dy())}
	for y := range b.Dy() {
		for x := range b.Dx() {
			i := t.PixOffset(x, y)
			out.Pix = append(out.Pix, t.Pix[i:i+3]...)
		}
	}
	return out
}
