package ffmpeg

import (
	"encoding/binary"

	"github.com/millrace/millrace/codecs"
)

// maxBoxes bounds the walk over a fragmented file: six hours of one-second fragments.
const maxBoxes = 50_000

// CutBoxes reports whether an ISO file (MP4, QuickTime) ends early. It walks the top
// level.
//
// A file that ends inside a box was cut. Only boxes that carry film or its index count;
// others are trailing garbage as often as not. A file without a moov whose last box but
// padding is its mdat may have been cut too, between the two: recorders write the moov
// last. Where boxes of other kinds follow the mdat, or fragments come without a moov ahead
// of them, the moov was never to come, and nothing is cut.
func CutBoxes(src codecs.Source) bool {
	var moov, moof, mdatLast bool
	var h [16]byte
	for at, n := int64(0), 0; at < src.Size() && n < maxBoxes; n++ {
		if !ReadAt(src, h[:8], at) {
			break
		}
		size, kind := uint64(binary.BigEndian.Uint32(h[:4])), string(h[4:8])
		moov, moof = moov || kind == "moov", moof || kind == "moof"
		if !padding[kind] {
			mdatLast = kind == "mdat"
		}
		if size == 1 {
			if !ReadAt(src, h[:], at) {
				return true
			}
			size = binary.BigEndian.Uint64(h[8:])
		}
		if size < 8 { // 0 is "to the end of the file"; less is garbage
			break
		}
		if size > uint64(src.Size()-at) {
			return kind == "moov" || kind == "mdat" || kind == "moof"
		}
		at += int64(size)
	}
	return mdatLast && !moov && !moof
}

// padding are the boxes that say nothing.
var padding = map[string]bool{"free": true, "skip": true, "wide": true}

// CutSegment reports whether a Matroska or WebM file ends early, by its Segment's size
// (RFC 9559, 5.1).
func CutSegment(src codecs.Source) bool {
	h := make([]byte, min(4096, src.Size()))
	if !ReadAt(src, h, 0) || len(h) < 5 {
		return false
	}
	size, n := Vint(h[4:])
	at := 4 + uint64(n) + size
	if n == 0 || size > 4096 || at+4 > uint64(len(h)) || binary.BigEndian.Uint32(h[at:]) != 0x18538067 {
		return false
	}
	body, n := Vint(h[at+4:])
	return n > 0 && body != VintUnknown && body > uint64(src.Size())-at-4-uint64(n)
}

// ReadAt fills b, or reports that the bytes are not there.
func ReadAt(src codecs.Source, b []byte, at int64) bool {
	if at < 0 || at > src.Size()-int64(len(b)) {
		return false
	}
	n, _ := src.ReadAt(b, at)
	return n == len(b)
}

// Vint reads an EBML variable-size integer (RFC 8794, 4) and its length; 0 bytes where
// there is none. The reserved value "unknown" comes out as VintUnknown.
func Vint(b []byte) (v uint64, n int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	n = 1
	for m := byte(0x80); b[0]&m == 0; m >>= 1 {
		n++
	}
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0]) & (1<<(8-n) - 1)
	ones := v == 1<<(8-n)-1
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
		ones = ones && c == 0xff
	}
	if ones {
		return VintUnknown, n
	}
	return v, n
}

// VintUnknown is the reserved value of a size that is not known.
const VintUnknown = ^uint64(0)
