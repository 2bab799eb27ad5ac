package ffmpeg

import (
	"encoding/binary"
	"sort"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// Span is bytes of a source, from From up to To.
type Span struct{ From, To int64 }

// maxBodies is over what files have whose index is in one place.
const maxBodies = 1000

// Bodies are where an ISO file (MP4, QuickTime) has its media, and nothing else: the
// insides of its mdat boxes, ascending. ok is false where its index is not all in one place
// (fragments), or the top level can not be walked to its end.
func Bodies(src codecs.Source) (spans []Span, ok bool) {
	var h [16]byte
	at := int64(0)
	for n := 0; at < src.Size(); n++ {
		if n == maxBodies || !ReadAt(src, h[:8], at) {
			return nil, false
		}
		size, head := int64(binary.BigEndian.Uint32(h[:4])), int64(8)
		if size == 1 {
			if !ReadAt(src, h[:], at) {
				return nil, false
			}
			size, head = int64(binary.BigEndian.Uint64(h[8:])), 16
		}
		if size < head || size > src.Size()-at || string(h[4:8]) == "moof" {
			return nil, false
		}
		if string(h[4:8]) == "mdat" {
			spans = append(spans, Span{at + head, at + size})
		}
		at += size
	}
	return spans, true
}

// Without takes away from spans what is in others; both are ascending and do not overlap.
func Without(spans, others []Span) (left []Span) {
	i := 0
	for _, s := range spans {
		for i > 0 && others[i-1].To > s.From {
			i--
		}
		for ; i < len(others) && others[i].From < s.To; i++ {
			if o := others[i]; o.To > s.From {
				if o.From > s.From {
					left = append(left, Span{s.From, o.From})
				}
				s.From = o.To
			}
		}
		if s.From < s.To {
			left = append(left, s)
		}
	}
	return left
}

// LeaveOut has the source's bytes in these spans, which ascend, come as zeros from now on,
// without being read.
func (in *Input) LeaveOut(spans []Span) { in.io.holes = spans }

// Plain has packets come just as the container describes them: FFmpeg's parsers do not look
// into them and correct nothing. To be called before the first is read.
func (in *Input) Plain() {
	in.Format.SetFlags(in.Format.Flags().Add(astiav.FormatContextFlagNoparse))
}

// hole tells how many of the next bytes, of want, are all in a hole, or all in none.
func (s *sourceIO) hole(want int64) (n int64, yes bool) {
	i := sort.Search(len(s.holes), func(i int) bool { return s.holes[i].To > s.at })
	switch {
	case i == len(s.holes):
		return want, false
	case s.holes[i].From > s.at:
		return min(want, s.holes[i].From-s.at), false
	}
	return min(want, s.holes[i].To-s.at), true
}
