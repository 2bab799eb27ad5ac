package hostile

import (
	"bytes"
	"fmt"

	"github.com/millrace/millrace/codecs"
)

func box(name string, body ...[]byte) []byte {
	b := join(body...)
	return join(be32(uint32(8+len(b))), []byte(name), b)
}

// grow puts bytes into a medium of boxes, and makes the named boxes that many longer.
func grow(data []byte, offset int, b []byte, within ...string) []byte {
	out := into(data, offset, b...)
	for _, name := range within {
		i := find(out, name) - 4
		out = at(out, i, be32(uint32(int(out[i])<<24|int(out[i+1])<<16|int(out[i+2])<<8|int(out[i+3]))+uint32(len(b)))...)
	}
	return out
}

func isoBombs(m maker) []Bomb {
	film, edited := m.load("videos/h264_bframes.mp4"), m.load("videos/h264_edit.mp4")
	const many = 1_000_000_000
	// A table's count stands behind its version and flags; stsz has a size before it.
	count := func(data []byte, table string, skip int) []byte {
		return at(data, find(data, table)+8+skip, be32(many)...)
	}
	damaged := []codecs.Code{codecs.CodeInvalid, codecs.CodeNoFrames, codecs.CodeTruncated, codecs.CodeNoVideo, codecs.CodeNoAudio, codecs.CodeLimitTables}
	table := func(name string, skip int) Bomb {
		return probed(fmt.Sprintf("mp4 with %s of 1e9 entries", name), count(film, name, skip), codecs.CodeLimitTables)
	}
	l := []Bomb{table("stts", 0), table("stsz", 4), table("stco", 0), table("ctts", 0), table("stsc", 0), table("stss", 0), table("stsd", 0), table("dref", 0),
		probed("mp4 with elst of 1e9 entries", count(edited, "elst", 0), codecs.CodeLimitTables),
		decoded("mp4 of 1e9 samples of one byte", at(film, find(film, "stsz")+8, join(be32(1), be32(many))...), codecs.CodeLimitFrames, codecs.CodeLimitTables, codecs.CodeNoFrames),
		probed("mp4 of 1e9 samples of no byte but one entry", at(film, find(film, "stts")+8, join(be32(1), be32(many), be32(1))...), append(damaged, codecs.CodeLimitFrames, codecs.CodeLimitFPS)...),
	}
	trak, mdhd, tkhd := find(film, "trak")-4, find(film, "mdhd"), find(film, "tkhd")
	oneTrak := film[trak : trak+int(film[trak+1])<<16+int(film[trak+2])<<8+int(film[trak+3])]
	nest := []byte{}
	for range 10_000 {
		nest = box("udta", nest)
	}
	edits := join(be32(0), be32(200_000), bytes.Repeat(join(be32(1), be32(0), be16(1), be16(0)), 200_000))
	return append(l,
		probed("mp4 of thousands of tracks", grow(film, trak, bytes.Repeat(oneTrak, m.many(10_000)), "moov"), codecs.CodeLimitStreams),
		probed("mp4 of 10,000 nested boxes", grow(film, find(film, "moov")+4, nest, "moov"), append(damaged, "", codecs.CodeLimitTables)...),
		one("mp4 of empty boxes", grow(film, find(film, "moov")+4, bytes.Repeat(box("free"), m.many(1_000_000)), "moov"), append(damaged, "", codecs.CodeLimitTables)...),
		decoded("mp4 with a box of 2^63 bytes", into(at(film, find(film, "moov")-4, be32(1)...), find(film, "moov")+4, be64(1<<63)...), damaged...),
		probed("mp4 with a box of 2^64-1 bytes", into(at(film, find(film, "trak")-4, be32(1)...), find(film, "trak")+4, be64(1<<64-1)...), damaged...),
		one("mp4 with a box of no bytes in a box", at(film, find(film, "mdia")-4, be32(0)...), append(damaged, "")...),
		probed("mp4 with a box that goes back", at(film, find(film, "minf")-4, be32(7)...), append(damaged, codecs.CodeFormatDenied)...),
		probed("mp4 whose media are all one box", at(film, find(film, "mdat")-4, be32(1<<31)...), damaged...),
		probed("mp4 of a million frames a second", at(film, mdhd+16, be32(1<<31-1)...), codecs.CodeLimitFPS),
		one("mp4 of a time base of nothing", at(film, mdhd+16, be32(0)...), append(damaged, "", codecs.CodeTime, codecs.CodeLimitDuration)...),
		probed("mp4 that lasts a day", at(at(film, mdhd+16, be32(1)...), find(film, "edts"), []byte("free")...), codecs.CodeLimitDuration),
		probed("mp4 of 65535 squared", at(film, find(film, "avc1")+28, 0xff, 0xff, 0xff, 0xff), codecs.CodeLimitPixels),
		probed("mp4 with 200,000 edits", edited200k(edited, edits), append(damaged, "", codecs.CodeLimitTables, codecs.CodeTime)...),
		one("mp4 with a matrix of 2^31", at(film, tkhd+44, bytes.Repeat([]byte{0x7f, 0xff, 0xff, 0xff}, 9)...), ""),
		one("mp4 whose aspect is 2^32-1 to 1", withAspect(film, 1<<32-1, 1), "", codecs.CodeLimitPixels),
		one("mp4 whose tags are 256 MiB", grow(film, find(film, "moov")+4, box("udta", box("meta", be32(0), be32(1<<28), []byte("ilst"))), "moov"), append(damaged, "")...),
		probed("mp4 of chapters that are its own track", grow(film, tkhd-4, box("tref", box("chap", be32(1))), "moov", "trak"), append(damaged, "")...),
		probed("mp4 of 100,000 keys", grow(film, find(film, "moov")+4, box("meta", box("hdlr", make([]byte, 4), make([]byte, 4), []byte("mdta"), make([]byte, 13)), box("keys", be32(0), be32(100_000))), "moov"), append(damaged, "", codecs.CodeLimitTables)...),
	)
}

