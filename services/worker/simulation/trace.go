package simulation

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// trace is what happened, in virtual time. Not safe for concurrent use.
type trace struct {
	began time.Time
	lines []event
}

// maxEvents is many times what a run has. One with more goes round in circles.
const maxEvents = 50_000

type event struct {
	at                     time.Duration
	who, what, object, end string
}

func (t *trace) add(who, what, object, end string) {
	t.lines = append(t.lines, event{time.Since(t.began), who, what, object, end})
	if len(t.lines) > maxEvents {
		panic("the run does not end; the last of what happened:\n" + strings.Join(t.tail(60), "\n"))
	}
}

// sorted puts events of one nanosecond, which have no order, into one.
func (t *trace) sorted() []event {
	slices.SortStableFunc(t.lines, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.who, b.who), cmp.Compare(a.what, b.what), cmp.Compare(a.object, b.object), cmp.Compare(a.end, b.end))
	})
	return t.lines
}

// digest is SHA-256 over all events, hex.
func (t *trace) digest() string {
	h := sha256.New()
	var b []byte
	for _, e := range t.sorted() {
		b = strconv.AppendInt(b[:0], int64(e.at), 10)
		for _, part := range [...]string{e.who, e.what, e.object, e.end} {
			b = append(append(b, ' '), part...)
		}
		h.Write(append(b, '\n'))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tail gives the last n events as lines for people.
func (t *trace) tail(n int) []string {
	lines := t.sorted()
	lines = lines[max(0, len(lines)-n):]
	text := make([]string, len(lines))
	for i, e := range lines {
		text[i] = fmt.Sprintf("%14.9f %-6s %-10s %s: %s", e.at.Seconds(), e.who, e.what, e.object, e.end)
	}
	return text
}
