package ffmpeg

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func TestHoles(t *testing.T) {
	type spans = []Span
	for _, c := range []struct {
		name               string
		bodies, want, left spans
	}{
		{"nothing wanted", spans{{0, 10}}, nil, spans{{0, 10}}},
		{"all wanted", spans{{0, 10}}, spans{{0, 10}}, nil},
		{"the middle", spans{{0, 10}}, spans{{3, 5}}, spans{{0, 3}, {5, 10}}},
		{"both ends", spans{{2, 10}}, spans{{0, 3}, {9, 12}}, spans{{3, 9}}},
		{"over two", spans{{0, 5}, {7, 10}, {12, 14}}, spans{{4, 8}, {13, 20}}, spans{{0, 4}, {8, 10}, {12, 13}}},
		{"elsewhere", spans{{5, 6}}, spans{{0, 1}, {8, 9}}, spans{{5, 6}}},
	} {
		got := Without(c.bodies, c.want)
		if len(got) != len(c.left) {
			t.Errorf("%s: %v, want %v", c.name, got, c.left)
			continue
		}
		for i := range got {
			if got[i] != c.left[i] {
				t.Errorf("%s: %v, want %v", c.name, got, c.left)
			}
		}
	}
}

func TestBodies(t *testing.T) {
	box := func(kind string, size int) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(size))) + kind + strings.Repeat("x", size-8)
	}
	long := "\x00\x00\x00\x01mdat\x00\x00\x00\x00\x00\x00\x00\x14xxxx"
	for _, c := range []struct {
		name, file string
		want       []Span
		ok         bool
	}{
		{"moov first", box("ftyp", 16) + box("moov", 20) + box("mdat", 10), []Span{{44, 46}}, true},
		{"moov last, two bodies", box("mdat", 9) + box("mdat", 10) + box("moov", 20), []Span{{8, 9}, {17, 19}}, true},
		{"a long box", box("ftyp", 16) + long + box("moov", 8), []Span{{32, 36}}, true},
		{"fragments", box("moov", 8) + box("moof", 8) + box("mdat", 9), nil, false},
		{"it ends early", box("moov", 8) + box("mdat", 20)[:15], nil, false},
		{"up to the end", box("moov", 8) + "\x00\x00\x00\x00mdatxx", nil, false},
		{"a box of no size", "\x00\x00\x00\x04mdat", nil, false},
	} {
		got, ok := Bodies(strings.NewReader(c.file))
		if ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %t; want %v, %t", c.name, got, ok, c.want, c.ok)
		}
	}
}
