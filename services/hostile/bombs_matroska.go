package hostile

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"slices"

	"github.com/millrace/millrace/codecs"
)

// element is one of EBML's, its length in eight bytes.
func element(id uint32, body ...[]byte) []byte {
	b := join(body...)
	name := bytes.TrimLeft(be32(id), "\x00")
	return join(name, be64(uint64(len(b))|1<<56), b)
}

// claiming is an element that says more than it holds.
func claiming(id uint32, size uint64, body ...[]byte) []byte {
	return join(bytes.TrimLeft(be32(id), "\x00"), be64(size|1<<56), join(body...))
}

const (
	idEBML, idDocType, idSegment, idInfo, idTracks, idTrack, idCluster = 0x1a45dfa3, 0x4282, 0x18538067, 0x1549a966, 0x1654ae6b, 0xae, 0x1f43b675
	idNumber, idKind, idCodec, idVideo, idWidth, idHeight, idTime      = 0xd7, 0x83, 0x86, 0xe0, 0xb0, 0xba, 0xe7
	idSimple, idGroup, idBlock, idCues, idCue, idSeeks, idSeek         = 0xa3, 0xa0, 0xa1, 0x1c53bb6b, 0xbb, 0x114d9b74, 0x4dbb
	idEncodings, idEncoding, idCompression, idAlgorithm, idScale       = 0x6d80, 0x6240, 0x5034, 0x4254, 0x2ad7b1
)

func mkv(parts ...[]byte) []byte {
	return join(element(idEBML, element(idDocType, []byte("matroska"))), element(idSegment, element(idInfo, element(idScale, be32(1_000_000))), join(parts...)))
}

// track is one of Motion JPEG.
func track(n byte, width, height uint32, more ...[]byte) []byte {
	return element(idTrack, element(idNumber, []byte{n}), element(0x73c5, []byte{n}), element(idKind, []byte{1}), element(idCodec, []byte("V_MJPEG")),
		element(idVideo, element(idWidth, be32(width)), element(idHeight, be32(height))), join(more...))
}

func simple(track byte, time uint16, flags byte, data []byte) []byte {
	return element(idSimple, []byte{0x80 | track}, be16(time), []byte{flags}, data)
}

// plainJPEG is a picture of one colour.
func plainJPEG(width, height int) []byte {
	m := image.NewGray(image.Rect(0, 0, width, height))
	m.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err) // of a bytes.Buffer
	}
	return b.Bytes()
}

