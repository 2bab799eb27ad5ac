package video

// av1Parser reads AV1 temporal units (AV1 bitstream specification, 5.3 to 5.9). All
// that a decoder carries from frame to frame it keeps in the reference slots, so a
// frame that refreshes none of them is spare. seq is the current sequence header.
type av1Parser struct{ seq *av1Sequence }

// av1Sequence is what frame headers need of a sequence header.
type av1Sequence struct {
	reduced, equalInterval, decoderModel bool
	removalBits, presentationBits        int
	points                               []av1Point
	idBits, orderBits                    int
	screenContent, integerMV             uint32
}

// av1Point is an operating point.
type av1Point struct {
	idc   uint32
	model bool
}

const (
	obuSequence    = 1
	obuFrameHeader = 3
	obuFrame       = 6
	obuTileList    = 8

	av1Key, av1IntraOnly, av1Switch = 0, 2, 3

	av1Select = 2 // SELECT_SCREEN_CONTENT_TOOLS, SELECT_INTEGER_MV
)

// newAV1Parser takes the sequence header of the container's av1C box, if any.
func newAV1Parser(extradata []byte) *av1Parser {
	p := &av1Parser{}
	if len(extradata) > 4 && extradata[0] == 0x81 {
		obus(extradata[4:], func(kind, _, _ uint8, body []byte) bool {
			if kind == obuSequence {
				p.seq, _ = parseAV1Sequence(body)
			}
			return true
		})
	}
	return p
}

func (p *av1Parser) parse(data []byte, _ bool) (unit, bool) {
	u := unit{}
	frames, shown, refreshed := 0, 0, uint32(0)
	whole := obus(data, func(kind, temporal, spatial uint8, body []byte) bool {
		switch kind {
		case obuSequence:
			var ok bool
			p.seq, ok = parseAV1Sequence(body)
			u.params = true
			return ok
		case obuFrameHeader, obuFrame:
			if p.seq == nil || spatial > 0 {
				return false
			}
			f, ok := p.seq.parseFrame(body, temporal)
			if frames == 0 && f.key && f.shown && u.params {
				u.anchor = anchorClosed
			}
			frames++
			if f.shown {
				shown++
			}
			refreshed |= f.refreshes
			return ok
		case obuTileList:
			return false
		}
		return true
	})
	u.spare = refreshed == 0 && !u.params
	return u, whole && shown == 1
}

// obus calls each open bitstream unit of a packet, until each says false. It reports
// whether all were whole and each said true.
func obus(data []byte, each func(kind, temporal, spatial uint8, body []byte) bool) bool {
	for len(data) > 0 {
		head := data[0]
		data = data[1:]
		var temporal, spatial uint8
		if head&4 != 0 {
			if len(data) == 0 {
				return false
			}
			temporal, spatial = data[0]>>5, data[0]>>3&3
			data = data[1:]
		}
		n := uint64(len(data))
		if head&2 != 0 {
			var used int
			if n, used = leb128(data); used == 0 {
				return false
			}
			data = data[used:]
		}
		if n > uint64(len(data)) || head&0x80 != 0 || !each(head>>3&15, temporal, spatial, data[:n]) {
			return false
		}
		data = data[n:]
	}
	return true
}

// leb128 reads a little-endian base-128 number of at most 32 bits (4.10.5); used is 0
// where there is none.
func leb128(b []byte) (v uint64, used int) {
	for i := 0; i < 8 && i < len(b); i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}

func parseAV1Sequence(body []byte) (*av1Sequence, bool) {
	s := &av1Sequence{screenContent: av1Select, integerMV: av1Select}
	b := bits{data: body}
	b.read(4) // seq_profile, still_picture
	s.reduced = b.flag()
	if s.reduced {
		b.read(5)
		s.points = []av1Point{{}}
	} else {
		s.parsePoints(&b)
	}
	width, height := int(b.read(4))+1, int(b.read(4))+1
	b.read(width)
	b.read(height)
	if !s.reduced && b.flag() {
		delta := int(b.read(4)) + 2
		s.idBits = int(b.read(3)) + 1 + delta
	}
	b.read(3) // superblock size, filter_intra, intra_edge
	if !s.reduced {
		s.parseTools(&b)
	}
	return s, !b.short
}

// parsePoints reads timing, decoder model and operating points.
func (s *av1Sequence) parsePoints(b *bits) {
	delayBits := 0
	if b.flag() { // timing_info_present_flag
		b.read(32)
		b.read(32)
		if s.equalInterval = b.flag(); s.equalInterval {
			b.uvlc()
		}
		if s.decoderModel = b.flag(); s.decoderModel {
			delayBits = int(b.read(5)) + 1
			b.read(32)
			s.removalBits = int(b.read(5)) + 1
			s.presentationBits = int(b.read(5)) + 1
		}
	}
	display := b.flag()
	for n := int(b.read(5)) + 1; n > 0; n-- {
		p := av1Point{idc: b.read(12)}
		if b.read(5) > 7 {
			b.read(1)
		}
		if s.decoderModel {
			if p.model = b.flag(); p.model {
				b.read(delayBits)
				b.read(delayBits)
				b.read(1)
			}
		}
		if display && b.flag() {
			b.read(4)
		}
		s.points = append(s.points, p)
	}
}

func (s *av1Sequence) parseTools(b *bits) {
	b.read(4)
	order := b.flag()
	if order {
		b.read(2)
	}
	if !b.flag() {
		s.screenContent = b.read(1)
	}
	if s.screenContent > 0 && !b.flag() {
		s.integerMV = b.read(1)
	}
	if order {
		s.orderBits = int(b.read(3)) + 1
	}
}

// av1Frame is what matters of a frame header.
type av1Frame struct {
	key, shown bool
	refreshes  uint32
}

// parseFrame reads a frame header up to refresh_frame_flags (5.9.2).
func (s *av1Sequence) parseFrame(body []byte, temporal uint8) (av1Frame, bool) {
	b := bits{data: body}
	kind, f := uint32(av1Key), av1Frame{key: true, shown: true, refreshes: 0xff}
	resilient := true
	if !s.reduced {
		if b.flag() { // show_existing_frame; showing a keyframe again refreshes all
			return av1Frame{shown: true, refreshes: 0xff}, !b.short
		}
		kind = b.read(2)
		f.key, f.shown = kind == av1Key, b.flag()
		if f.shown && s.decoderModel && !s.equalInterval {
			b.read(s.presentationBits)
		}
		if !f.shown {
			b.read(1)
		}
		resilient = kind == av1Switch || f.key && f.shown || b.flag()
	}
	b.read(1)
	screen := s.screenContent
	if screen == av1Select {
		screen = b.read(1)
	}
	if screen > 0 && s.integerMV == av1Select {
		b.read(1)
	}
	b.read(s.idBits)
	if kind != av1Switch && !s.reduced {
		b.read(1)
	}
	b.read(s.orderBits)
	if kind != av1Key && kind != av1IntraOnly && !resilient {
		b.read(3)
	}
	if s.decoderModel && b.flag() {
		for _, p := range s.points {
			if p.model && (p.idc == 0 || p.idc>>temporal&1 == 1 && p.idc>>8&1 == 1) {
				b.read(s.removalBits)
			}
		}
	}
	if kind != av1Switch && !(f.key && f.shown) {
		f.refreshes = b.read(8)
	}
	return f, !b.short
}
