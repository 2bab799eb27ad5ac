package audio

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/codecs"
)

// EncodeWAV writes the exact samples: a RIFF WAVE file of 32-bit IEEE floats, one
// channel, little-endian. The same sound gives the same bytes. Sound that a [Reader]
// gave is far below the 4 GiB that RIFF can hold.
func EncodeWAV(s *codecs.Sound) []byte {
	const (
		head     = 12 + 26 + 12 + 8 // RIFF, fmt, fact, data
		ieee     = 3                // WAVE_FORMAT_IEEE_FLOAT
		channels = 1
		width    = 4
	)
	size := len(s.Samples) * width
	le := binary.LittleEndian
	b := make([]byte, 0, head+size)
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, uint32(head-8+size))
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 18)
	b = le.AppendUint16(b, ieee)
	b = le.AppendUint16(b, channels)
	b = le.AppendUint32(b, uint32(s.Rate))
	b = le.AppendUint32(b, uint32(s.Rate*channels*width))
	b = le.AppendUint16(b, channels*width)
	b = le.AppendUint16(b, 8*width)
	b = le.AppendUint16(b, 0) // no extension
	b = append(b, "fact"...)  // required of all that is not PCM
	b = le.AppendUint32(b, 4)
	b = le.AppendUint32(b, uint32(len(s.Samples)))
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(size))
	for _, v := range s.Samples {
		b = le.AppendUint32(b, math.Float32bits(v))
	}
	return b
}
