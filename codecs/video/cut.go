package video

import (
	"encoding/binary"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// cut reports whether the file ends before its container says it should. FFmpeg does
// not tell: it takes the end of the bytes for the end of the film.
func cut(src codecs.Source, container string) bool {
	switch container {
	case MP4, MOV:
		return ffmpeg.CutBoxes(src)
	case Matroska, WebM:
		return ffmpeg.CutSegment(src)
	case AVI:
		var h [8]byte
		return ffmpeg.ReadAt(src, h[:], 0) && int64(binary.LittleEndian.Uint32(h[4:]))+8 > src.Size()
	}
	return false
}
