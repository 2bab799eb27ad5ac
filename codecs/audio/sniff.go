package audio

import (
	"bytes"
	"encoding/binary"
)

// Containers of sound alone, as Sniff and [codecs.Info] name them.
const (
	MP3  = "mp3"
	FLAC = "flac"
	WAV  = "wav" // RF64 as well
	Ogg  = "ogg" // Opus, Vorbis, FLAC
	ADTS = "adts"
	M4A  = "m4a"
)

// demuxers maps containers to FFmpeg's input formats: those of Sniff, and those of
// codecs/video, whose sound is read by the same names.
var demuxers = map[string]string{
	MP3: "mp3", FLAC: "flac", WAV: "wav", Ogg: "ogg", ADTS: "aac", M4A: "mov",
	"mp4": "mov", "mov": "mov", "matroska": "matroska", "webm": "matroska",
	"avi": "avi", "mpegts": "mpegts", "flv": "flv",
}

// Sniff names the container of sound alone that begins with head; 4 KiB are plenty. ISO
// files count only if their brand says that they are sound; Matroska, WebM and other ISO
// files are codecs/video's to name.
func Sniff(head []byte) (container string, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("ID3")):
		return sniffTagged(head), true
	case bytes.HasPrefix(head, []byte("fLaC")):
		return FLAC, true
	case len(head) >= 12 && string(head[8:12]) == "WAVE" && (string(head[:4]) == "RIFF" || string(head[:4]) == "RF64" || string(head[:4]) == "BW64"):
		return WAV, true
	case bytes.HasPrefix(head, []byte("OggS")):
		return Ogg, sniffOgg(head)
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		brand := string(head[8:12])
		return M4A, brand == "M4A " || brand == "M4B " || brand == "M4P "
	}
	if repeats(head, mp3Frame) {
		return MP3, true
	}
	return ADTS, repeats(head, adtsFrame)
}

// sniffTagged looks behind an ID3v2 tag, which belongs to MP3 but is found before
// others too. Where the tag is longer than head it is taken for MP3's.
func sniffTagged(head []byte) string {
	if len(head) < 10 {
		return MP3
	}
	size := 10
	for i, b := range head[6:10] { // 28 bits in four bytes
		size += int(b&0x7f) << (7 * (3 - i))
	}
	switch {
	case size >= len(head):
		return MP3
	case bytes.HasPrefix(head[size:], []byte("fLaC")):
		return FLAC
	case adtsFrame(head[size:]) > 0:
		return ADTS
	}
	return MP3
}

// sniffOgg wants one of the codecs that are read here in the first page, and no film
// beside it.
func sniffOgg(head []byte) bool {
	if len(head) < 28 || bytes.Contains(head, []byte("\x80theora")) {
		return false
	}
	at := 27 + int(head[26]) // behind the page's segment table
	if at >= len(head) {
		return false
	}
	for _, magic := range []string{"OpusHead", "\x01vorbis", "\x7fFLAC"} {
		if bytes.HasPrefix(head[at:], []byte(magic)) {
			return true
		}
	}
	return false
}

// repeats wants a frame at the start and another, of the same kind, right behind it.
func repeats(head []byte, frame func([]byte) int) bool {
	n := frame(head)
	return n > 0 && n < len(head) && frame(head[n:]) > 0
}

// bitRates are kbit/s of layer III by index: MPEG-1, then MPEG-2 and 2.5.
var bitRates = [2][15]int{
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

// mp3Frame is the length of the MPEG audio layer III frame at b (ISO 11172-3, 2.4.1.3),
// or 0 where there is none.
func mp3Frame(b []byte) int {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return 0
	}
	version, layer := b[1]>>3&3, b[1]>>1&3 // 3, 2, 0: MPEG-1, 2, 2.5; layer III is 1
	rate, sampling := int(b[2]>>4), b[2]>>2&3
	if version == 1 || layer != 1 || rate == 0 || rate == 15 || sampling == 3 {
		return 0
	}
	hertz := [3]int{44100, 48000, 32000}[sampling]
	padding := int(b[2] >> 1 & 1)
	switch version {
	case 3:
		return 144000*bitRates[0][rate]/hertz + padding
	case 2:
		return 72000*bitRates[1][rate]/(hertz/2) + padding
	}
	return 72000*bitRates[1][rate]/(hertz/4) + padding
}

// adtsFrame is the length of the ADTS frame at b (ISO 14496-3, 1.A.2.2), or 0.
func adtsFrame(b []byte) int {
	if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 || b[2]>>2&15 > 12 {
		return 0
	}
	n := int(binary.BigEndian.Uint32(b[3:])>>13) & 0x1fff
	if n < 7 {
		return 0
	}
	return n
}
