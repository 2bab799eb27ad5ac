package source

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// agentToken is how sites address this program in X-Robots-Tag.
const agentToken = "millrace"

// optOut finds the first signal among those that are honoured by which a response
// withholds its bytes from training; "" if there is none.
//
// noai, noimageai, noindex and noimageindex are directives of X-Robots-Tag, for all or
// for an agent by name (as img2dataset reads them; "none" stands for noindex).
// tdm-reservation is the header of the TDM Reservation Protocol, whose value 1 reserves.
func optOut(h http.Header, honour []string) string {
	if len(honour) == 0 {
		return ""
	}
	for _, v := range h.Values("X-Robots-Tag") {
		for _, d := range directives(v) {
			if d == "none" {
				d = "noindex"
			}
			if slices.Contains(honour, d) {
				return d
			}
		}
	}
	const tdm = "tdm-reservation"
	if slices.Contains(honour, tdm) && strings.TrimSpace(h.Get(tdm)) == "1" {
		return tdm
	}
	return ""
}

// directives are those of one X-Robots-Tag that are meant for us, in lower case.
func directives(value string) []string {
	var ours []string
	forUs := true
	for part := range strings.SplitSeq(strings.ToLower(value), ",") {
		name, rest, named := strings.Cut(part, ":")
		if name = strings.TrimSpace(name); !named {
			if forUs {
				ours = append(ours, name)
			}
			continue
		}
		switch name { // directives with a value of their own; all others are agents
		case "unavailable_after", "max-snippet", "max-image-preview", "max-video-preview":
			continue
		}
		if forUs = name == agentToken || name == "*"; forUs {
			ours = append(ours, strings.TrimSpace(rest))
		}
	}
	return ours
}

// tallied counts what was withheld, by signal.
type tallied struct {
	mu sync.Mutex
	n  map[string]int64
}

func (t *tallied) add(signal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int64{}
	}
	t.n[signal]++
}

// OptOuts counts the media that were refused for a signal, by signal.
func (f *Fetcher) OptOuts() map[string]int64 {
	f.optOuts.mu.Lock()
	defer f.optOuts.mu.Unlock()
	n := map[string]int64{}
	for s, k := range f.optOuts.n {
		n[s] = k
	}
	return n
}
