package recipe

import (
	"math/big"
	"strconv"
	"strings"
)

// size reads bytes: 256MiB, 1GB, 1.5GiB or a whole number.
func (d *decoder) size(v *int64, lo, high int64) func(*node, string) error {
	return func(n *node, path string) error {
		b, ok := sizeOf(n)
		if !ok {
			return d.wrong(n, path, "a size such as 256MiB, 1GB or a number of bytes")
		}
		if b < lo || b > high {
			return d.fault(n.at, path, "%s is out of range; write %s to %s", n.text, showSize(lo), showSize(high))
		}
		*v = b
		return nil
	}
}

// units of sizes, the longest names first.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

func sizeOf(n *node) (int64, bool) {
	if i, ok := wholeOf(n); ok {
		return i, true
	}
	if n.kind != isString || len(n.text) > 32 {
		return 0, false
	}
	for _, u := range units {
		s, ok := strings.CutSuffix(n.text, u.name)
		if !ok {
			continue
		}
		s = strings.TrimSpace(s)
		if s == "" || strings.Trim(s, "0123456789.") != "" {
			return 0, false
		}
		x, ok := new(big.Rat).SetString(s)
		if !ok {
			return 0, false
		}
		x.Mul(x, new(big.Rat).SetInt64(u.bytes))
		if !x.IsInt() || !x.Num().IsInt64() {
			return 0, false
		}
		return x.Num().Int64(), true
	}
	return 0, false
}

// showSize writes bytes in the largest unit of 1024 that divides them.
func showSize(b int64) string {
	for _, u := range units[:4] {
		if b > 0 && b%u.bytes == 0 {
			return strconv.FormatInt(b/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(b, 10)
}
