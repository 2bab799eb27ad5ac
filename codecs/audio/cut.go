package audio

import (
	"bytes"
	"encoding/binary"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// cut reports whether the file ends before its container says it should. FFmpeg does
// not tell: it takes the end of the bytes for the end of the sound.
func cut(src codecs.Source, container string) bool {
	switch demuxers[container] {
	case "mov":
		return ffmpeg.CutBoxes(src)
	case "matroska":
		return ffmpeg.CutSegment(src)
	case "wav":
		return cutChunks(src)
	case "ogg":
		return cutPage(src)
	}
	return false
}

// cutChunks walks a RIFF file's chunks up to its sound. Sizes from 0x7ffff000 on are
// what programs write that can not go back to fill them in.
func cutChunks(src codecs.Source) bool {
	const most = 1000 // chunks
	var h [8]byte
	at := int64(12)
	for range most {
		if !ffmpeg.ReadAt(src, h[:], at) {
			return false
		}
		size := int64(binary.LittleEndian.Uint32(h[4:]))
		if string(h[:4]) == "data" {
			return size < 0x7ffff000 && at+8+size > src.Size()
		}
		at += 8 + size + size&1
	}
	return false
}

// cutPage looks whether the last Ogg page (RFC 3533, 6) is whole. A page is at most
// 65307 bytes long.
func cutPage(src codecs.Source) bool {
	tail := make([]byte, min(65307+27, src.Size()))
	if !ffmpeg.ReadAt(src, tail, src.Size()-int64(len(tail))) {
		return false
	}
	at := bytes.LastIndex(tail, []byte("OggS"))
	if at < 0 {
		return false
	}
	page := tail[at:]
	if len(page) < 27 || len(page) < 27+int(page[26]) {
		return true
	}
	size := 27 + int(page[26])
	for _, n := range page[27:size] {
		size += int(n)
	}
	return size > len(page)
}
