package recipe

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// decoder reads nodes into a recipe. It remembers where each field stood, so that
// what contradicts another field can be reported there.
type decoder struct {
	file  string
	where map[string]position // by field path: "video.pick", "tokens[1].crop"

	presets map[string]string // of token outputs, by path: "tokens[0]"
	packAll *pipeline.Pack    // of the key pack, for outputs that have none of their own
}

func newDecoder(file string) *decoder {
	return &decoder{file: file, where: map[string]position{}, presets: map[string]string{}}
}

// fault reports on a field at a node.
func (d *decoder) fault(at position, path, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	return &fault{d.file, at, text}
}

// faultAt reports on a field by path; fallbacks are asked for the place in turn, and
// the document's start stands behind them.
func (d *decoder) faultAt(path, text string, fallbacks ...string) error {
	for _, p := range append([]string{path}, fallbacks...) {
		if at, ok := d.where[p]; ok {
			return d.fault(at, path, "%s", text)
		}
	}
	return d.fault(position{1, 1}, path, "%s", text)
}

// given reports whether the recipe has the field.
func (d *decoder) given(path string) bool { _, ok := d.where[path]; return ok }

// field is a key that a mapping may have, and what reads its value.
type field struct {
	name string
	read func(n *node, path string) error
}

// mapping reads the members of a mapping by their fields.
func (d *decoder) mapping(n *node, path string, fields []field) error {
	if n.kind != isMap {
		return d.wrong(n, path, "a mapping of "+strings.Join(names(fields), ", "))
	}
	for _, m := range n.members {
		at := join(path, m.key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == m.key })
		if i < 0 {
			return d.fault(m.at, "", "%s is not a field of %s; %s", shown(m.key), orRecipe(path), suggest(m.key, names(fields)))
		}
		d.where[at] = m.at
		if m.value.kind == isNull {
			return d.fault(m.at, at, "it has no value; write one or leave the field out")
		}
		if err := fields[i].read(m.value, at); err != nil {
			return err
		}
	}
	return nil
}

func names(fields []field) []string {
	var l []string
	for _, f := range fields {
		l = append(l, f.name)
	}
	return l
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orRecipe(path string) string {
	if path == "" {
		return "a recipe"
	}
	return path
}

// wrong says that a node is of another kind than wanted.
func (d *decoder) wrong(n *node, path, want string) error {
	got := string(n.kind)
	if n.kind == isString || n.kind == isNumber || n.kind == isBool {
		got = shown(n.text)
	} else {
		got = "a " + got
	}
	return d.fault(n.at, path, "%s stands here; write %s", got, want)
}

// text reads a string into v, of at most most bytes.
func (d *decoder) text(v *string, most int) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind != isString {
			return d.wrong(n, path, "a text, in quotes if it looks like something else")
		}
		if len(n.text) > most {
			return d.fault(n.at, path, "it has %d bytes, over the limit of %d", len(n.text), most)
		}
		*v = n.text
		return nil
	}
}

// word reads one of some words into v.
func word[T ~string](d *decoder, v *T, known ...T) func(*node, string) error {
	all := make([]string, len(known))
	for i, k := range known {
		all[i] = string(k)
	}
	return func(n *node, path string) error {
		if n.kind == isMap || n.kind == isList {
			return d.wrong(n, path, "one of "+strings.Join(all, ", "))
		}
		if !slices.Contains(all, n.text) {
			return d.fault(n.at, path, "%s is not known; %s", shown(n.text), suggest(n.text, all))
		}
		*v = T(n.text)
		return nil
	}
}

// words reads a list of words, or a single one, in the order of known.
func (d *decoder) words(v *[]string, known ...string) func(*node, string) error {
	return func(n *node, path string) error {
		items := n.items
		if n.kind != isList {
			items = []*node{n}
		}
		var got []string
		for _, item := range items {
			var w string
			if err := word(d, &w, known...)(item, path); err != nil {
				return err
			}
			if slices.Contains(got, w) {
				return d.fault(item.at, path, "%s stands twice; leave one", w)
			}
			got = append(got, w)
		}
		slices.SortFunc(got, func(a, b string) int { return slices.Index(known, a) - slices.Index(known, b) })
		*v = got
		return nil
	}
}

func (d *decoder) flag(v *bool) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind != isBool {
			return d.wrong(n, path, "true or false")
		}
		*v = n.text == "true"
		return nil
	}
}

// whole reads a whole number from lo to high into v; 64e6 and 64_000_000 are fine.
func whole[T ~int | ~int64](d *decoder, v *T, lo, high int64) func(*node, string) error {
	return func(n *node, path string) error {
		i, ok := wholeOf(n)
		if !ok {
			return d.wrong(n, path, fmt.Sprintf("a whole number from %d to %d", lo, high))
		}
		if i < lo || i > high {
			return d.fault(n.at, path, "%s is out of range; write %d to %d", n.text, lo, high)
		}
		*v = T(i)
		return nil
	}
}

// wholeOf is the value of a number without a fraction.
func wholeOf(n *node) (int64, bool) {
	if n.kind != isNumber || len(n.text) > 32 {
		return 0, false
	}
	s := strings.ReplaceAll(n.text, "_", "")
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// duration reads Go's form: 90s, 1m30s.
func (d *decoder) duration(v *time.Duration, lo, high time.Duration) func(*node, string) error {
	return func(n *node, path string) error {
		t, err := time.ParseDuration(n.text)
		if err != nil || n.kind == isMap || n.kind == isList {
			return d.wrong(n, path, "a duration with its unit, such as 60s or 1m30s")
		}
		if t < lo || t > high {
			return d.fault(n.at, path, "%s is out of range; write %s to %s", n.text, lo, high)
		}
		*v = t
		return nil
	}
}

// rational reads 2, 0.5 or 30000/1001.
func (d *decoder) rational(v *codecs.Rational, want string) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind != isNumber && n.kind != isString {
			return d.wrong(n, path, want)
		}
		r, err := codecs.ParseRational(strings.ReplaceAll(n.text, "_", ""))
		if err != nil || !r.Known() {
			return d.wrong(n, path, want)
		}
		*v = r
		return nil
	}
}

// floatOf is the value of a number.
func floatOf(n *node) (float64, bool) {
	if n.kind != isNumber || len(n.text) > 32 {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(n.text, "_", ""), 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}
