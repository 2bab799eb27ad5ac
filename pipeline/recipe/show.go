package recipe

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// Show writes a recipe out in full, with comments: every default and every preset
// spelled out. [Parse] reads it back to the same digest.
func Show(r *pipeline.Recipe) []byte {
	var b bytes.Buffer
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w("# The recipe of dataset %s, every default spelled out.", r.Dataset)
	w("# digest: %s", r.Digest)
	w("version: %d", r.Version)
	w("dataset: %s", quote(r.Dataset))
	if r.About != "" {
		w("about: %s", quote(r.About))
	}
	taken := r.Take.Kinds
	if len(taken) == 0 {
		taken = all(r)
	}
	w("take: %s", list(taken))
	if r.Take.Wants("video") {
		showVideo(w, &r.Video)
	}
	if r.Take.Wants("image") {
		showImage(w, &r.Image)
	}
	if r.Audio.On() {
		showAudio(w, &r.Audio)
	}
	if len(r.Tokens) > 0 {
		w("tokens:")
		for _, s := range r.Tokens {
			showSpec(w, s, r.Video.Clip.On() && s.Media != "image")
		}
	}
	showKeep(w, &r.Keep)
	w("outputs: # a shard closes at whichever bound comes first")
	for _, o := range r.Outputs {
		w("  - format: %s", o.Format)
		w("    shard_bytes: %s", showSize(o.ShardBytes))
		w("    shard_samples: %d", o.ShardSamples)
		w("    shard_age: %s", o.ShardAge)
		if o.Compression != "" {
			w("    compression: %s", o.Compression)
		}
		showPack(w, o.Pack)
	}
	showLimits(w, r)
	return b.Bytes()
}

type writer func(format string, args ...any)

func showVideo(w writer, v *pipeline.VideoRules) {
	w("video:")
	w("  pick: %s # by presentation time", showPick(v.Pick))
	if v.Clip.On() {
		w("  clip: %s # one sample each: all, or windows of picked frames", showClip(v.Clip))
	}
	w("  interlaced: %s # keep the fields woven, deinterlace, or refuse", orKeep(v.Interlaced))
	w("  hdr: %s # keep the values as they are, tonemap, or refuse", orKeep(v.HDR))
	w("  keep_sample_aspect: %t # false: pixels are made square", v.KeepSampleAspect)
	w("  truncated: %s # refuse, or keep the frames that came out", v.Truncated)
	w("  containers: %s # allowed beyond mp4 and matroska: avi, mpegts, flv", list(v.Containers))
	w("  codecs: %s # allowed beyond the usual: ffv1, huffyuv, mpeg2video, prores", list(v.Codecs))
}

// orKeep writes the empty word as keep.
func orKeep(s string) string {
	if s == "" {
		return "keep"
	}
	return s
}

func showImage(w writer, v *pipeline.ImageRules) {
	w("image:")
	animation := "first"
	if v.Animation == "pick" {
		animation = showPick(v.Pick)
	}
	w("  animation: %s # first, or a pick rule", animation)
	alpha := v.Alpha
	if c, ok := strings.CutPrefix(alpha, "over:"); ok {
		alpha = quote(c)
	}
	w("  alpha: %s # the colour under transparent pixels, or drop", alpha)
	w("  gray16: %s # high-byte, or clip as Pillow does", v.Gray16)
	w("  truncated: %s # refuse, or keep what was read", v.Truncated)
	w("  containers: %s # allowed beyond jpeg, png, webp, gif, avif: bmp, tiff", list(v.Containers))
}

// showSpec writes the fields that the output's layout has.
func showSpec(w writer, s patch.Spec, clip bool) {
	if n := s.Tolerance(clip); n > 0 {
		w("  # within %d levels of 255 of the model's own video processor, which resizes tensors", n)
	}
	lead := "  - "
	put := func(name, value string) {
		w("%s%s: %s", lead, name, value)
		lead = "    "
	}
	number := func(name string, n int64) {
		if n != 0 {
			put(name, strconv.FormatInt(n, 10))
		}
	}
	put("name", quote(s.Name))
	put("layout", s.Layout)
	if s.Media != "" {
		put("media", s.Media)
	}
	number("patch", int64(s.Patch))
	if s.Resize != "" {
		put("resize", s.Resize)
	}
	number("size", int64(s.Size))
	number("crop", int64(s.Crop))
	number("max_patches", int64(s.MaxPatches))
	number("min_pixels", s.MinPixels)
	number("max_pixels", s.MaxPixels)
	number("temporal_patch", int64(s.TemporalPatch))
	number("merge", int64(s.Merge))
	number("frames", int64(s.Frames))
	if len(s.Pinpoints) > 0 {
		put("pinpoints", strings.ReplaceAll(fmt.Sprint(s.Pinpoints), " ", ", "))
	}
	put("filter", string(s.Filter))
	put("pass_order", string(s.PassOrder))
	put("dtype", s.DType)
	put("mean", triple(s.Mean))
	put("std", triple(s.Std))
}

func showKeep(w writer, k *pipeline.Keep) {
	if k.Frame == "" {
		return
	}
	w("keep:")
	w("  frame: %s # the upright picture", k.Frame)
	if k.Quality != 0 {
		w("  quality: %d", k.Quality)
	}
	if k.MaxSide != 0 {
		w("  max_side: %d # pixels; larger pictures are shrunk to it", k.MaxSide)
	}
}

func showLimits(w writer, r *pipeline.Recipe) {
	w("limits: # what a medium may ask of a worker")
	l := r.Limits
	w("  max_side: %d # pixels", l.MaxSide)
	w("  max_video_pixels: %d # a frame", l.MaxVideoPixels)
	w("  max_image_pixels: %d", l.MaxImagePixels)
	w("  max_image_frames: %d # an animation", l.MaxImageFrames)
	w("  max_animation_pixels: %d # all frames of an animation", l.MaxAnimationPix)
	w("  max_frames_kept: %d # picked from one medium", l.MaxFramesKept)
	w("  max_frames_decoded: %d", l.MaxFramesDecoded)
	w("  max_streams: %d", l.MaxStreams)
	w("  max_duration_seconds: %d", l.MaxDuration)
	w("  max_fps: %d # as declared", l.MaxFPS)
	w("  max_size_changes: %d", l.MaxSizeChanges)
	w("  max_metadata_bytes: %s # ICC, EXIF and text of a still", showSize(l.MaxMetadata))
	w("  max_video_side: %d # pixels, of a video", l.MaxVideoSide)
	w("  max_tokens: %d # of one picture or clip", l.MaxTokens)
	w("  max_frame_bytes: %s # read of a video for one frame", showSize(l.MaxFrameBytes))
}

// quote writes a string as a double-quoted scalar; YAML reads JSON's escapes.
func quote(s string) string { return string(encode(s)) }

func list(l []string) string { return "[" + strings.Join(l, ", ") + "]" }

func triple(v [3]float64) string {
	var l []string
	for _, f := range v {
		l = append(l, strconv.FormatFloat(f, 'g', -1, 64))
	}
	return list(l)
}
