package pipeline

import (
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// Recipe says how a dataset turns a job into samples. This is the normalised form:
// presets resolved, defaults filled in, nothing left to guess. Package
// pipeline/recipe reads it from YAML and gives it its digest. Immutable.
type Recipe struct {
	Version int    `json:"version"` // of the format, 1
	Dataset string `json:"dataset"`
	// About is free text for people; it is not part of the digest.
	About string `json:"about,omitempty"`
	// Digest is SHA-256 over the normalised document without About and Digest, hex.
	Digest string `json:"digest"`

	Take    Take          `json:"take"`
	Source  SourceRules   `json:"source,omitzero"`
	Video   VideoRules    `json:"video"`
	Image   ImageRules    `json:"image"`
	Audio   AudioRules    `json:"audio,omitzero"`
	Tokens  []patch.Spec  `json:"tokens"`
	Keep    Keep          `json:"keep"`
	Outputs []Output      `json:"outputs"`
	Limits  codecs.Limits `json:"limits"`
}

// Take is which jobs the recipe wants; others are refused with msg.not-taken.
type Take struct {
	// Kinds is a subset of "video", "image", "audio", "text"; empty takes all.
	Kinds []string `json:"kinds,omitempty"`
}

// SourceRules say which media may be fetched at all.
type SourceRules struct {
	// Honour lists the signals by which a web server withholds a medium from training,
	// and which are obeyed: "noai", "noimageai", "noindex", "noimageindex" (of
	// X-Robots-Tag) and "tdm-reservation". Such a medium is refused with source.opt-out.
	Honour []string `json:"honour,omitempty"`
}

// VideoRules say which frames of a video become samples.
type VideoRules struct {
	Pick codecs.Pick `json:"pick"`
	// Clip joins picked frames into clips, one sample each; its zero value makes every
	// picked frame a sample.
	Clip Clip `json:"clip,omitzero"`
	// Interlaced is "" (fields stay woven; the sample says so), "deinterlace" or "refuse".
	Interlaced string `json:"interlaced,omitempty"`
	// HDR is what is done with PQ and HLG: "" (values as they are; the sample says so),
	// "tonemap" (by the rule of codecs/video) or "refuse".
	HDR string `json:"hdr,omitempty"`
	// KeepSampleAspect leaves non-square pixels as they are.
	KeepSampleAspect bool `json:"keep_sample_aspect,omitempty"`
	// Truncated is "refuse" (the default) or "keep": samples of the frames that came out.
	Truncated string `json:"truncated"`
	// Containers allowed beyond mp4 and matroska: "avi", "mpegts", "flv".
	Containers []string `json:"containers,omitempty"`
	// Codecs allowed beyond h264, hevc, vp8, vp9, av1, mpeg4, mjpeg, png, gif and webp:
	// "ffv1", "huffyuv", "mpeg2video", "prores".
	Codecs []string `json:"codecs,omitempty"`
}

// Clip is a window that runs over the picked frames.
type Clip struct {
	// All makes one clip of all picked frames; the other fields are then zero.
	All bool `json:"all,omitempty"`
	// Frames is the window's length, and Stride how far it moves, in picked frames.
	Frames int `json:"frames,omitempty"`
	Stride int `json:"stride,omitempty"`
	// Last is what becomes of a window that the video does not fill: "drop", "keep" (a
	// shorter clip) or "repeat" (its last frame fills it).
	Last string `json:"last,omitempty"`
}

// On reports whether samples are clips.
func (c Clip) On() bool { return c.All || c.Frames > 0 }

// AudioRules say what becomes of sound; the zero value leaves it out. A clip carries
// the sound of its own time. Elsewhere sound makes samples of its own, in chunks.
type AudioRules struct {
	// Track is "" (no sound), "default" (the track marked so, else the first) or a
	// language by its ISO 639-2 code, as in "eng".
	Track string `json:"track,omitempty"`
	// Rate in samples a second; all channels are mixed to one.
	Rate int `json:"rate,omitempty"`
	// Chunk is the length of a sample of sound alone. The last one is shorter.
	Chunk time.Duration `json:"chunk,omitempty"`
	// Keep is "", "flac" (16 bits) or "wav" (32-bit float, the exact samples).
	Keep string `json:"keep,omitempty"`
	Mel  *Mel   `json:"mel,omitempty"`
}

// On reports whether sound is wanted.
func (a AudioRules) On() bool { return a.Track != "" }

// Mel asks for Whisper's log-mel features of the sound.
type Mel struct {
	Name string `json:"name"` // prefixes the fields: NAME.mel.npy, NAME.mask.npy
	Bins int    `json:"bins"` // 80 or 128
	// Pad fills up to 30 s, as WhisperFeatureExtractor does; else there is a frame for
	// each whole hop of 160 samples, as Qwen3-Omni has it.
	Pad bool `json:"pad"`
}

// ImageRules say how stills and animations are read.
type ImageRules struct {
	// Animation is "first" (the default) or "pick": frames by Pick.
	Animation string      `json:"animation"`
	Pick      codecs.Pick `json:"pick"`
	// Alpha is "over:#rrggbb" (composited; the default is over:#ffffff) or "drop".
	Alpha string `json:"alpha"`
	// Gray16 is "high-byte" (the default) or "clip", as Pillow does.
	Gray16 string `json:"gray16"`
	// Containers allowed beyond jpeg, png, webp, gif, avif: "bmp", "tiff".
	Containers []string `json:"containers,omitempty"`
	Truncated  string   `json:"truncated"`
}

// Keep names the originals that a sample carries beside its tokens.
type Keep struct {
	// Frame is "", "jpeg", "webp" or "png": the upright picture at full size.
	Frame string `json:"frame,omitempty"`
	// Quality of jpeg and webp, 1..100.
	Quality int `json:"quality,omitempty"`
	// MaxSide shrinks the kept frame so that no side is longer; 0 keeps its size.
	MaxSide int `json:"max_side,omitempty"`
}

// Output is one shard format that samples are written in. A shard closes at
// whichever of its three bounds comes first.
type Output struct {
	Format       string        `json:"format"` // one of shard.Formats
	ShardBytes   int64         `json:"shard_bytes"`
	ShardSamples int64         `json:"shard_samples"`
	ShardAge     time.Duration `json:"shard_age"` // nanoseconds in JSON
	// Compression of the shard file: "" or "zstd", where the format has it.
	Compression string `json:"compression,omitempty"`
	// Pack joins samples into sequences; nil writes them one by one.
	Pack *Pack `json:"pack,omitempty"`
}

// Pack joins the patches of neighbouring samples into sequences of at most Budget
// tokens, by the rule of codecs/packing.
type Pack struct {
	Tokens string `json:"tokens"` // name of the token output that is packed
	Budget int    `json:"budget"` // tokens in a sequence
	// Count is what a token is: "patches" or "language" (patches after the model's merge).
	Count string `json:"count"`
	// Window is how many samples are sorted among each other.
	Window int `json:"window"`
	// Multiple rounds a sample's length up; 1 does not.
	Multiple int `json:"multiple"`
	// MaxSamples in a sequence; 0 for no bound.
	MaxSamples int    `json:"max_samples,omitempty"`
	Mode       string `json:"mode"` // "first_fit_decreasing" or "first_fit"
}

// Sparse reports whether so little of a long video is looked at that the rest need not be
// fetched: frames that are far apart, and no sound. It is the recipe's wish alone; whether a
// medium can be read so is for its server and its decoder to say.
func (r *Recipe) Sparse() bool {
	if r.Audio.On() {
		return false
	}
	switch p := r.Video.Pick; p.Rule {
	case codecs.PickKeyframes, codecs.PickAt, codecs.PickUniform:
		return true
	case codecs.PickFPS:
		return p.Rate.Cmp(codecs.Rational{Num: 1, Den: 5}) <= 0
	}
	return false
}

// Packs reports whether some output joins samples into sequences.
func (r *Recipe) Packs() bool {
	for _, o := range r.Outputs {
		if o.Pack != nil {
			return true
		}
	}
	return false
}
