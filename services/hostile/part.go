package hostile

import (
	"bytes"
	"encoding/binary"
)

// part is a piece of a medium that has borders of its own: a box, an element, a chunk, a
// segment, a page, a frame.
type part struct {
	at, end int
	// size is where its length is written; bytes is how many it takes, 0 where there is none.
	size, bytes int
	little      bool // the length is little-endian
	vint        bool // the length is EBML's
}

const (
	maxParts = 4000
	maxDepth = 12
)

// partsOf finds the parts of a valid medium by its first bytes; of what is not known,
// blocks of 512 bytes.
func partsOf(data []byte) []part {
	var l []part
	switch has := func(magic string) bool { return bytes.HasPrefix(data, []byte(magic)) }; {
	case len(data) >= 12 && (string(data[4:8]) == "ftyp" || string(data[4:8]) == "moov" || string(data[4:8]) == "mdat" || string(data[4:8]) == "wide"):
		l = boxes(nil, data, 0, len(data), 0)
	case has("\x1a\x45\xdf\xa3"):
		l = elements(nil, data, 0, len(data), 0)
	case has("RIFF"), has("RF64"):
		l = chunks(nil, data, 12, len(data), true)
	case has("\x89PNG"):
		l = pngChunks(data)
	case has("\xff\xd8"):
		l = segments(data)
	case has("GIF8"):
		l = gifBlocks(data)
	case has("OggS"):
		l = pages(data)
	case has("fLaC"):
		l = flacBlocks(data)
	}
	if len(l) == 0 {
		for at := 0; at < len(data); at += 512 {
			l = append(l, part{at: at, end: min(at+512, len(data))})
		}
	}
	return l
}

// containers are the ISO boxes that hold boxes, with how many bytes stand before these.
var containers = map[string]int{
	"moov": 0, "trak": 0, "mdia": 0, "minf": 0, "stbl": 0, "dinf": 0, "edts": 0, "udta": 0, "mvex": 0, "moof": 0, "traf": 0, "mfra": 0, "sinf": 0, "schi": 0,
	"iprp": 0, "ipco": 0, "meta": 4, "dref": 8, "stsd": 8, "iinf": 6, "avc1": 78, "hvc1": 78, "hev1": 78, "av01": 78, "mp4v": 78, "mp4a": 28,
}

// boxes walks ISO 14496-12.
func boxes(l []part, b []byte, at, end, depth int) []part {
	for at+8 <= end && len(l) < maxParts {
		n, name := int(binary.BigEndian.Uint32(b[at:])), string(b[at+4:at+8])
		if n == 0 {
			n = end - at
		}
		if n < 8 || at+n > end {
			break
		}
		l = append(l, part{at: at, end: at + n, size: at, bytes: 4})
		if skip, ok := containers[name]; ok && depth < maxDepth && 8+skip <= n {
			l = boxes(l, b, at+8+skip, at+n, depth+1)
		}
		at += n
	}
	return l
}

// masters are the IDs of Matroska's elements that hold elements (RFC 9559).
var masters = map[uint32]bool{
	0x1a45dfa3: true, 0x18538067: true, 0x1549a966: true, 0x1654ae6b: true, 0x1f43b675: true, 0x1c53bb6b: true, 0x114d9b74: true,
	0xae: true, 0xe0: true, 0xe1: true, 0xa0: true, 0xbb: true, 0xb7: true, 0x4dbb: true, 0x55b0: true,
}

// elements walks EBML.
func elements(l []part, b []byte, at, end, depth int) []part {
	for at < end && len(l) < maxParts {
		id, n := vint(b[at:end], false)
		size, m := vint(b[min(at+n, end):end], true)
		if n == 0 || m == 0 {
			break
		}
		body := at + n + m
		stop := end
		if unknown := uint64(1)<<(7*m) - 1; size != unknown {
			if size > uint64(end-body) {
				break
			}
			stop = body + int(size)
		}
		l = append(l, part{at: at, end: stop, size: at + n, bytes: m, vint: true})
		if masters[uint32(id)] && depth < maxDepth {
			l = elements(l, b, body, stop, depth+1)
		}
		at = stop
	}
	return l
}

