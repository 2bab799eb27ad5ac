package still

import (
	"bytes"
	"encoding/binary"
)

// The containers that this package knows, as [Sniff] names them.
const (
	JPEG = "jpeg"
	PNG  = "png"
	GIF  = "gif"
	WebP = "webp"
	AVIF = "avif"
	BMP  = "bmp"
	TIFF = "tiff"
)

// SniffLen is how many leading bytes [Sniff] looks at, at most.
const SniffLen = 512

// Sniff names the container by its leading bytes: at least 32 where the file has
// as many, at most [SniffLen] are looked at. File names and declared types play no
// part, so in a polyglot the magic at offset 0 decides.
//
// An ISO file (ftyp) is an AVIF only if its major brand says so, or if that is the
// neutral mif1, miaf or msf1 and avif or avis is among the compatible brands: an
// MP4 that merely lists avif stays an MP4.
func Sniff(head []byte) (container string, ok bool) {
	if len(head) > SniffLen {
		head = head[:SniffLen]
	}
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("\xff\xd8\xff"):
		return JPEG, true
	case has(pngMagic):
		return PNG, true
	case has("GIF87a"), has("GIF89a"):
		return GIF, true
	case has("RIFF") && len(head) >= 12 && string(head[8:12]) == "WEBP":
		return WebP, true
	case has("II*\x00"), has("MM\x00*"):
		return TIFF, true
	case has("BM") && bmpHeader(head):
		return BMP, true
	case avifBrand(head):
		return AVIF, true
	}
	return "", false
}

// bmpHeader tells a BMP from text that begins with "BM": the size of the second
// header is one of those that exist.
func bmpHeader(head []byte) bool {
	if len(head) < 18 {
		return false
	}
	switch binary.LittleEndian.Uint32(head[14:]) {
	case 12, 40, 52, 56, 64, 108, 124:
		return true
	}
	return false
}

func avifBrand(head []byte) bool {
	if len(head) < 16 || string(head[4:8]) != "ftyp" {
		return false
	}
	switch string(head[8:12]) {
	case "avif", "avis":
		return true
	case "mif1", "miaf", "msf1":
	default:
		return false
	}
	size := int64(binary.BigEndian.Uint32(head))
	for at := 16; at+4 <= len(head) && int64(at)+4 <= size; at += 4 {
		if b := string(head[at : at+4]); b == "avif" || b == "avis" {
			return true
		}
	}
	return false
}
