package hostile

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/millrace/millrace/codecs"
)

// Bomb is a small medium that claims or makes much more than it is.
type Bomb struct {
	Name string
	// Codes are how it may end; "" stands for samples. There is more than one where the
	// versions of a library differ.
	Codes []codecs.Code
	// Stage is where it is refused; "" where that is not always the same, or it gives
	// samples.
	Stage codecs.Stage
	// Limits are lines for the recipe's limits, where those that hold take a bomb of full
	// size.
	Limits string
	Data   []byte
}

// Bombs are all of them. load gives a file of testdata by its name. Unless they are to be
// full, those that cost time instead of a limit have a tenth of it.
func Bombs(load func(name string) []byte, full bool) []Bomb {
	m := maker{load, full}
	var l []Bomb
	for _, some := range [][]Bomb{pngBombs(m), gifBombs(m), jpegBombs(m), webpBombs(m), plainBombs(m), avifBombs(m),
		isoBombs(m), fragmentBombs(m), matroskaBombs(m), soundBombs(m)} {
		l = append(l, some...)
	}
	return l
}

// maker is what bombs are made from.
type maker struct {
	load func(name string) []byte
	full bool
}

// many is a count of what is many.
func (m maker) many(n int) int {
	if m.full {
		return n
	}
	return n / 10
}

// side is one of a large picture.
func (m maker) side(n uint32) uint32 {
	if m.full {
		return n
	}
	return n / 4
}

// one is a bomb that can end in the ways named.
func one(name string, data []byte, codes ...codecs.Code) Bomb {
	return Bomb{Name: name, Codes: codes, Data: data}
}

// probed is a bomb that is refused before anything is decoded.
func probed(name string, data []byte, codes ...codecs.Code) Bomb {
	return Bomb{Name: name, Codes: codes, Stage: codecs.StageProbe, Data: data}
}

// decoded is a bomb that is refused while it is decoded.
func decoded(name string, data []byte, codes ...codecs.Code) Bomb {
	return Bomb{Name: name, Codes: codes, Stage: codecs.StageDecode, Data: data}
}

// at returns data with b written at an offset.
func at(data []byte, offset int, b ...byte) []byte {
	out := bytes.Clone(data)
	copy(out[offset:], b)
	return out
}

// into returns data with b put in at an offset.
func into(data []byte, offset int, b ...byte) []byte {
	out := make([]byte, 0, len(data)+len(b))
	return append(append(append(out, data[:offset]...), b...), data[offset:]...)
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
func le16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func le32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func le64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// find is where a name stands in a medium that has it; the brands of an ISO file, which
// are named as boxes are, do not count.
func find(data []byte, name string) int {
	from := 0
	if string(data[4:8]) == "ftyp" {
		from = int(data[3])
	}
	i := bytes.Index(data[from:], []byte(name))
	if i < 0 {
		panic(fmt.Sprintf("the medium has no %q", name))
	}
	return from + i
}

// zeros is a zlib stream of n MiB of zeros, a thousandth as long. Its checksum is wrong:
// who reads as far has read it all.
func zeros(n int) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	mib := make([]byte, 1<<20)
	var ends []int
	for range 2 {
		_, err := w.Write(mib)
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			panic(err) // of a bytes.Buffer
		}
		ends = append(ends, b.Len())
	}
	first, again := b.Bytes()[:ends[0]], b.Bytes()[ends[0]:ends[1]]
	return join(first, bytes.Repeat(again, n-1), []byte{1, 0, 0, 0xff, 0xff, 0, 0, 0, 0})
}

func pngChunk(name string, body []byte) []byte {
	named := append([]byte(name), body...)
	return join(be32(uint32(len(body))), named, be32(crc32.ChecksumIEEE(named)))
}

// png is a picture of a claimed size, with a zlib stream for pixels.
func png(width, height uint32, depth, colour, interlace byte, pixels []byte, before ...[]byte) []byte {
	ihdr := join(be32(width), be32(height), []byte{depth, colour, 0, 0, interlace})
	return join([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", ihdr), join(before...), pngChunk("IDAT", pixels), pngChunk("IEND", nil))
}
