package video

// bits reads big-endian bit fields; past the end it gives zeros and sets short.
type bits struct {
	data  []byte
	at    int
	short bool
}

func (b *bits) read(n int) uint32 {
	var v uint32
	for ; n > 0; n-- {
		v <<= 1
		if b.at>>3 >= len(b.data) {
			b.short = true
			continue
		}
		v |= uint32(b.data[b.at>>3]>>(7-b.at&7)) & 1
		b.at++
	}
	return v
}

func (b *bits) flag() bool { return b.read(1) == 1 }

// uvlc skips a variable-length number (AV1, 4.10.3).
func (b *bits) uvlc() {
	zeros := 0
	for !b.flag() && !b.short {
		zeros++
	}
	b.read(min(zeros, 32))
}
