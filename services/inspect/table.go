package inspect

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is rows of cells, printed in aligned columns two spaces apart.
type table struct {
	head []string // a leading > aligns a column to the right
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the rows, indented by two spaces, without trailing blanks.
func (t *table) print(w io.Writer) {
	right := make([]bool, len(t.head))
	width := make([]int, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i], right[i] = strings.CutPrefix(h, ">")
		width[i] = utf8.RuneCountInString(head[i])
	}
	for _, row := range t.rows {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range append([][]string{head}, t.rows...) {
		var b strings.Builder
		for i, c := range row {
			gap := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			if b.WriteString("  "); right[i] {
				b.WriteString(gap + c)
			} else {
				b.WriteString(c + gap)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// bytesText is a size for people.
func bytesText(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1024, 0
	for x >= 999.5 && unit < 5 {
		x, unit = x/1024, unit+1
	}
	prec := 1
	if x >= 99.95 {
		prec = 0
	}
	return fmt.Sprintf("%.*f %ciB", prec, x, "KMGTPE"[unit])
}

// number groups digits by threes.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// clock writes seconds as h:mm:ss.mmm, without hours where there are none.
func clock(t *float64) string {
	if t == nil {
		return "-"
	}
	sign, ms := "", int64(*t*1000+0.5)
	if *t < 0 {
		sign, ms = "-", int64(-*t*1000+0.5)
	}
	s := fmt.Sprintf("%02d:%02d.%03d", ms/60_000%60, ms/1000%60, ms%1000)
	if h := ms / 3_600_000; h > 0 {
		s = fmt.Sprintf("%d:%s", h, s)
	}
	return sign + s
}

// shorten takes runes out of the middle: both ends of a key tell keys apart.
func shorten(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	keep := max(most-1, 2)
	return string(r[:keep/2]) + "…" + string(r[len(r)-(keep-keep/2):])
}
