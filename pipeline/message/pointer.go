package message

import (
	"strconv"
	"strings"
)

// step is one token of a JSON pointer: a member's key or an item's index.
type step struct {
	key   string
	keyed bool
	index int
}

// pointer writes a JSON pointer (RFC 6901).
func pointer(path []step) string {
	if len(path) == 0 {
		return "the top"
	}
	var sb strings.Builder
	for _, t := range path {
		sb.WriteByte('/')
		if t.keyed {
			sb.WriteString(escapePointer(t.key))
		} else {
			sb.WriteString(strconv.Itoa(t.index))
		}
	}
	return tidy(sb.String())
}

func escapePointer(t string) string {
	return strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1")
}
