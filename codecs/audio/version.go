package audio

import (
	"slices"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// Missing names what is used here and this FFmpeg was built without: "resampler soxr",
// "decoder mp3float", "encoder flac", sorted. With Debian 12's there is nothing. Without
// soxr, [Open] refuses every track whose rate must change.
func Missing() []string {
	var missing []string
	for _, d := range decoders {
		if astiav.FindDecoderByName(d) == nil {
			missing = append(missing, "decoder "+d)
		}
	}
	if astiav.FindEncoderByName("flac") == nil {
		missing = append(missing, "encoder flac")
	}
	if !hasSoxr() {
		missing = append(missing, "resampler soxr")
	}
	slices.Sort(missing)
	return missing
}

func hasSoxr() bool {
	r := newResampler(48000, 16000)
	if r == nil {
		return false
	}
	r.Free()
	return true
}

// LiveObjects is how many C objects (contexts, packets, frames, resamplers) the FFmpeg
// packages hold at the moment. It is 0 when every reader is closed; tests rely on it.
func LiveObjects() int64 { return ffmpeg.LiveObjects() }
