package ffmpeg

import (
	"encoding/binary"
	"math/bits"

	"github.com/millrace/millrace/codecs"
)

const (
	// maxAlike is how many samples a fragment's run may have that take no bytes in it.
	maxAlike = 1 << 20
	// maxEdits is far over what people cut.
	maxEdits = 100_000
	// maxTableBoxes ends the walk: it is more than six hours of short fragments have.
	maxTableBoxes = 500_000
	maxBoxDepth   = 16
)

// nests are the boxes on the way to tables.
var nests = map[string]bool{"moov": true, "trak": true, "mdia": true, "minf": true, "stbl": true, "edts": true, "dinf": true, "moof": true, "traf": true, "mfra": true}

// CheckTables refuses an ISO file (MP4, QuickTime) in which a table claims more entries
// than its box has bytes for: a demuxer makes room for what is claimed. It also refuses a
// track of pictures or sound whose clock has no ticks, to which FFmpeg gives one a second.
// A box's size is taken at its word, so a file that merely ends early is not refused here.
func CheckTables(src codecs.Source) error {
	w := tables{src: src, ticks: 1}
	return w.walk(0, src.Size(), 0)
}

type tables struct {
	src  codecs.Source
	seen int
	// ticks a second of the clock in the last mdhd
	ticks int32
}

func (w *tables) walk(at, end int64, depth int) error {
	var h [16]byte
	for ; at+8 <= end && w.seen < maxTableBoxes; w.seen++ {
		if !ReadAt(w.src, h[:8], at) {
			return nil
		}
		size, name, head := int64(binary.BigEndian.Uint32(h[:4])), string(h[4:8]), int64(8)
		switch {
		case size == 0:
			size = end - at
		case size == 1 && ReadAt(w.src, h[:], at):
			size, head = int64(binary.BigEndian.Uint64(h[8:])), 16
		}
		if size < head || size > end-at && depth > 0 {
			return nil // the demuxer says what is wrong with it
		}
		if nests[name] && depth < maxBoxDepth {
			if err := w.walk(at+head, at+min(size, end-at), depth+1); err != nil {
				return err
			}
		} else if err := w.check(name, at+head, size-head); err != nil {
			return err
		}
		if size > end-at {
			return nil
		}
		at += size
	}
	return nil
}

// check looks at one box whose body has size bytes.
func (w *tables) check(name string, at, size int64) error {
	var b [24]byte
	n := min(size, int64(len(b)), w.src.Size()-at)
	if n < 8 || !ReadAt(w.src, b[:n], at) {
		return nil
	}
	if err := w.clock(name, b[:n]); err != nil {
		return err
	}
	count, each, most := entries(name, b[:n])
	if each > 0 {
		most = min(most, size/each)
	}
	if count > most {
		return codecs.Errorf(codecs.CodeLimitTables, codecs.StageProbe, "a table %q claims %d entries; its %d bytes may hold %d", name, count, size, most)
	}
	return nil
}

// clock remembers a track's clock (ISO 14496-12, 8.4.2), which stands ahead of its kind.
func (w *tables) clock(name string, b []byte) error {
	switch at := 12; {
	case name == "mdhd":
		if b[0] == 1 {
			at = 20
		}
		w.ticks = 1
		if len(b) >= at+4 {
			w.ticks = int32(binary.BigEndian.Uint32(b[at:]))
		}
	case name == "hdlr" && len(b) >= 12 && w.ticks <= 0 && (string(b[8:12]) == "vide" || string(b[8:12]) == "soun"):
		return codecs.Errorf(codecs.CodeTime, codecs.StageProbe, "a track's clock has %d ticks a second", w.ticks)
	}
	return nil
}

// entries reads a table's head (ISO 14496-12): how many entries it claims, how many bytes
// each takes at least, and how many there may be whatever they take.
func entries(name string, b []byte) (count, each, most int64) {
	const any = 1 << 32
	number := func(at int) int64 {
		if len(b) < at+4 {
			return 0
		}
		return int64(binary.BigEndian.Uint32(b[at:]))
	}
	switch name {
	case "stts", "ctts", "co64":
		return number(4), 8, any
	case "stco", "stss", "stps":
		return number(4), 4, any
	case "stsc":
		return number(4), 12, any
	case "stsd":
		return number(4), 16, any
	case "dref":
		return number(4), 12, any
	case "elst":
		if b[0] == 1 {
			return number(4), 20, maxEdits
		}
		return number(4), 12, maxEdits
	case "stsz":
		if number(4) != 0 { // all of one size, as samples of sound are
			return 0, 0, any
		}
		return number(8), 4, any
	case "trun":
		// Each of four flags is a field of every sample.
		if fields := bits.OnesCount8(b[2] & 0x0f); fields > 0 {
			return number(4), 4 * int64(fields), any
		}
		return number(4), 0, maxAlike
	case "tfra":
		return number(12), 11, any
	}
	return 0, 0, any
}
