package recipe

import (
	"math"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func (d *decoder) sourceFields(v *pipeline.SourceRules) []field {
	return []field{{"honour", d.words(&v.Honour, "noai", "noimageai", "noindex", "noimageindex", "tdm-reservation")}}
}

func (d *decoder) videoFields(v *pipeline.VideoRules) []field {
	return []field{
		{"pick", d.pick(&v.Pick)},
		{"clip", d.clip(&v.Clip)},
		{"interlaced", d.orKeep(&v.Interlaced, "deinterlace", "refuse")},
		{"hdr", d.orKeep(&v.HDR, "tonemap", "refuse")},
		{"keep_sample_aspect", d.flag(&v.KeepSampleAspect)},
		{"truncated", word(d, &v.Truncated, "refuse", "keep")},
		{"containers", d.words(&v.Containers, "avi", "mpegts", "flv")},
		{"codecs", d.words(&v.Codecs, "ffv1", "huffyuv", "mpeg2video", "prores")},
	}
}

// orKeep reads keep, which is the empty word, or one of some others.
func (d *decoder) orKeep(v *string, others ...string) func(*node, string) error {
	return func(n *node, path string) error {
		var s string
		if err := word(d, &s, append([]string{"keep"}, others...)...)(n, path); err != nil {
			return err
		}
		if *v = s; s == "keep" {
			*v = ""
		}
		return nil
	}
}

func (d *decoder) imageFields(v *pipeline.ImageRules) []field {
	return []field{
		{"animation", d.animation(v)},
		{"alpha", d.alpha(&v.Alpha)},
		{"gray16", word(d, &v.Gray16, "high-byte", "clip")},
		{"truncated", word(d, &v.Truncated, "refuse", "keep")},
		{"containers", d.words(&v.Containers, "bmp", "tiff")},
	}
}

// animation reads first, or a pick rule.
func (d *decoder) animation(v *pipeline.ImageRules) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind == isString && n.text == "first" {
			return nil
		}
		v.Animation = "pick"
		return d.pick(&v.Pick)(n, path)
	}
}

// alpha reads the colour under transparent pixels, or drop.
func (d *decoder) alpha(v *string) func(*node, string) error {
	return func(n *node, path string) error {
		s := strings.ToLower(n.text)
		hex, ok := strings.CutPrefix(s, "#")
		switch {
		case n.kind == isString && s == "drop":
			*v = s
		case n.kind == isString && ok && len(hex) == 6 && strings.Trim(hex, "0123456789abcdef") == "":
			*v = "over:" + s
		default:
			return d.wrong(n, path, `a colour in quotes, as in "#ffffff", or drop`)
		}
		return nil
	}
}

// defaultQuality is that of kept JPEG and WebP pictures.
const defaultQuality = 90

// keep reads which picture a sample carries: a format, or a mapping.
func (d *decoder) keep(v *pipeline.Keep) func(*node, string) error {
	return func(n *node, path string) error {
		frame := word(d, &v.Frame, "jpeg", "webp", "png")
		if n.kind != isMap {
			if err := frame(n, path); err != nil {
				return err
			}
			return d.checkKeep(v, path)
		}
		err := d.mapping(n, path, []field{
			{"frame", frame},
			{"quality", whole(d, &v.Quality, 1, 100)},
			{"max_side", whole(d, &v.MaxSide, 16, 16384)},
		})
		if err != nil {
			return err
		}
		return d.checkKeep(v, path)
	}
}

func (d *decoder) checkKeep(v *pipeline.Keep, path string) error {
	lossy := v.Frame == "jpeg" || v.Frame == "webp"
	switch {
	case v.Quality != 0 && v.Frame == "":
		return d.faultAt(join(path, "quality"), "it stands without frame; write frame: jpeg beside it")
	case v.MaxSide != 0 && v.Frame == "":
		return d.faultAt(join(path, "max_side"), "it stands without frame; write frame: jpeg beside it")
	case v.Quality != 0 && !lossy:
		return d.faultAt(join(path, "quality"), "png has no quality; leave it out, or write frame: jpeg")
	case v.Frame == "":
		return d.faultAt(path, "it names nothing to keep; write {frame: jpeg} or leave the field out")
	}
	if lossy && v.Quality == 0 {
		v.Quality = defaultQuality
	}
	return nil
}

// limitFields are named as the YAML tags of codecs.Limits.
func (d *decoder) limitFields(l *codecs.Limits) []field {
	const most = math.MaxInt64 >> 10
	return []field{
		{"max_side", whole(d, &l.MaxSide, 1, 65535)},
		{"max_video_pixels", whole(d, &l.MaxVideoPixels, 1, most)},
		{"max_image_pixels", whole(d, &l.MaxImagePixels, 1, most)},
		{"max_image_frames", whole(d, &l.MaxImageFrames, 1, most)},
		{"max_animation_pixels", whole(d, &l.MaxAnimationPix, 1, most)},
		{"max_frames_kept", whole(d, &l.MaxFramesKept, 1, most)},
		{"max_frames_decoded", whole(d, &l.MaxFramesDecoded, 1, most)},
		{"max_streams", whole(d, &l.MaxStreams, 1, 10_000)},
		{"max_duration_seconds", whole(d, &l.MaxDuration, 1, most)},
		{"max_fps", whole(d, &l.MaxFPS, 1, 100_000)},
		{"max_size_changes", whole(d, &l.MaxSizeChanges, 1, most)},
		{"max_metadata_bytes", d.size(&l.MaxMetadata, 1, 1<<30)},
		{"max_video_side", whole(d, &l.MaxVideoSide, 1, 65535)},
		{"max_tokens", whole(d, &l.MaxTokens, 1, most)},
		{"max_frame_bytes", d.size(&l.MaxFrameBytes, 1<<10, 1<<40)},
	}
}
