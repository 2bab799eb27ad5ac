package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// TextOptions say how much of a Report is printed. Its JSON has all of it.
type TextOptions struct {
	MaxShards  int // below 1: 20
	MaxSamples int // below 1: 20
	MaxShapes  int // of one field; below 1: 3
}

// WriteJSON writes a *[Report] or *[SampleReport] for programs.
func WriteJSON(w io.Writer, report any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer, o TextOptions) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", printable(r.Name))
	r.summary(&b)
	r.tokens(&b)
	r.fields(&b, orDefault(o.MaxShapes, 3))
	if r.List == nil {
		r.shards(&b, orDefault(o.MaxShards, 20))
	} else {
		r.list(&b, orDefault(o.MaxSamples, 20))
	}
	if r.Faults > 0 {
		fmt.Fprintf(&b, "\n%s\n", plural(r.Faults, "problem"))
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "  %s\n", printable(p))
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func orDefault(n, d int) int {
	if n < 1 {
		return d
	}
	return n
}

func (r *Report) summary(w io.Writer) {
	t := table{head: []string{"", ""}}
	t.add("samples", number(r.Samples))
	t.add("media", number(r.Media))
	t.add("shards", fmt.Sprintf("%s, %s", number(int64(len(r.Shards))), bytesText(r.Bytes)))
	if r.From != nil {
		t.add("times", clock(r.From)+" .. "+clock(r.To))
	}
	for _, c := range []struct {
		name   string
		counts []Count
	}{{"kinds", r.Kinds}, {"codecs", r.Codecs}, {"sizes", r.Sizes}, {"recipes", r.Recipes}} {
		if len(c.counts) > 0 {
			t.add(c.name, countsText(c.counts, 6))
		}
	}
	var b strings.Builder
	t.print(&b)
	_, body, _ := strings.Cut(b.String(), "\n") // the table has no heading
	io.WriteString(w, body)
}

func (r *Report) tokens(w io.Writer) {
	if len(r.Tokens) == 0 {
		return
	}
	t := table{head: []string{"TOKENS", "LAYOUT", ">PATCH", "DTYPE", ">SAMPLES", ">TOKENS", ">LEAST", ">MOST"}}
	for _, l := range r.Tokens {
		t.add(printable(l.Name), printable(l.Layout), fmt.Sprint(l.Patch), printable(l.DType), number(l.Samples), number(l.Tokens), number(l.Least), number(l.Most))
	}
	fmt.Fprintln(w)
	t.print(w)
}

func (r *Report) fields(w io.Writer, shapes int) {
	t := table{head: []string{"FIELD", ">SAMPLES", ">BYTES", ">LEAST", ">MOST", "DTYPE AND SHAPE"}}
	for _, l := range r.Fields {
		t.add(printable(l.Name), number(l.Samples), bytesText(l.Bytes), bytesText(l.Least), bytesText(l.Most), countsText(l.Arrays, shapes))
	}
	fmt.Fprintln(w)
	t.print(w)
}

func (r *Report) shards(w io.Writer, most int) {
	t := table{head: []string{"SHARD", ">SAMPLES", ">BYTES", "TIMES"}}
	for _, l := range r.Shards[:min(most, len(r.Shards))] {
		span := "-"
		if l.From != nil {
			span = clock(l.From) + " .. " + clock(l.To)
		}
		t.add(printable(l.Key), number(l.Samples), bytesText(l.Bytes), span)
	}
	fmt.Fprintln(w)
	t.print(w)
	more(w, len(r.Shards)-most)
}

func (r *Report) list(w io.Writer, most int) {
	t := table{head: []string{"SAMPLE", "KIND", ">TIME", ">SIZE", ">TOKENS", ">BYTES"}}
	for _, l := range r.List[:min(most, len(r.List))] {
		size := "-"
		if l.Size != nil {
			size = fmt.Sprintf("%dx%d", l.Size[0], l.Size[1])
		}
		t.add(printable(l.Key), printable(l.Kind), clock(l.Time), size, number(l.Tokens), bytesText(l.Bytes))
	}
	fmt.Fprintln(w)
	t.print(w)
	more(w, int(r.Samples)-most)
}

func more(w io.Writer, n int) {
	if n > 0 {
		fmt.Fprintf(w, "  ... and %s more\n", number(int64(n)))
	}
}

// WriteText writes the report for people.
func (s *SampleReport) WriteText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n  in %s, bytes %d .. %d\n\n", printable(s.Key), printable(s.Shard), s.Offset, s.Offset+s.Length)
	t := table{head: []string{"FIELD", ">BYTES", "DTYPE", "SHAPE", ""}}
	for _, f := range s.Fields {
		shape := ""
		if f.DType != "" {
			shape = array{shape: f.Shape}.shapeString()
		}
		t.add(printable(f.Name), bytesText(f.Bytes), printable(f.DType), shape, printable(f.Problem))
	}
	t.print(&b)
	if string(s.Description) != "null" {
		var d bytes.Buffer
		if err := json.Indent(&d, s.Description, "", "  "); err != nil {
			return fmt.Errorf("printing sample %s: %w", s.Key, err)
		}
		fmt.Fprintln(&b)
		for line := range strings.SplitSeq(d.String(), "\n") {
			fmt.Fprintf(&b, "  %s\n", printable(line))
		}
	}
	if s.Text != "" {
		fmt.Fprintf(&b, "\n  %s\n", printable(s.Text))
	}
	_, err := w.Write(b.Bytes())
	return err
}

// countsText is "a x3, b x2 and 4 more"; a single value needs no count.
func countsText(cs []Count, most int) string {
	parts := make([]string, 0, most)
	for _, c := range cs[:min(most, len(cs))] {
		text := printable(shorten(c.Value, 60))
		if len(cs) > 1 {
			text += " x" + number(c.Count)
		}
		parts = append(parts, text)
	}
	s := strings.Join(parts, ", ")
	if len(cs) > most {
		s += fmt.Sprintf(" and %d more", len(cs)-most)
	}
	return s
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

// printable keeps what strangers wrote from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
