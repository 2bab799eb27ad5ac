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
	Video   VideoRules    `json:"video"`
	Image   ImageRules    `json:"image"`
	Tokens  []patch.Spec  `json:"tokens"`
	Keep    Keep          `json:"keep"`
	Outputs []Output      `json:"outputs"`
	Limits  codecs.Limits `json:"limits"`
}

// Take is which jobs the recipe wants; others are refused with msg.not-taken.
type Take struct {
	// Kinds is a subset of "video", "image", "text"; empty takes all.
	Kinds []string `json:"kinds,omitempty"`
}

// VideoRules say which frames of a video become samples.
type VideoRules struct {
	Pick codecs.Pick `json:"pick"`
	// KeepSampleAspect leaves non-square pixels as they are.
	KeepSampleAspect bool `json:"keep_sample_aspect,omitempty"`
	// Truncated is "refuse" (the default) or "keep": samples of the frames that came out.
	Truncated string `json:"truncated"`
	// Containers allowed beyond mp4 and matroska: "avi", "mpegts", "flv".
	Containers []string `json:"containers,omitempty"`
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
	Format       string        `json:"format"` // "webdataset"
	ShardBytes   int64         `json:"shard_bytes"`
	ShardSamples int64         `json:"shard_samples"`
	ShardAge     time.Duration `json:"shard_age"` // nanoseconds in JSON
}
