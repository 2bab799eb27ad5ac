package recipe

import (
	"fmt"
	"slices"
	"strings"
)

// position is a place in the YAML text, both from 1.
type position struct{ line, column int }

// fault is what is wrong with a recipe. Text names the field and what to write.
type fault struct {
	file string
	at   position
	text string
}

// Error returns "file:line:column: text".
func (f *fault) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.file, f.at.line, f.at.column, f.text)
}

// nearest returns the word of known that s was most likely meant to be, or "": at
// most a third of its letters may be off, and at least one.
func nearest(s string, known []string) string {
	best, found := max(1, len(s)/3)+1, ""
	for _, k := range known {
		if d := distance(s, k); d < best {
			best, found = d, k
		}
	}
	return found
}

// distance is the number of letters to add, drop or change (Levenshtein's), of
// words cut to 64 bytes. A swap of neighbours counts as two.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// suggest continues a sentence about an unknown word: the nearest known one, or all.
func suggest(s string, known []string) string {
	if k := nearest(s, known); k != "" {
		return fmt.Sprintf("did you mean %s?", k)
	}
	known = slices.Clone(known)
	return "write one of " + strings.Join(known, ", ")
}
