package video

import "slices"

// Options change what [Open] allows and does. The zero value is right for media from
// strangers.
type Options struct {
	// Containers are allowed besides MP4, MOV, Matroska and WebM.
	Containers []string
	// Codecs are allowed besides the defaults, by FFmpeg's decoder names.
	Codecs []string
	// KeepSAR leaves pixels as they are, even if they are not square.
	KeepSAR bool
	// DecodeAll switches the plan off. The frames are the same; it takes longer.
	DecodeAll bool
}

// decoders are the codecs that are on, with the one FFmpeg decoder used for each.
// ffv1 is there for lossless archives and for tests.
var decoders = map[string]string{
	"h264": "h264", "hevc": "hevc", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d",
	"mpeg4": "mpeg4", "mjpeg": "mjpeg", "png": "png", "gif": "gif", "webp": "webp", "ffv1": "ffv1",
}

func (o Options) allowsContainer(c string) bool {
	_, known := demuxers[c]
	return known && (slices.Contains(onByDefault, c) || slices.Contains(o.Containers, c))
}

// decoder names the decoder for a codec, or "" where the codec is not allowed.
func (o Options) decoder(codec string) string {
	if d := decoders[codec]; d != "" {
		return d
	}
	if slices.Contains(o.Codecs, codec) {
		return codec
	}
	return ""
}

// allDecoders is FFmpeg's codec_whitelist: what probing may open.
func (o Options) allDecoders() []string {
	all := slices.Clone(o.Codecs)
	for _, d := range decoders {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}
