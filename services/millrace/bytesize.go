package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag like 64MiB, 1.5GB or 4096.
type byteSize int64

// UnmarshalText reads a number with or without a unit.
func (b *byteSize) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	unit := 1.0
	for suffix, n := range map[string]float64{
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = strings.TrimSpace(rest), n
			break
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n*unit < math.MaxInt64) { // also not a number
		return fmt.Errorf("%q is no size; want one like 64MiB, 1.5GB or 4096", text)
	}
	*b = byteSize(n * unit)
	return nil
}