func matroskaBombs(m maker) []Bomb {
	film, webm := m.load("videos/h264_vfr.mkv"), m.load("videos/vp8.webm")
	picture := plainJPEG(64, 48)
	tracks := element(idTracks, track(1, 64, 48))
	var changing, nest []byte
	for i := range 60 {
		changing = append(changing, simple(1, uint16(i*40), 0x80, plainJPEG(64+16*(i%2), 48))...)
	}
	for range 10_000 {
		nest = element(idGroup, nest)
	}
	var all []byte
	for i := range 10_000 {
		all = append(all, track(byte(i), 64, 48)...)
	}
	cluster := func(parts ...[]byte) []byte { return element(idCluster, element(idTime, []byte{0}), join(parts...)) }
	good := cluster(simple(1, 0, 0x80, picture))
	zlib := element(idEncodings, element(idEncoding, element(idCompression, element(idAlgorithm, []byte{0}))))
	cue := element(idCue, element(0xb3, []byte{0}), element(0xb7, element(0xf7, []byte{1}), element(0xf1, []byte{0})))
	seek := func(id uint32) []byte { return element(idSeek, element(0x53ab, be32(id)), element(0x53ac, []byte{0})) }
	damaged := []codecs.Code{codecs.CodeInvalid, codecs.CodeNoFrames, codecs.CodeTruncated, codecs.CodeNoVideo, codecs.CodeTime}
	fine := slices.Concat(damaged, []codecs.Code{""})
	vp8 := find(webm, "\x9d\x01\x2a")
	return []Bomb{
		decoded("matroska whose size changes with each frame", mkv(tracks, cluster(changing)), codecs.CodeLimitChanges),
		probed("matroska of 10,000 tracks", mkv(element(idTracks, all), good), codecs.CodeLimitStreams),
		probed("matroska of 2^31 squared", mkv(element(idTracks, track(1, 1<<31, 1<<31)), good), codecs.CodeLimitPixels, codecs.CodeInvalid),
		probed("matroska of 65535 by 1", mkv(element(idTracks, track(1, 65535, 1)), good), codecs.CodeLimitPixels),
		decoded("matroska of small declared and large coded pictures", mkv(tracks, cluster(simple(1, 0, 0x80, at(picture, jpegFrame(picture)+1, 0xff, 0xdc, 0xff, 0xdc)))), append(damaged, codecs.CodeLimitPixels)...),
		one("matroska of 10,000 nested groups", mkv(tracks, cluster(nest), good), fine...),
		one("matroska with an element of 2^56-2 bytes", mkv(tracks, claiming(0xec, 1<<56-2), good), fine...),
		decoded("matroska with a block of 1 GiB", mkv(tracks, claiming(idCluster, 1<<31, claiming(idSimple, 1<<30, []byte{0x81, 0, 0, 0x80}, picture))), damaged...),
		decoded("matroska with a group of 1 GiB", mkv(tracks, claiming(idCluster, 1<<31, claiming(idGroup, 1<<30, claiming(idBlock, 1<<29, []byte{0x81, 0, 0, 0}, picture)))), damaged...),
		decoded("matroska of lacing that claims more than there is", mkv(tracks, cluster(simple(1, 0, 0x86, join([]byte{255, 0xff, 0xff}, picture)))), damaged...),
		decoded("matroska of 255 frames in each of 400 laces of 1 byte", mkv(tracks, cluster(bytes.Repeat(simple(1, 0, 0x84, append([]byte{255}, make([]byte, 256)...)), 400))), fine...),
		one("matroska of empty clusters", mkv(tracks, bytes.Repeat([]byte{0x1f, 0x43, 0xb6, 0x75, 0x80}, m.many(1_000_000)), good), fine...),
		decoded("matroska whose frame unpacks to 1 GiB", mkv(element(idTracks, track(1, 64, 48, zlib)), cluster(simple(1, 0, 0x80, zeros(1024)))), damaged...),
		decoded("matroska whose private data unpack to 1 GiB", mkv(element(idTracks, track(1, 64, 48, zlib, element(0x63a2, zeros(1024)))), good), fine...),
		one("matroska whose index points at itself", mkv(tracks, element(idSeeks, seek(idSeeks), seek(idCues), seek(idTracks)), element(idCues, cue), good), fine...),
		one("matroska of seek entries", mkv(element(idSeeks, bytes.Repeat(seek(idSeeks), m.many(100_000))), tracks, good), fine...),
		one("matroska of 200,000 cues", mkv(tracks, element(idCues, bytes.Repeat(cue, 200_000)), good), fine...),
		one("matroska of tags", mkv(tracks, element(0x1254c367, bytes.Repeat(element(0x7373, element(0x67c8, element(0x45a3, []byte("a")), element(0x4487, []byte("b")))), m.many(100_000))), good), fine...),
		one("matroska of 20,000 chapters in each other", mkv(tracks, element(0x1043a770, element(0x45b9, nested(0xb6, 20_000))), good), fine...),
		probed("matroska of 20,000 attachments", mkv(tracks, element(0x1941a469, bytes.Repeat(element(0x61a7, element(0x466e, []byte("a")), element(0x4660, []byte("image/png")), element(0x465c, []byte("x"))), 20_000)), good), codecs.CodeLimitStreams),
		one("matroska of ids of 2^32-1", join(film[:len(film)/2], bytes.Repeat([]byte{0x1f, 0xff, 0xff, 0xff, 0x80}, 200_000)), fine...),
		one("matroska of text of 2^28 bytes", mkv(tracks, claiming(0x1254c367, 1<<29, claiming(0x7373, 1<<28, claiming(0x67c8, 1<<28, claiming(0x4487, 1<<27)))), good), fine...),
		probed("matroska of a time scale of 2^63", mkv(element(idInfo, element(idScale, be64(1<<63-1))), tracks, good), append(fine, codecs.CodeLimitDuration)...),
		one("webm of VP8 pictures of 16383 squared", at(webm, vp8+3, 0xff, 0x3f, 0xff, 0x3f), append(fine, codecs.CodeLimitPixels)...),
		probed("EBML header of 2^56-2 bytes", claiming(idEBML, 1<<56-2, element(idDocType, []byte("webm"))), damaged...),
	}
}

func nested(id uint32, times int) (b []byte) {
	for range times {
		b = element(id, b)
	}
	return b
}
