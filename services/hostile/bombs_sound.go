package hostile

import (
	"bytes"
	"slices"

	"github.com/millrace/millrace/codecs"
)

func wav(channels uint16, rate uint32, size uint32, data []byte) []byte {
	f := riffChunk("fmt ", join(le16(1), le16(channels), le32(rate), le32(rate*2), le16(2*channels), le16(16)))
	return join([]byte("RIFF"), le32(size), []byte("WAVE"), f, []byte("data"), le32(size), data)
}

func soundBombs(m maker) []Bomb {
	wave, ogg, mp3, flac, m4a, adts := m.load("audio/mono16.wav"), m.load("audio/stereo.ogg"), m.load("audio/plain.mp3"), m.load("audio/deep.flac"), m.load("audio/stereo.m4a"), m.load("audio/stereo.aac")
	damaged := []codecs.Code{codecs.CodeInvalid, codecs.CodeNoFrames, codecs.CodeTruncated, codecs.CodeNoAudio, codecs.CodeUnsupported, codecs.CodeFormatDenied, codecs.CodeLimitTables}
	fine := slices.Concat(damaged, []codecs.Code{""})
	long := append(fine, codecs.CodeLimitDuration, codecs.CodeTime)
	pcm := make([]byte, 4096)
	id3 := func(size uint32, frames []byte) []byte {
		return join([]byte("ID3\x04\x00\x00"), []byte{byte(size >> 21), byte(size >> 14 & 0x7f), byte(size >> 7 & 0x7f), byte(size & 0x7f)}, frames)
	}
	emptyPage := append([]byte("OggS\x00\x00"), make([]byte, 21)...)
	comment := find(ogg, "\x03vorbis")
	block := []byte{4, 0, 0, 0} // an empty comment
	return []Bomb{
		one("wav that says 4 GiB", wav(1, 16000, 1<<32-1, pcm), fine...),
		probed("wav of 65535 channels", wav(65535, 16000, 4096, pcm), damaged...),
		probed("wav of 2^32-1 samples a second", wav(1, 1<<32-1, 4096, pcm), damaged...),
		probed("wav of a sample a second", wav(1, 1, 4096, pcm), damaged...),
		one("wav of empty chunks", into(wave, 12, bytes.Repeat(riffChunk("junk", nil), m.many(1_000_000))...), fine...),
		probed("wav of 9 hours of silence", wav(1, 1000, 65_000_000, make([]byte, 65_000_000)), codecs.CodeLimitDuration),
		one("flac of empty blocks", into(flac, find(flac, "fLaC")+42, bytes.Repeat(block, m.many(1_000_000))...), fine...),
		one("flac with a picture of 2^32-1 bytes", into(flac, 42, join([]byte{6, 0, 0, 40}, be32(3), be32(1<<32-1), be32(1<<32-1), make([]byte, 28))...), fine...),
		probed("flac of 2^36-1 samples", at(flac, 21, flac[21]|0x0f, 0xff, 0xff, 0xff, 0xff), long...),
		one("ogg of empty pages", join(ogg[:58], bytes.Repeat(emptyPage, m.many(300_000)), ogg[58:]), long...),
		one("ogg at a time of 2^63", at(ogg, bytes.LastIndex(ogg, []byte("OggS"))+6, le64(1<<63-1)...), long...),
		probed("ogg with comments of 1 GiB", at(ogg, comment+7, le32(1<<30)...), fine...),
		one("ogg of 10,000 streams", join(manyStreams(ogg[:58], 10_000), ogg), append(fine, codecs.CodeLimitStreams)...),
		probed("mp3 with a tag of 256 MiB", join(id3(1<<28-1, nil), mp3), fine...),
		one("mp3 with frames in its tag", join(id3(uint32(11*m.many(500_000)), bytes.Repeat([]byte("TXXX\x00\x00\x00\x01\x00\x00\x00"), m.many(500_000))), mp3), fine...),
		one("mp3 with 2,000 tags before it", join(bytes.Repeat(id3(0, nil), 2_000), mp3), fine...),
		probed("aac of frames of nothing", bytes.Repeat(append(bytes.Clone(adts[:4]), 0, 0xff, 0xfc), m.many(200_000)), long...),
		probed("m4a with stts of 1e9 entries", at(m4a, find(m4a, "stts")+8, be32(1_000_000_000)...), codecs.CodeLimitTables),
		one("m4a of 65535 channels", at(m4a, find(m4a, "mp4a")+20, 0xff, 0xff), fine...),
	}
}

// manyStreams repeats an Ogg page that begins a stream, each with a serial number of its own.
func manyStreams(page []byte, n int) (b []byte) {
	for i := range uint32(n) {
		b = append(b, at(page, 14, le32(i+7)...)...)
	}
	return b
}
