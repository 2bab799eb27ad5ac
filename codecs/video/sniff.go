package video

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// Containers, as Sniff and [codecs.Info] name them.
const (
	MP4      = "mp4"      // ISO base media and its kin
	MOV      = "mov"      // QuickTime
	Matroska = "matroska" //
	WebM     = "webm"     //
	AVI      = "avi"      // known, but off unless [Options] allow it; likewise below
	MPEGTS   = "mpegts"   //
	FLV      = "flv"      //
)

// demuxers maps containers to FFmpeg's input formats. HLS, DASH, concat and all else
// that names other files is not here, and so can not be reached.
var demuxers = map[string]string{
	MP4: "mov", MOV: "mov", Matroska: "matroska", WebM: "matroska",
	AVI: "avi", MPEGTS: "mpegts", FLV: "flv",
}

// onByDefault are the containers that need no option.
var onByDefault = []string{MP4, MOV, Matroska, WebM}

// Sniff names the video container that begins with head, by its magic; 4 KiB are
// plenty. Whether the container is allowed is [Open]'s question. ISO files whose major
// brand says "still image" (HEIF, AVIF) are not video.
func Sniff(head []byte) (container string, ok bool) {
	switch {
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return sniffBrand(string(head[8:12]))
	case len(head) >= 8 && slices.Contains([]string{"moov", "mdat", "wide", "skip", "free", "pnot"}, string(head[4:8])):
		// QuickTime from before ftyp. The size rules out text that happens to match.
		size := binary.BigEndian.Uint32(head)
		if size == 0 || size == 1 || size >= 8 {
			return MOV, true
		}
	case bytes.HasPrefix(head, []byte{0x1a, 0x45, 0xdf, 0xa3}):
		return sniffEBML(head)
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "AVI ":
		return AVI, true
	case len(head) >= 9 && string(head[:4]) == "FLV\x01":
		return FLV, true
	case len(head) > 2*188 && head[0] == 0x47 && head[188] == 0x47 && head[2*188] == 0x47:
		return MPEGTS, true
	}
	return "", false
}

func sniffBrand(brand string) (string, bool) {
	switch brand {
	case "qt  ":
		return MOV, true
	case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "avif", "avis", "jxl ", "jp2 ", "crx ":
		return "", false
	}
	return MP4, true
}

// sniffEBML reads DocType (RFC 8794, 11.2.6) out of the EBML header.
func sniffEBML(head []byte) (string, bool) {
	at := bytes.Index(head, []byte{0x42, 0x82})
	if at < 0 {
		return "", false
	}
	size, n := ffmpeg.Vint(head[at+2:])
	from := at + 2 + n
	if n == 0 || size > 16 || from+int(size) > len(head) {
		return "", false
	}
	switch string(bytes.TrimRight(head[from:from+int(size)], "\x00")) {
	case "matroska":
		return Matroska, true
	case "webm":
		return WebM, true
	}
	return "", false
}
