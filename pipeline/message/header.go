package message

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline"
)

// readHeaders checks the limits and returns the headers by lower-case name. A name
// that this package reads may stand once; of others the last counts, as no one
// here looks at them.
func readHeaders(hs []Header) (map[string]string, error) {
	if len(hs) > MaxHeaders {
		return nil, fault(pipeline.CodeMsgLimit, "the record has %d headers, over the limit of %d", len(hs), MaxHeaders)
	}
	var n int
	for _, h := range hs {
		n += len(h.Key) + len(h.Value)
	}
	if n > MaxHeaderBytes {
		return nil, fault(pipeline.CodeMsgLimit, "the record's headers have %d bytes, over the limit of %d", n, MaxHeaderBytes)
	}
	m := make(map[string]string, len(hs))
	for _, h := range hs {
		k := strings.ToLower(h.Key)
		if !readsHeader(k) {
			continue
		}
		if _, twice := m[k]; twice {
			return nil, fault(pipeline.CodeMsgInvalid, "the header %s stands twice; which one counts is not known", shown(k))
		}
		if !utf8.Valid(h.Value) {
			return nil, fault(pipeline.CodeMsgInvalid, "the header %s is not valid UTF-8", shown(k))
		}
		m[k] = string(h.Value)
	}
	return m, nil
}

func readsHeader(k string) bool {
	switch k {
	case "content-type", "dataset", "id", "meta", "provenance", "sha256", "role", "traceparent", HeaderReplayOf:
		return true
	}
	return strings.HasPrefix(k, "ce_")
}

// HeaderReplayOf is the header by which a replayed message names the refused one that it
// repeats: "STREAM/OFFSET".
const HeaderReplayOf = "millrace-replay-of"

// replayOf is that header, cut to a bearable length.
func (p *parser) replayOf() string {
	if s := p.headers[HeaderReplayOf]; len(s) <= 300 {
		return s
	}
	return ""
}

// idOfKey returns the record key if it can serve as an id, else "".
func idOfKey(key []byte) string {
	if len(key) == 0 || len(key) > MaxID || !utf8.Valid(key) {
		return ""
	}
	s := string(key)
	if strings.ContainsFunc(s, unicode.IsControl) {
		return ""
	}
	return s
}

// shown quotes foreign text for a fault's sentence, cut to a bearable length.
func shown(s string) string {
	if len(s) > maxShown {
		cut := maxShown
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + "..."
	}
	return strconv.Quote(s)
}

// tidy returns s as it is where it is short and printable, else as shown.
func tidy(s string) string {
	if len(s) > maxShown || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return shown(s)
	}
	return s
}
