package video

// #cgo pkg-config: libavutil
// #include <libavutil/avutil.h>
import "C"

import (
	"slices"

	"github.com/asticode/go-astiav"
)

// Version is that of the FFmpeg that this program runs with, as it calls itself.
func Version() string { return C.GoString(C.av_version_info()) }

// Missing names the decoders and filters that are used here and that this FFmpeg was
// built without, sorted. With Debian 12's there are none.
func Missing() []string {
	var missing []string
	for _, d := range decoders {
		if astiav.FindDecoderByName(d) == nil {
			missing = append(missing, "decoder "+d)
		}
	}
	for _, f := range []string{"buffer", "buffersink", "zscale", "format", "crop", "bwdif", "tonemap"} {
		if astiav.FindFilterByName(f) == nil {
			missing = append(missing, "filter "+f)
		}
	}
	slices.Sort(missing)
	return missing
}