// vint reads a number of EBML's, with its marker or without.
func vint(b []byte, unmarked bool) (v uint64, n int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	n = 1
	for m := byte(0x80); b[0]&m == 0; m >>= 1 {
		n++
	}
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0])
	if unmarked {
		v &= 1<<(8-n) - 1
	}
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}

// chunks walks RIFF.
func chunks(l []part, b []byte, at, end int, little bool) []part {
	for at+8 <= end && len(l) < maxParts {
		n := int(binary.LittleEndian.Uint32(b[at+4:]))
		if n > end-at-8 {
			break
		}
		stop := min(at+8+n+n%2, end)
		l = append(l, part{at: at, end: stop, size: at + 4, bytes: 4, little: little})
		at = stop
	}
	return l
}

func pngChunks(b []byte) (l []part) {
	for at := 8; at+12 <= len(b) && len(l) < maxParts; {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n > len(b)-at-12 {
			break
		}
		l = append(l, part{at: at, end: at + 12 + n, size: at, bytes: 4})
		at += 12 + n
	}
	return l
}

// segments walks JPEG's markers; what is coded behind a scan's header is a part without
// a length.
func segments(b []byte) (l []part) {
	for at := 2; at+4 <= len(b) && len(l) < maxParts; {
		if b[at] != 0xff {
			next := at
			for next+1 < len(b) && (b[next] != 0xff || b[next+1] == 0 || b[next+1] >= 0xd0 && b[next+1] <= 0xd7) {
				next++
			}
			if next+1 >= len(b) {
				next = len(b)
			}
			l = append(l, part{at: at, end: next})
			at = next
			continue
		}
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if b[at+1] == 0xd9 || n < 2 || at+2+n > len(b) {
			break
		}
		l = append(l, part{at: at, end: at + 2 + n, size: at + 2, bytes: 2})
		at += 2 + n
	}
	return l
}

// gifBlocks cuts a GIF at its sub-blocks, each with a length of one byte.
func gifBlocks(b []byte) (l []part) {
	if len(b) < 13 {
		return nil
	}
	at := 13
	if b[10]&0x80 != 0 {
		at += 3 << (b[10]&7 + 1)
	}
	for at < len(b) && len(l) < maxParts {
		from := at
		switch b[at] {
		case '!':
			at += 2
		case ',':
			if at+10 > len(b) {
				return l
			}
			if flags := b[at+9]; flags&0x80 != 0 {
				at += 3 << (flags&7 + 1)
			}
			at += 11
		default:
			return l
		}
		l = append(l, part{at: from, end: min(at, len(b))})
		for at < len(b) && b[at] != 0 && len(l) < maxParts {
			stop := min(at+1+int(b[at]), len(b))
			l = append(l, part{at: at, end: stop, size: at, bytes: 1})
			at = stop
		}
		at++
	}
	return l
}

// pages cuts an Ogg file (RFC 3533); the "length" is the number of segments.
func pages(b []byte) (l []part) {
	for at := 0; len(l) < maxParts; {
		next := bytes.Index(b[min(at+4, len(b)):], []byte("OggS"))
		if next < 0 {
			return append(l, part{at: at, end: len(b), size: min(at+26, len(b)-1), bytes: 1})
		}
		l = append(l, part{at: at, end: at + 4 + next, size: at + 26, bytes: 1})
		at += 4 + next
	}
	return l
}

func flacBlocks(b []byte) (l []part) {
	for at := 4; at+4 <= len(b); {
		n := int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3])
		if at+4+n > len(b) {
			break
		}
		last := b[at]&0x80 != 0
		l = append(l, part{at: at, end: at + 4 + n, size: at + 1, bytes: 3})
		at += 4 + n
		if last {
			return append(l, part{at: at, end: len(b)})
		}
	}
	return l
}
