package message

import "strings"

// traceParent returns s if it is a W3C trace parent that can be continued, else "".
// The recommendation (W3C Trace Context, section 3.2) asks receivers to start anew
// on a bad one, not to refuse the message.
func traceParent(s string) string {
	parts := strings.Split(s, "-")
	if len(parts) < 4 || !isHex(parts[0], 2) || !isHex(parts[1], 32) || !isHex(parts[2], 16) || !isHex(parts[3], 2) {
		return ""
	}
	later := parts[0] != "00" // a later version may have more behind the four fields
	if parts[0] == "ff" || len(parts) > 4 && !later || isZero(parts[1]) || isZero(parts[2]) {
		return ""
	}
	return strings.Join(parts[:4], "-")
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

func isZero(s string) bool { return strings.Trim(s, "0") == "" }
