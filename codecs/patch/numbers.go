package patch

import (
	"encoding/binary"
	"math"
)

// The dtypes of patches.
const (
	UInt8    = "uint8"
	Float32  = "float32"
	Float16  = "float16"
	BFloat16 = "bfloat16" // numpy has none: stored as uint16
)

// DTypes lists them.
func DTypes() []string { return []string{UInt8, Float32, Float16, BFloat16} }

// dtypeBytes is the size of one value; 0 for a name that is none.
func dtypeBytes(dtype string) int {
	switch dtype {
	case UInt8:
		return 1
	case Float16, BFloat16:
		return 2
	case Float32:
		return 4
	}
	return 0
}

// storedAs is the numpy dtype that holds dtype.
func storedAs(dtype string) string {
	if dtype == BFloat16 {
		return "uint16"
	}
	return dtype
}

// table holds the bits of what each byte becomes, by channel. Normalising is a
// function of byte and channel, so that a table is both exact and fast.
type table [3][256]uint32

// newTable computes as the slow processors do: the byte times 1/255 in float64, and
// the rest in float32, with mean and std rounded to float32 first.
func newTable(dtype string, mean, std [3]float64) *table {
	scale := 1 / float64(255) // a variable: constants would be exact
	var t table
	for c := range 3 {
		m, s := float32(mean[c]), float32(std[c])
		for b := range 256 {
			v := float32(float32(float32(float64(b)*scale)-m) / s)
			switch dtype {
			case Float32:
				t[c][b] = math.Float32bits(v)
			case Float16:
				t[c][b] = uint32(half16(v))
			case BFloat16:
				t[c][b] = uint32(brain16(v))
			}
		}
	}
	return &t
}

// put writes the values of bytes to dst, width bytes each. The channel of byte i is
// i/run%3: run is 1 for channel innermost.
func (t *table) put(dst, bytes []byte, run, width int) {
	if run == 1 {
		for ; len(bytes) >= 3; bytes = bytes[3:] {
			for c := range 3 {
				dst = putBits(dst, t[c][bytes[c]], width)
			}
		}
		return
	}
	for c := 0; len(bytes) > 0; c = (c + 1) % 3 {
		of := &t[c]
		if width == 4 {
			for i, b := range bytes[:run] {
				binary.LittleEndian.PutUint32(dst[4*i:], of[b])
			}
		} else {
			for i, b := range bytes[:run] {
				binary.LittleEndian.PutUint16(dst[2*i:], uint16(of[b]))
			}
		}
		dst, bytes = dst[run*width:], bytes[run:]
	}
}

func putBits(dst []byte, bits uint32, width int) []byte {
	if width == 4 {
		binary.LittleEndian.PutUint32(dst, bits)
	} else {
		binary.LittleEndian.PutUint16(dst, uint16(bits))
	}
	return dst[width:]
}

// brain16 rounds to bfloat16, half to even.
func brain16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7FFF + b>>16&1) >> 16)
}

// half16 rounds to IEEE 754 binary16, half to even.
func half16(v float32) uint16 {
	b := math.Float32bits(v)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7FFFFFFF
	switch {
	case b > 0x7F800000: // not a number
		return sign | 0x7E00
	case b >= 0x477FF000: // rounds to 65536 or more
		return sign | 0x7C00
	case b >= 0x38800000: // normal: drop 13 bits of fraction, and 112 of the exponent
		return sign | uint16((b+0xFFF+b>>13&1-112<<23)>>13)
	}
	// Subnormal: adding 0.5 leaves the value in units of 2^-24, rounded by the addition.
	return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-math.Float32bits(0.5))
}
