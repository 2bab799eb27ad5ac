package hostile

import (
	"bytes"

	"github.com/millrace/millrace/codecs"
)

func pngBombs(m maker) []Bomb {
	whole, few := m.load("images/golden/rgba_128x96.png"), zeros(1)
	actl := func(frames uint32) []byte { return pngChunk("acTL", join(be32(frames), be32(0))) }
	fctl := func(seq, width, height uint32) []byte {
		return pngChunk("fcTL", join(be32(seq), be32(width), be32(height), be32(0), be32(0), be16(1), be16(100), []byte{0, 0}))
	}
	frames := [][]byte{actl(100_000)}
	for i := range uint32(20_000) {
		frames = append(frames, fctl(i, 64, 64))
	}
	claimed := func(name string) []byte { return into(whole, 33, append(be32(1<<30), name...)...) }
	text := func(name string) []byte {
		return into(whole, 33, pngChunk(name, join([]byte("a\x00\x00"), zeros(1024)))...)
	}
	return []Bomb{
		probed("png of 65535 squared, of zeros", png(65535, 65535, 8, 2, 0, few), codecs.CodeLimitPixels),
		probed("png of 2^31-1 squared", png(1<<31-1, 1<<31-1, 16, 6, 0, few), codecs.CodeLimitPixels),
		probed("png of 2^32-1 squared", png(1<<32-1, 1<<32-1, 8, 2, 0, few), codecs.CodeInvalid),
		probed("png a pixel high and 2^31-1 wide", png(1<<31-1, 1, 1, 0, 0, few), codecs.CodeLimitPixels),
		decoded("png of 64 megapixels and few bytes", png(8000, 8000, 16, 6, 0, few), codecs.CodeTruncated, codecs.CodeInvalid),
		decoded("png of 64 megapixels, interlaced, and few bytes", png(8000, 8000, 16, 6, 1, few), codecs.CodeTruncated, codecs.CodeInvalid),
		one("png of as many pixels as may be, which are there", png(m.side(8000), m.side(8000), 8, 2, 0, zeros(int(3*m.side(8000)*m.side(8000)>>20)+2)), "", codecs.CodeInvalid),
		one("png of one pixel with 1 GiB for it", png(1, 1, 8, 2, 0, zeros(1024)), "", codecs.CodeInvalid),
		probed("png with 1 GiB of text claimed", claimed("zTXt"), codecs.CodeLimitMetadata),
		probed("png with a profile of 1 GiB claimed", claimed("iCCP"), codecs.CodeLimitMetadata),
		probed("png with EXIF of 1 GiB claimed", claimed("eXIf"), codecs.CodeLimitMetadata),
		probed("png with pixels of 1 GiB claimed", claimed("IDAT"), codecs.CodeInvalid),
		one("png with 1 GiB of text in 1 MiB", text("zTXt"), ""),
		one("png with a profile of 1 GiB in 1 MiB", text("iCCP"), ""),
		probed("png of 400,000 empty chunks", into(whole, 33, bytes.Repeat(pngChunk("teXt", nil), 400_000)...), codecs.CodeLimitMetadata),
		probed("png of 400,000 empty pixel chunks", into(whole, 33, bytes.Repeat(pngChunk("IDAT", nil), 400_000)...), codecs.CodeLimitMetadata, codecs.CodeInvalid),
		one("apng of 100,000 frames", png(64, 64, 8, 2, 0, few, frames...), "", codecs.CodeLimitFrames, codecs.CodeLimitMetadata, codecs.CodeInvalid),
		one("apng with a frame of 2^31-1 squared", png(64, 64, 8, 2, 0, few, actl(2), fctl(0, 1<<31-1, 1<<31-1)), "", codecs.CodeLimitPixels, codecs.CodeInvalid),
		probed("png of a palette's index out of range", png(64, 64, 8, 3, 0, few, pngChunk("PLTE", nil)), codecs.CodeInvalid),
	}
}

// gif is one of a claimed screen and frames of a claimed size.
func gif(screen, frame uint16, frames int, pixels []byte) []byte {
	b := join([]byte("GIF89a"), le16(screen), le16(screen), []byte{0x80, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff})
	image := join([]byte{'!', 0xf9, 4, 0, 0, 0, 0, 0, ',', 0, 0, 0, 0}, le16(frame), le16(frame), []byte{0, 2}, pixels, []byte{0})
	return join(b, bytes.Repeat(image, frames), []byte{';'})
}

