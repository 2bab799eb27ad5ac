package ffmpeg

import (
	"bytes"
	"slices"
	"testing"
)

// What was cut is told from what never was whole.
func TestCutBoxes(t *testing.T) {
	room := make([]byte, 64)
	ftyp, free, mdat, moov, moof, other := box("ftyp", room[:8]), box("free", room), box("mdat", room), box("moov", room), box("moof", room), box("uuid", room)
	toEnd := func(name string) []byte { return append(append(number(0), name...), room...) }
	for _, c := range []struct {
		name  string
		boxes [][]byte
		cut   bool
	}{
		{"whole, moov last", [][]byte{ftyp, free, mdat, moov}, false},
		{"whole, moov first", [][]byte{ftyp, moov, mdat}, false},
		{"whole, mdat to the end", [][]byte{ftyp, moov, toEnd("mdat")}, false},
		{"whole, fragments", [][]byte{ftyp, moov, moof, mdat, moof, mdat}, false},
		{"no moov behind the mdat", [][]byte{ftyp, free, mdat}, true},
		{"no moov behind several", [][]byte{ftyp, mdat, mdat}, true},
		{"no moov behind an mdat to the end", [][]byte{ftyp, toEnd("mdat")}, true},
		{"no moov behind the mdat and padding", [][]byte{ftyp, mdat, free}, true},
		{"no moov, yet boxes go on", [][]byte{ftyp, mdat, other}, false},
		{"no moov at all", [][]byte{ftyp, free, other}, false},
		{"a segment without its start", [][]byte{box("styp", room[:8]), moof, mdat}, false},
		{"an mdat beyond the end", [][]byte{ftyp, moov, mdat[:40]}, true},
		{"an mdat beyond the end, no moov", [][]byte{ftyp, mdat[:40]}, true},
		{"a moov beyond the end", [][]byte{ftyp, mdat, moov[:9]}, true},
		{"a moof beyond the end", [][]byte{ftyp, moov, moof[:40]}, true},
		{"another box beyond the end", [][]byte{ftyp, moov, mdat, other[:40]}, false},
		{"a box of 64 bits beyond the end", [][]byte{ftyp, moov, large("mdat", 1<<63, room)}, true},
		{"a head of 64 bits that is cut", [][]byte{ftyp, moov, large("mdat", 1<<40, nil)[:12]}, true},
		{"a few bytes of a head", [][]byte{ftyp, mdat, moov[:6]}, true},
		{"a box shorter than its head", [][]byte{ftyp, moov, append(number(7), "mdat"...)}, false},
		{"nothing", nil, false},
	} {
		if got := CutBoxes(bytes.NewReader(slices.Concat(c.boxes...))); got != c.cut {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