// edited200k puts another edit list in the place of a medium's own.
func edited200k(data, edits []byte) []byte {
	i := find(data, "elst") - 4
	old := int(data[i+2])<<8 + int(data[i+3])
	return grow(append(bytes.Clone(data[:i]), data[i+old:]...), i, box("elst", edits), "edts", "trak", "moov")
}

// withAspect adds a shape of pixels to the track's description.
func withAspect(data []byte, h, v uint32) []byte {
	return grow(data, find(data, "avcC")-4, box("pasp", be32(h), be32(v)), "avc1", "stsd", "stbl", "minf", "mdia", "trak", "moov")
}

// codeStall is of package pipeline, which this one does not know.
const codeStall codecs.Code = "limit.stall"

func fragmentBombs(m maker) []Bomb {
	film, protected := m.load("videos/h264_fragments.mp4"), m.load("videos/h264_cenc.mp4")
	const many = 1_000_000_000
	trun, moof := find(film, "trun"), find(film, "moof")-4
	oneMoof := film[moof : moof+int(film[moof+2])<<8+int(film[moof+3])]
	damaged := []codecs.Code{codecs.CodeInvalid, codecs.CodeNoFrames, codecs.CodeTruncated, codecs.CodeNoVideo, codecs.CodeLimitTables, codecs.CodeTime}
	same := decoded("fragments of the same time", into(film, moof, bytes.Repeat(oneMoof, m.many(20_000))...), codeStall)
	if !m.full {
		same.Limits = "max_frame_bytes: 4_194_304"
	}
	return []Bomb{
		probed("fragment of 1e9 samples", at(film, trun+8, be32(many)...), append(damaged, codecs.CodeLimitFrames)...),
		probed("fragment of 1e9 samples without an entry", at(film, trun+4, join(be32(0), be32(many))...), append(damaged, codecs.CodeLimitFrames)...),
		same,
		probed("fragment of a track of 2^32-1", at(film, find(film, "tfhd")+8, be32(1<<32-1)...), append(damaged, "")...),
		probed("fragment at a time of 2^63", at(film, find(film, "tfdt")+8, be64(1<<63-1)...), append(damaged, "", codecs.CodeLimitDuration)...),
		probed("index of segments of 1e9 entries", into(film, moof, box("sidx", be32(0), be32(1), be32(1000), be64(0), be16(0), be16(65535))...), append(damaged, "")...),
		probed("index of fragments of 1e9 entries", join(film, box("mfra", box("tfra", be32(0), be32(1), be32(0), be32(many)), box("mfro", be32(0), be32(48)))), append(damaged, "")...),
		probed("protection of 1e9 samples", grow(protected, find(protected, "stsd")-4, box("senc", be32(2), be32(many)), "stbl", "minf", "mdia", "trak", "moov"), append(damaged, codecs.CodeEncrypted)...),
		probed("protection header of 1e9 keys", grow(protected, find(protected, "moov")+4, box("pssh", be32(1<<24), make([]byte, 16), be32(many)), "moov"), append(damaged, codecs.CodeEncrypted)...),
	}
}