func gifBombs(m maker) []Bomb {
	pixel := []byte{2, 0x44, 0x01} // clear, 0, end
	garbage := bytes.Repeat(append([]byte{255}, bytes.Repeat([]byte{0xb7}, 255)...), 2000)
	return []Bomb{
		probed("gif of 65535 squared", gif(65535, 1, 1, pixel), codecs.CodeLimitPixels),
		probed("gif of 65535 squared, many times", gif(65535, 65535, 5000, pixel), codecs.CodeLimitPixels),
		probed("gif with a frame of 65535 squared on a small screen", gif(8, 65535, 1, pixel), codecs.CodeLimitPixels),
		probed("gif of 10,000 frames without delay", gif(1, 1, 10_000, pixel), codecs.CodeLimitFrames),
		probed("gif of 200 frames of 16 megapixels", gif(4000, 1, 200, pixel), codecs.CodeLimitPixels),
		decoded("gif of LZW garbage", gif(4000, 4000, 1, garbage), codecs.CodeInvalid, codecs.CodeTruncated),
		one("gif of pixels that never end", gif(1, 1, 1, bytes.Repeat(append([]byte{255}, make([]byte, 255)...), 20_000)), "", codecs.CodeInvalid, codecs.CodeLimitMetadata),
		probed("gif of 8 MiB of comments", into(m.load("images/odd/g_disposal2.gif"), 13, bytes.Repeat(append([]byte{'!', 0xfe, 255}, append(make([]byte, 255), 0)...), 33_000)...),
			codecs.CodeInvalid, codecs.CodeLimitMetadata),
		probed("gif of 500,000 empty blocks", join([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00"), bytes.Repeat([]byte{'!', 0xfe, 0}, 500_000), []byte{';'}), codecs.CodeNoFrames, codecs.CodeLimitMetadata),
	}
}

// jpegFrame finds a JPEG's frame header: the offset of its precision.
func jpegFrame(data []byte) int {
	for i := 2; i+4 < len(data); {
		if m := data[i+1]; m == 0xc0 || m == 0xc2 {
			return i + 4
		}
		i += 2 + int(data[i+2])<<8 + int(data[i+3])
	}
	panic("the medium has no frame header")
}

// scans repeats a progressive JPEG's last scan.
func scans(data []byte, times int) []byte {
	from := bytes.LastIndex(data, []byte("\xff\xda"))
	return join(data[:from], bytes.Repeat(data[from:len(data)-2], times), []byte{0xff, 0xd9})
}

func jpegBombs(m maker) []Bomb {
	plain, progressive := m.load("images/golden/baseline420_320x240.jpg"), m.load("images/golden/progressive420_317x239.jpg")
	sof, psof := jpegFrame(plain), jpegFrame(progressive)
	side := be16(uint16(m.side(8000)))
	large := at(progressive, psof+1, append(side, side...)...)
	app := func(marker byte) []byte { return append([]byte{0xff, marker, 0xff, 0xff}, make([]byte, 65533)...) }
	return []Bomb{
		probed("jpeg of 65500 squared", at(plain, sof+1, 0xff, 0xdc, 0xff, 0xdc), codecs.CodeLimitPixels),
		decoded("jpeg of 64 megapixels and few bytes", at(plain, sof+1, 0x1f, 0x40, 0x1f, 0x40), codecs.CodeTruncated, codecs.CodeInvalid),
		decoded("jpeg of 100,000 scans", scans(progressive, 100_000), codecs.CodeLimitFrames, codecs.CodeInvalid),
		decoded("jpeg of nearly as many scans as may be, all large", scans(large, 450), codecs.CodeLimitFrames, codecs.CodeTruncated, codecs.CodeInvalid),
		probed("jpeg whose height comes later", join(at(plain, sof+1, 0, 0)[:len(plain)-2], []byte{0xff, 0xdc, 0, 4, 0xff, 0xdc, 0xff, 0xd9}), codecs.CodeInvalid, codecs.CodeUnsupported),
		probed("jpeg of 8 MiB of application data", into(plain, 2, bytes.Repeat(app(0xe5), 128)...), codecs.CodeLimitMetadata),
		probed("jpeg with a profile of 16 MiB", into(plain, 2, bytes.Repeat(app(0xe2), 255)...), codecs.CodeLimitMetadata),
		probed("jpeg of 8 MiB of comments", into(plain, 2, bytes.Repeat(app(0xfe), 128)...), codecs.CodeLimitMetadata),
		one("jpeg of 3 million fill bytes", into(plain, 2, bytes.Repeat([]byte{0xff}, 3_000_000)...), "", codecs.CodeLimitMetadata, codecs.CodeInvalid),
		decoded("jpeg of 16 by 16 blocks to a unit", at(plain, sof+7, 0x44), "", codecs.CodeInvalid, codecs.CodeUnsupported, codecs.CodeTruncated),
		probed("jpeg of 255 components", at(plain, sof+5, 255), codecs.CodeInvalid, codecs.CodeUnsupported),
	}
}

func riff(kind string, chunks ...[]byte) []byte {
	body := join([]byte(kind), join(chunks...))
	return join([]byte("RIFF"), le32(uint32(len(body))), body)
}

func riffChunk(name string, body []byte) []byte {
	return join([]byte(name), le32(uint32(len(body))), body, make([]byte, len(body)%2))
}

func webpBombs(m maker) []Bomb {
	lossy, lossless, animated := m.load("images/odd/w_lossy.webp"), m.load("images/odd/w_lossless.webp"), m.load("images/odd/w_anim_alpha.webp")
	vp8 := lossy[find(lossy, "VP8 "):]
	canvas := func(flags byte, side uint32) []byte {
		return riffChunk("VP8X", join([]byte{flags, 0, 0, 0}, le32(side - 1)[:3], le32(side - 1)[:3]))
	}
	anmf := func(side uint32) []byte {
		return riffChunk("ANMF", join(make([]byte, 6), le32(side - 1)[:3], le32(side - 1)[:3], []byte{0, 0, 0, 0}, vp8))
	}
	anim := riffChunk("ANIM", make([]byte, 6))
	return []Bomb{
		probed("webp canvas of 2^24 squared", riff("WEBP", canvas(0, 1<<24), vp8), codecs.CodeLimitPixels, codecs.CodeInvalid),
		probed("webp animation on 16384 squared", riff("WEBP", canvas(2, 16384), anim, anmf(16)), codecs.CodeLimitPixels),
		probed("webp whose picture is not its canvas", riff("WEBP", canvas(0, 4000), vp8), codecs.CodeInvalid),
		one("webp animation whose picture is not its frame", riff("WEBP", canvas(2, 4000), anim, anmf(4000)), "", codecs.CodeInvalid, codecs.CodeTruncated),
		probed("webp animation of 10,000 frames", riff("WEBP", canvas(2, 16), anim, bytes.Repeat(anmf(16), 10_000)), codecs.CodeLimitFrames),
		probed("webp animation of 200 frames of 16 megapixels", riff("WEBP", canvas(2, 4000), anim, bytes.Repeat(anmf(4000), 200)), codecs.CodeLimitPixels),
		probed("webp with a profile of 8 MiB", riff("WEBP", canvas(0x20, 16), riffChunk("ICCP", make([]byte, 8<<20)), vp8), codecs.CodeLimitMetadata),
		probed("webp of 300,000 empty chunks", riff("WEBP", canvas(0, 16), bytes.Repeat(riffChunk("none", nil), 300_000), vp8), codecs.CodeLimitMetadata, codecs.CodeInvalid),
		probed("webp that says 4 GiB", at(lossy, 4, 0xff, 0xff, 0xff, 0xff), codecs.CodeTruncated, codecs.CodeInvalid),
		decoded("webp lossless of Huffman garbage", at(lossless, 25, bytes.Repeat([]byte{0xff}, 200)...), codecs.CodeInvalid, codecs.CodeTruncated),
		probed("webp lossless of 16383 squared", at(lossless, find(lossless, "VP8L")+9, 0xff, 0xff, 0xff, 0x0f), codecs.CodeLimitPixels),
		probed("webp animation cut in a frame", animated[:len(animated)/2], codecs.CodeTruncated, codecs.CodeInvalid),
	}
}

// tiff is one of entries (tag, type, count, value), little-endian.
func tiff(next uint32, entries ...[4]uint32) []byte {
	b := join([]byte("II*\x00"), le32(8), le16(uint16(len(entries))))
	for _, e := range entries {
		b = join(b, le16(uint16(e[0])), le16(uint16(e[1])), le32(e[2]), le32(e[3]))
	}
	return join(b, le32(next), make([]byte, 64))
}

func bmp(width, height uint32, bits uint16) []byte {
	return join([]byte("BM"), le32(0), le32(0), le32(54), le32(40), le32(width), le32(height), le16(1), le16(bits), make([]byte, 24), make([]byte, 64))
}

// plainBombs are of formats that are off by default and switched on here.
func plainBombs(maker) []Bomb {
	size := func(w, h uint32, more ...[4]uint32) [][4]uint32 {
		return append([][4]uint32{{256, 4, 1, w}, {257, 4, 1, h}, {258, 3, 1, 8}, {259, 3, 1, 1}, {262, 3, 1, 1}}, more...)
	}
	strip := [][4]uint32{{273, 4, 1, 8}, {277, 3, 1, 1}, {278, 4, 1, 1}, {279, 4, 1, 64}}
	refused := []codecs.Code{codecs.CodeInvalid, codecs.CodeTruncated, codecs.CodeUnsupported, codecs.CodeLimitPixels, codecs.CodeLimitMetadata}
	return []Bomb{
		probed("tiff of 2^32-1 squared", tiff(0, size(1<<32-1, 1<<32-1, strip...)...), refused...),
		one("tiff whose directory is its own next", tiff(8, size(8, 1, strip...)...), append(refused, "")...),
		decoded("tiff of tiles of 4 GiB", tiff(0, size(64, 64, [4]uint32{277, 3, 1, 1}, [4]uint32{322, 4, 1, 65536}, [4]uint32{323, 4, 1, 65536}, [4]uint32{324, 4, 1, 8}, [4]uint32{325, 4, 1, 64})...), refused...),
		decoded("tiff of strips of 4 GiB", tiff(0, size(64, 64, [4]uint32{273, 4, 1, 8}, [4]uint32{277, 3, 1, 1}, [4]uint32{278, 4, 1, 1<<32 - 1}, [4]uint32{279, 4, 1, 1<<32 - 1})...), refused...),
		decoded("tiff with a table of 2^30 entries", tiff(0, size(64, 64, [4]uint32{273, 4, 1 << 30, 8}, [4]uint32{279, 4, 1 << 30, 8})...), refused...),
		one("tiff of a palette's index out of range", tiff(0, append(size(8, 1, strip...), [4]uint32{320, 3, 3, 8})...), append(refused, "")...),
		probed("bmp of height -2^31", bmp(16, 1<<31, 24), refused...),
		probed("bmp of 2^31-1 squared", bmp(1<<31-1, 1<<31-1, 32), refused...),
		decoded("bmp of 64 megapixels and few bytes", bmp(8000, 8000, 32), refused...),
	}
}

func avifBombs(m maker) []Bomb {
	whole := m.load("images/odd/a_420.avif")
	ispe, iloc, ipma := find(whole, "ispe"), find(whole, "iloc"), find(whole, "ipma")
	av01 := bytes.LastIndex(whole[:bytes.Index(whole, []byte("mdat"))], []byte("av01"))
	refused := []codecs.Code{codecs.CodeInvalid, codecs.CodeTruncated, codecs.CodeUnsupported, codecs.CodeLimitMetadata}
	return []Bomb{
		probed("avif of 65535 squared", at(whole, ispe+8, join(be32(65535), be32(65535))...), codecs.CodeLimitPixels),
		probed("avif of 2^32-1 squared", at(whole, ispe+8, join(be32(1<<32-1), be32(1<<32-1))...), codecs.CodeLimitPixels, codecs.CodeInvalid),
		decoded("avif larger than its bitstream", at(whole, ispe+8, join(be32(8000), be32(8000))...), refused...),
		probed("avif of a grid", at(whole, av01, []byte("grid")...), refused...),
		probed("avif of 65535 extents", at(whole, iloc+10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), refused...),
		probed("avif of 2^32-1 associations", at(whole, ipma+8, be32(1<<32-1)...), refused...),
		probed("avif whose box has 2^63 bytes", into(at(whole, find(whole, "meta")-4, be32(1)...), find(whole, "meta")+4, be64(1<<63)...), append(refused, codecs.CodeFormatDenied)...),
	}
}
