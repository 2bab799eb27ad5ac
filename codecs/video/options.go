package video

import (
	"fmt"
	"slices"
)

// Options change what [Open] allows and does. The zero value is right for media from
// strangers.
type Options struct {
	// Containers are allowed besides MP4, MOV, Matroska and WebM.
	Containers []string
	// Codecs are allowed besides the defaults, by FFmpeg's decoder names.
	Codecs []string
	// KeepSAR leaves pixels as they are, even if they are not square.
	KeepSAR bool
	// Interlaced is what is done with a picked picture that is coded as two fields: ""
	// leaves them woven, and says "interlaced:tff" or "interlaced:bff" (the field that
	// is shown first); [Deinterlace] or [Refuse].
	Interlaced string
	// HDR is what is done with a picked picture of PQ or HLG values: "" leaves them as
	// they are, and says "hdr:pq" or "hdr:hlg"; [Tonemap] or [Refuse].
	HDR string
	// DecodeAll switches the plan off. The frames are the same; it takes longer.
	DecodeAll bool
}

// Values of Options.Interlaced and Options.HDR.
const (
	// Deinterlace makes one whole picture of each interlaced one, by FFmpeg's
	// "bwdif=mode=send_frame:parity=auto:deint=all" over the pictures before and after
	// it, before anything else is done. Pictures that are not interlaced stay as they
	// are. The frame says "deinterlaced:bwdif".
	Deinterlace = "deinterlace"
	// Tonemap makes BT.709 of PQ and HLG by FFmpeg's filters, with 100 cd/m2 for white:
	// zscale to linear light, zscale to BT.709 primaries, tonemap by Hable's curve with
	// 1000 cd/m2 for the brightest and without desaturation, zscale to BT.709's
	// transfer. What the stream says of its display or of its brightest light is not
	// used, so that a level means the same in all files. The frame says "tonemap:hable".
	Tonemap = "tonemap"
	// Refuse ends the reading with [codecs.CodeUnsupported].
	Refuse = "refuse"
)

// validate refuses values that no option has.
func (o Options) validate() error {
	if !slices.Contains([]string{"", Deinterlace, Refuse}, o.Interlaced) {
		return fmt.Errorf("interlaced is %q; leave it empty, or write %s or %s", o.Interlaced, Deinterlace, Refuse)
	}
	if !slices.Contains([]string{"", Tonemap, Refuse}, o.HDR) {
		return fmt.Errorf("hdr is %q; leave it empty, or write %s or %s", o.HDR, Tonemap, Refuse)
	}
	return nil
}

// decoders are the codecs that are on, with the one FFmpeg decoder used for each.
var decoders = map[string]string{
	"h264": "h264", "hevc": "hevc", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d",
	"mpeg4": "mpeg4", "mjpeg": "mjpeg", "png": "png", "gif": "gif", "webp": "webp",
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
