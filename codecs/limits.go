package codecs

import (
	"encoding/json"
	"fmt"
)

// Limits bounds what a decoder may be asked to do. Each is checked before the
// allocation or the decoding that it bounds. There is no value for "unlimited".
type Limits struct {
	MaxSide          int   `yaml:"max_side" json:"max_side"`                         // pixels, either side of any picture
	MaxVideoPixels   int64 `yaml:"max_video_pixels" json:"max_video_pixels"`         // a video frame
	MaxImagePixels   int64 `yaml:"max_image_pixels" json:"max_image_pixels"`         // a still, from its header
	MaxImageFrames   int   `yaml:"max_image_frames" json:"max_image_frames"`         // an animation
	MaxAnimationPix  int64 `yaml:"max_animation_pixels" json:"max_animation_pixels"` // an animation, all frames
	MaxFramesKept    int64 `yaml:"max_frames_kept" json:"max_frames_kept"`           // picked from one medium
	MaxFramesDecoded int64 `yaml:"max_frames_decoded" json:"max_frames_decoded"`     // sent to a decoder
	MaxStreams       int   `yaml:"max_streams" json:"max_streams"`
	MaxDuration      int64 `yaml:"max_duration_seconds" json:"max_duration_seconds"`
	MaxFPS           int   `yaml:"max_fps" json:"max_fps"` // as declared
	MaxSizeChanges   int   `yaml:"max_size_changes" json:"max_size_changes"`
	MaxMetadata      int64 `yaml:"max_metadata_bytes" json:"max_metadata_bytes"` // ICC, EXIF, text chunks of a still

	// What came later: see MarshalJSON.

	MaxVideoSide int   `yaml:"max_video_side" json:"max_video_side,omitzero"` // pixels, either side of a video frame
	MaxTokens    int64 `yaml:"max_tokens" json:"max_tokens,omitzero"`         // cut from one picture or clip
	// MaxFrameBytes is what may be read of a video, or given to its decoder, for one frame.
	MaxFrameBytes int64 `yaml:"max_frame_bytes" json:"max_frame_bytes,omitzero"`
}

// DefaultLimits are safe for media from strangers on a worker of a few GiB.
func DefaultLimits() Limits {
	return Limits{
		MaxSide: 16384, MaxVideoPixels: 36e6, MaxImagePixels: 64e6,
		MaxImageFrames: 256, MaxAnimationPix: 512e6,
		MaxFramesKept: 10_000, MaxFramesDecoded: 1_000_000,
		MaxStreams: 32, MaxDuration: 6 * 3600, MaxFPS: 240, MaxSizeChanges: 16,
		MaxMetadata:  4 << 20,
		MaxVideoSide: 8192, MaxTokens: 4 << 20, MaxFrameBytes: 64 << 20,
	}
}

// MarshalJSON leaves a limit that came later out where it is the default, so that a
// recipe from before has the digest that it had.
func (l Limits) MarshalJSON() ([]byte, error) {
	type plain Limits
	p, usual := plain(l), DefaultLimits()
	if p.MaxVideoSide == usual.MaxVideoSide {
		p.MaxVideoSide = 0
	}
	if p.MaxTokens == usual.MaxTokens {
		p.MaxTokens = 0
	}
	if p.MaxFrameBytes == usual.MaxFrameBytes {
		p.MaxFrameBytes = 0
	}
	return json.Marshal(p)
}

// UnmarshalJSON reads what MarshalJSON wrote, and what was written before it.
func (l *Limits) UnmarshalJSON(b []byte) error {
	type plain Limits
	usual := DefaultLimits()
	p := plain{MaxVideoSide: usual.MaxVideoSide, MaxTokens: usual.MaxTokens, MaxFrameBytes: usual.MaxFrameBytes}
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*l = Limits(p)
	return nil
}

// Validate refuses limits that are zero or negative, by name.
func (l Limits) Validate() error {
	for _, v := range []struct {
		name string
		n    int64
	}{
		{"max_side", int64(l.MaxSide)}, {"max_video_pixels", l.MaxVideoPixels}, {"max_image_pixels", l.MaxImagePixels},
		{"max_image_frames", int64(l.MaxImageFrames)}, {"max_animation_pixels", l.MaxAnimationPix},
		{"max_frames_kept", l.MaxFramesKept}, {"max_frames_decoded", l.MaxFramesDecoded},
		{"max_streams", int64(l.MaxStreams)}, {"max_duration_seconds", l.MaxDuration}, {"max_fps", int64(l.MaxFPS)},
		{"max_size_changes", int64(l.MaxSizeChanges)}, {"max_metadata_bytes", l.MaxMetadata},
		{"max_video_side", int64(l.MaxVideoSide)}, {"max_tokens", l.MaxTokens}, {"max_frame_bytes", l.MaxFrameBytes},
	} {
		if v.n < 1 {
			return fmt.Errorf("limits.%s is %d: every limit needs a value of 1 or more", v.name, v.n)
		}
	}
	return nil
}

// CheckSize refuses a picture by its header, before anything is allocated.
func (l Limits) CheckSize(kind Kind, width, height int) error {
	most, side := l.MaxImagePixels, l.MaxSide
	if kind == KindVideo {
		most, side = l.MaxVideoPixels, min(side, l.MaxVideoSide)
	}
	switch {
	case width < 1 || height < 1:
		return Errorf(CodeInvalid, StageProbe, "the picture's size is %dx%d", width, height)
	case width > side || height > side:
		return Errorf(CodeLimitPixels, StageProbe, "the picture is %dx%d; a side may have %d pixels", width, height, side)
	case int64(width)*int64(height) > most:
		return Errorf(CodeLimitPixels, StageProbe, "the picture is %dx%d, %d pixels; the limit is %d", width, height, int64(width)*int64(height), most)
	}
	return nil
}
