package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// box is one of ISO 14496-12's.
func box(name string, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	return bytes.Join([][]byte{number(uint32(8 + len(b))), []byte(name), b}, nil)
}

func number(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// large is a box whose size is written in 64 bits.
func large(name string, size uint64, body []byte) []byte {
	return bytes.Join([][]byte{number(1), []byte(name), binary.BigEndian.AppendUint64(nil, size), body}, nil)
}

// A table is held to its whole body, its head of eight bytes included: an entry too many
// costs nothing, a billion do.
func TestCheckTables(t *testing.T) {
	inTrack := func(table []byte) []byte {
		return box("moov", box("trak", box("mdia", box("minf", box("stbl", table)))))
	}
	inFragment := func(table []byte) []byte { return box("moof", box("traf", table)) }
	room := func(n int) []byte { return make([]byte, n) }
	for _, c := range []struct {
		name    string
		data    []byte
		refused bool
	}{
		{"no bytes", nil, false},
		{"no box", []byte("no box at all"), false},
		{"stts full", inTrack(box("stts", number(0), number(3), room(24))), false},
		{"stts over", inTrack(box("stts", number(0), number(5), room(24))), true},
		{"ctts over", inTrack(box("ctts", number(0), number(5), room(24))), true},
		{"co64 over", inTrack(box("co64", number(0), number(5), room(24))), true},
		{"stco full", inTrack(box("stco", number(0), number(6), room(24))), false},
		{"stco of 1e9", inTrack(box("stco", number(0), number(1e9), room(24))), true},
		{"stss of 1e9", inTrack(box("stss", number(0), number(1e9), room(24))), true},
		{"stsc of 1e9", inTrack(box("stsc", number(0), number(1e9), room(24))), true},
		{"stsd of 1e9", inTrack(box("stsd", number(0), number(1e9), room(24))), true},
		{"stsz of 1e9 sizes", inTrack(box("stsz", number(0), number(0), number(1e9), room(24))), true},
		{"stsz of one size", inTrack(box("stsz", number(0), number(2), number(1e9))), false},
		{"elst of 1e9", box("moov", box("trak", box("edts", box("elst", number(0), number(1e9), room(12))))), true},
		{"elst of 100,001 with room", box("moov", box("trak", box("edts", box("elst", number(0), number(maxEdits+1), room(12*(maxEdits+1)))))), true},
		{"dref of 1e9", box("moov", box("trak", box("mdia", box("minf", box("dinf", box("dref", number(0), number(1e9), room(12))))))), true},
		{"trun with two fields full", inFragment(box("trun", number(0x0300), number(3), room(24))), false},
		{"trun with two fields over", inFragment(box("trun", number(0x0300), number(5), room(24))), true},
		{"trun of fieldless 1e6", inFragment(box("trun", number(0), number(1e6))), false},
		{"trun of fieldless 1e9", inFragment(box("trun", number(0), number(1e9))), true},
		{"tfra of 1e9", box("mfra", box("tfra", number(0), number(1), number(0), number(1e9))), true},
		{"a table that is not on the way", box("udta", box("stts", number(0), number(1e9))), false},
		{"a table behind other boxes", bytes.Join([][]byte{box("ftyp", room(8)), box("mdat", room(99)), inTrack(box("stts", number(0), number(9)))}, nil), true},
		{"a table in a box of 64 bits", large("moov", 16+8+16, box("trak", box("stts", number(0), number(9)))), true},
		{"a box of 2^64-1", large("moov", 1<<64-1, box("stts", number(0), number(9))), false},
		{"a box that goes back", append(number(7), "moov\x00\x00\x00\x00"...), false},
		{"a file cut within its table", inTrack(box("stts", number(0), number(3), room(24)))[:60], false},
	} {
		err := CheckTables(bytes.NewReader(c.data))
		if !c.refused {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeLimitTables || e.Stage != codecs.StageProbe {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A clock without ticks is refused where it is that of pictures or sound.
func TestCheckClocks(t *testing.T) {
	hdlr := func(kind string) []byte { return box("hdlr", make([]byte, 8), []byte(kind), make([]byte, 13)) }
	old := func(ticks uint32) []byte {
		return box("mdhd", number(0), number(0), number(0), number(ticks), make([]byte, 8))
	}
	wide := func(ticks uint32) []byte {
		return box("mdhd", number(1<<24), make([]byte, 16), number(ticks), make([]byte, 12))
	}
	for _, c := range []struct {
		name    string
		mdia    []byte
		refused bool
	}{
		{"ticks", box("mdia", old(600), hdlr("vide")), false},
		{"no ticks", box("mdia", old(0), hdlr("vide")), true},
		{"no ticks of sound", box("mdia", old(0), hdlr("soun")), true},
		{"no ticks of chapters", box("mdia", old(0), hdlr("text")), false},
		{"less than none", box("mdia", old(1<<31), hdlr("vide")), true},
		{"64 bits", box("mdia", wide(600), hdlr("vide")), false},
		{"64 bits, no ticks", box("mdia", wide(0), hdlr("vide")), true},
		{"cut", box("mdia", box("mdhd", number(0), number(0)), hdlr("vide")), false},
	} {
		other := box("trak", box("mdia", old(0), hdlr("meta")))
		good := box("trak", box("mdia", old(600), hdlr("vide")))
		err := CheckTables(bytes.NewReader(box("moov", other, good, box("trak", c.mdia))))
		if e := codecs.AsError(err); c.refused != (e != nil && e.Code == codecs.CodeTime) || !c.refused && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// No valid file is refused.
func TestCheckTablesPasses(t *testing.T) {
	for name, data := range isoFiles(t) {
		if err := CheckTables(bytes.NewReader(data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isoFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, pattern := range []string{"videos/*.mp4", "videos/*.mov", "audio/*.m4a"} {
		names, err := filepath.Glob(filepath.Join("../../../testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(name)] = b
		}
	}
	if len(files) < 20 {
		t.Fatalf("there are only %d files", len(files))
	}
	return files
}

// reading is a source that counts how much is asked of it.
type reading struct {
	*bytes.Reader
	reads int
}

func (r *reading) ReadAt(p []byte, at int64) (int, error) {
	r.reads++
	return r.Reader.ReadAt(p, at)
}

// Whatever the bytes are, the walk ends after as many reads as there can be boxes, and an
// error is a refusal.
func FuzzCheckTables(f *testing.F) {
	for _, data := range isoFiles(f) {
		if len(data) < 16<<10 {
			f.Add(data)
		}
	}
	f.Add(large("moov", 1<<64-1, box("stts", number(0), number(9))))
	f.Fuzz(func(t *testing.T, data []byte) {
		src := &reading{Reader: bytes.NewReader(data)}
		err := CheckTables(src)
		if e := codecs.AsError(err); err != nil && (e == nil || e.Code != codecs.CodeLimitTables && e.Code != codecs.CodeTime) {
			t.Errorf("%v", err)
		}
		if most := 3 * (len(data)/8 + 1); src.reads > most {
			t.Errorf("%d reads of %d bytes", src.reads, len(data))
		}
	})
}
