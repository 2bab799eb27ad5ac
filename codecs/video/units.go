package video

// anchor says what a packet offers to a decoder that starts with it.
type anchor uint8

const (
	anchorNone   anchor = iota
	anchorOpen          // pictures before it in presentation order may need older ones
	anchorClosed        // nothing after it needs anything before it
)

// unit is what a packet's own headers say of it, without decoding.
type unit struct {
	anchor  anchor
	spare   bool  // no other picture refers to it, as far as its layer goes
	layer   uint8 // temporal layer; spare holds for the highest one only
	leading bool  // needs pictures from before the last open anchor (HEVC RASL)
	hidden  bool  // gives no picture of its own
	params  bool  // carries parameter sets, which must not be lost
}

// reader of units: parses one packet. ok is false where the packet is not
// understood; then nothing may be left out of the file.
type unitParser func(data []byte, key bool) (u unit, ok bool)

// parserFor returns the parser of a codec, or nil where packets and pictures do not
// correspond one to one, or it is not known that they do.
func parserFor(codec string, extradata []byte) unitParser {
	switch codec {
	case "h264":
		size := 0
		if len(extradata) >= 7 && extradata[0] == 1 { // avcC, ISO/IEC 14496-15, 5.3.3
			size = int(extradata[4]&3) + 1
		}
		return func(data []byte, _ bool) (unit, bool) { return parseH264(data, size) }
	case "hevc":
		size := 0
		if len(extradata) >= 23 && (extradata[0] != 0 || extradata[1] != 0 || extradata[2] > 1) { // hvcC, 8.3.3
			size = int(extradata[21]&3) + 1
		}
		return func(data []byte, _ bool) (unit, bool) { return parseHEVC(data, size) }
	case "vp8":
		return func(data []byte, _ bool) (unit, bool) { return parseVP8(data) }
	case "vp9":
		return func(data []byte, _ bool) (unit, bool) { return parseVP9(data) }
	case "av1":
		return newAV1Parser(extradata).parse
	case "mjpeg", "png", "ffv1":
		return func(data []byte, key bool) (unit, bool) { return byFlag(data, key, anchorClosed) }
	case "mpeg4":
		// B-pictures after an I-picture may refer to the one before it.
		return func(data []byte, key bool) (unit, bool) { return byFlag(data, key, anchorOpen) }
	}
	return nil
}

func byFlag(data []byte, key bool, a anchor) (unit, bool) {
	u := unit{}
	if key {
		u.anchor = a
	}
	return u, len(data) > 0
}

// nals calls each NAL unit of a packet: with lengths of the given size in front
// (1 to 4 bytes), or between Annex B start codes where size is 0. It reports whether
// the packet was whole.
func nals(data []byte, size int, each func(nal []byte)) bool {
	if size == 0 {
		return annexB(data, each)
	}
	for len(data) > 0 {
		if len(data) < size {
			return false
		}
		n := 0
		for _, b := range data[:size] {
			n = n<<8 | int(b)
		}
		data = data[size:]
		if n <= 0 || n > len(data) {
			return false
		}
		each(data[:n])
		data = data[n:]
	}
	return true
}

// annexB splits at start codes (ITU-T H.264, Annex B).
func annexB(data []byte, each func(nal []byte)) bool {
	start := -1
	for i := 0; i+2 < len(data); i++ {
		if data[i] != 0 || data[i+1] != 0 || data[i+2] != 1 {
			continue
		}
		if start >= 0 && i > start {
			each(data[start:i])
		}
		start = i + 3
		i += 2
	}
	if start < 0 || start >= len(data) {
		return false
	}
	each(data[start:])
	return true
}
