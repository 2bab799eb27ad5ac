package video

import (
	"encoding/binary"

	"github.com/millrace/millrace/codecs"
)

// cut reports whether the file ends before its container says it should. FFmpeg does
// not tell: it takes the end of the bytes for the end of the film.
func cut(src codecs.Source, container string) bool {
	switch container {
	case MP4, MOV:
		return cutBoxes(src)
	case Matroska, WebM:
		return cutSegment(src)
	case AVI:
		var h [8]byte
		return readAt(src, h[:], 0) && int64(binary.LittleEndian.Uint32(h[4:]))+8 > src.Size()
	}
	return false
}

// maxBoxes bounds the walk over a fragmented file: six hours of one-second fragments.
const maxBoxes = 50_000

// cutBoxes walks the top level of an ISO file. Only boxes that carry film or its index
// count; others are trailing garbage as often as not.
func cutBoxes(src codecs.Source) bool {
	var moov, mdat bool
	var h [16]byte
	for at, n := int64(0), 0; at < src.Size() && n < maxBoxes; n++ {
		if !readAt(src, h[:8], at) {
			break
		}
		size, kind := uint64(binary.BigEndian.Uint32(h[:4])), string(h[4:8])
		moov = moov || kind == "moov"
		mdat = mdat || kind == "mdat"
		if size == 1 {
			if !readAt(src, h[:], at) {
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
	return mdat && !moov
}

// cutSegment compares the Segment's size (RFC 9559, 5.1) with the file's.
func cutSegment(src codecs.Source) bool {
	h := make([]byte, min(4096, src.Size()))
	if !readAt(src, h, 0) || len(h) < 5 {
		return false
	}
	size, n := vint(h[4:])
	at := 4 + uint64(n) + size
	if n == 0 || size > 4096 || at+4 > uint64(len(h)) || binary.BigEndian.Uint32(h[at:]) != 0x18538067 {
		return false
	}
	body, n := vint(h[at+4:])
	return n > 0 && body != vintUnknown && body > uint64(src.Size())-at-4-uint64(n)
}

// readAt fills b, or reports that the bytes are not there.
func readAt(src codecs.Source, b []byte, at int64) bool {
	if at < 0 || at > src.Size()-int64(len(b)) {
		return false
	}
	n, _ := src.ReadAt(b, at)
	return n == len(b)
}
