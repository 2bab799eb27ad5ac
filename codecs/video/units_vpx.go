package video

// parseVP8 reads the frame tag (RFC 6386, 9.1). Which pictures later ones refer to
// stands behind the arithmetic coder, so none is spare.
func parseVP8(data []byte) (unit, bool) {
	if len(data) < 3 {
		return unit{}, false
	}
	u := unit{hidden: data[0]&0x10 == 0}
	if data[0]&1 == 0 {
		u.anchor = anchorClosed
	}
	return u, true
}

// parseVP9 reads the superframe index and each frame's first header bits (VP9
// bitstream specification, annex B and 6.2). None is spare, whatever its
// refresh_frame_flags: later frames also take motion vectors, probabilities and
// segmentation from the frame before them in decoding order.
func parseVP9(data []byte) (unit, bool) {
	u := unit{hidden: true}
	shown := 0
	for i, frame := range superframe(data) {
		if len(frame) == 0 {
			return unit{}, false
		}
		b := bits{data: frame}
		if b.read(2) != 2 {
			return unit{}, false
		}
		if profile := b.read(1) | b.read(1)<<1; profile == 3 {
			b.read(1)
		}
		if b.read(1) == 1 { // show_existing_frame
			shown++
			continue
		}
		key := b.read(1) == 0
		if i == 0 && key {
			u.anchor = anchorClosed
		}
		if b.read(1) == 1 {
			shown++
		}
		if b.short {
			return unit{}, false
		}
	}
	u.hidden = shown == 0
	return u, shown <= 1
}

// superframe splits a packet by its index; a packet without one is one frame. A
// damaged index gives an empty frame.
func superframe(data []byte) [][]byte {
	if len(data) == 0 {
		return [][]byte{nil}
	}
	last := data[len(data)-1]
	if last&0xe0 != 0xc0 {
		return [][]byte{data}
	}
	n, size := int(last&7)+1, int(last>>3&3)+1
	index := 2 + n*size
	if len(data) < index || data[len(data)-index] != last {
		return [][]byte{data}
	}
	var frames [][]byte
	rest, sizes := data[:len(data)-index], data[len(data)-index+1:]
	for ; n > 0; n-- {
		length := 0
		for i := range size {
			length |= int(sizes[i]) << (8 * i)
		}
		sizes = sizes[size:]
		if length <= 0 || length > len(rest) {
			return [][]byte{nil}
		}
		frames, rest = append(frames, rest[:length]), rest[length:]
	}
	return frames
}
