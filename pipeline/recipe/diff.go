package recipe

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
)

// Difference is what two recipes differ in.
type Difference struct {
	A    string `json:"a"` // digests
	B    string `json:"b"`
	Same bool   `json:"same"` // one digest
	// Arrays, Samples and Originals say whether any change can have that effect.
	Arrays    bool     `json:"arrays_can_differ"`
	Samples   bool     `json:"samples_can_differ"`
	Originals bool     `json:"originals_can_differ"`
	Changes   []Change `json:"changes"`
}

// Change is one field that differs. A and B are its values as in the recipes' JSON;
// nil is for what is not there.
type Change struct {
	Field   string   `json:"field"` // as in video.pick, tokens[vit].size, outputs[mds].compression
	A       any      `json:"a"`
	B       any      `json:"b"`
	Effects []Effect `json:"effects"`
}

// String returns "field: a -> b", as a recipe has the values.
func (c Change) String() string { return fmt.Sprintf("%s: %s -> %s", c.Field, value(c.A), value(c.B)) }

// Diff compares two recipes field by field. Token outputs are matched by name and
// medium, or by all that is not a name; shard formats by format.
func Diff(a, b *pipeline.Recipe) *Difference {
	d := &differ{a: a, b: b, Difference: &Difference{A: Digest(a), B: Digest(b), Changes: []Change{}}}
	d.walk("", "", reflect.ValueOf(*a), reflect.ValueOf(*b))
	d.Same = d.A == d.B
	for _, c := range d.Changes {
		d.Arrays = d.Arrays || slices.Contains(c.Effects, Arrays)
		d.Samples = d.Samples || slices.Contains(c.Effects, Samples)
		d.Originals = d.Originals || slices.Contains(c.Effects, Originals)
	}
	return d.Difference
}

// differ walks two recipes side by side. The names of fields in messages have the
// elements of lists in brackets; those of effects do not.
type differ struct {
	*Difference
	a, b *pipeline.Recipe
	s, t patch.Spec // the token outputs at hand
}

// isAtom reports whether a type is one field, though it may be a struct.
func isAtom(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t == reflect.TypeFor[codecs.Pick]() || t == reflect.TypeFor[pipeline.Clip]()
}

func (d *differ) walk(shown, field string, a, b reflect.Value) {
	switch t := a.Type(); {
	case t == reflect.TypeFor[[]patch.Spec]():
		d.tokens(a.Interface().([]patch.Spec), b.Interface().([]patch.Spec))
	case t == reflect.TypeFor[[]pipeline.Output]():
		d.outputs(a.Interface().([]pipeline.Output), b.Interface().([]pipeline.Output))
	case t.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		d.walk(shown, field, a.Elem(), b.Elem())
	case isAtom(t):
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			d.add(shown, field, a.Interface(), b.Interface())
		}
	default:
		for i := range t.NumField() {
			name := jsonName(t.Field(i))
			d.walk(join(shown, name), join(field, name), a.Field(i), b.Field(i))
		}
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// add notes a change. What is kept of a recipe has no words about it, and a digest
// follows from all else.
func (d *differ) add(shown, field string, a, b any) {
	if field == "digest" || field == "about" && (a == "" || b == "") {
		return
	}
	if l, ok := a.([]string); ok && field == "take.kinds" { // none stand for all
		m := b.([]string)
		if len(l) == 0 {
			l = all(d.a)
		}
		if len(m) == 0 {
			m = all(d.b)
		}
		a, b = l, m
	}
	if field == "video.interlaced" || field == "video.hdr" {
		a, b = orKeep(a.(string)), orKeep(b.(string))
	}
	d.Changes = append(d.Changes, Change{shown, present(a), present(b), effectsOf(field, d.a, d.b, d.s, d.t)})
}

// present makes nil of what is not there.
func present(v any) any {
	r := reflect.ValueOf(v)
	if !r.IsValid() || r.IsZero() && r.Kind() != reflect.Bool && r.Kind() != reflect.Array {
		return nil
	}
	return v
}

func (d *differ) tokens(a, b []patch.Spec) {
	label := func(s patch.Spec) string {
		named := func(o patch.Spec) bool { return o.Name == s.Name && o.Media != s.Media }
		if slices.ContainsFunc(a, named) && slices.ContainsFunc(b, named) {
			return fmt.Sprintf("tokens[%s of %s]", s.Name, s.Media)
		}
		return "tokens[" + s.Name + "]"
	}
	pairs(a, b, []func(s, t patch.Spec) bool{
		func(s, t patch.Spec) bool { return s.Name == t.Name && s.Media == t.Media },
		func(s, t patch.Spec) bool { return s.Name == t.Name },
		func(s, t patch.Spec) bool { s.Name = t.Name; return reflect.DeepEqual(s, t) },
	}, func(s, t *patch.Spec) {
		switch {
		case t == nil:
			d.add(label(*s), "tokens[]", *s, nil)
		case s == nil:
			d.add(label(*t), "tokens[]", nil, *t)
		default:
			d.s, d.t = *s, *t
			d.walk(label(*s), "tokens", reflect.ValueOf(*s), reflect.ValueOf(*t))
		}
	})
	d.order("tokens", namesOf(a, func(s patch.Spec) string { return s.Name }), namesOf(b, func(s patch.Spec) string { return s.Name }))
}

func (d *differ) outputs(a, b []pipeline.Output) {
	pairs(a, b, []func(o, p pipeline.Output) bool{
		func(o, p pipeline.Output) bool { return o.Format == p.Format },
	}, func(o, p *pipeline.Output) {
		switch {
		case p == nil:
			d.add("outputs["+o.Format+"]", "outputs[]", *o, nil)
		case o == nil:
			d.add("outputs["+p.Format+"]", "outputs[]", nil, *p)
		default:
			d.walk("outputs["+o.Format+"]", "outputs", reflect.ValueOf(*o), reflect.ValueOf(*p))
		}
	})
	d.order("outputs", namesOf(a, func(o pipeline.Output) string { return o.Format }), namesOf(b, func(o pipeline.Output) string { return o.Format }))
}

// order notes that lists of the same names have them in another order.
func (d *differ) order(field string, a, b []string) {
	if !slices.Equal(a, b) && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))) {
		d.add(field, field, a, b)
	}
}

func namesOf[T any](l []T, name func(T) string) []string {
	var all []string
	for _, e := range l {
		all = append(all, name(e))
	}
	return all
}

// pairs hands over the elements of two lists two by two, as the first rule that fits
// matches them, in the order of a; and then those of each that are left, with nil.
func pairs[T any](a, b []T, rules []func(s, t T) bool, hand func(s, t *T)) {
	to, taken := make([]int, len(a)), make([]bool, len(b))
	for i := range to {
		to[i] = -1
	}
	for _, fits := range rules {
		for i := range a {
			for j := range b {
				if to[i] < 0 && !taken[j] && fits(a[i], b[j]) {
					to[i], taken[j] = j, true
				}
			}
		}
	}
	for i := range a {
		if to[i] >= 0 {
			hand(&a[i], &b[to[i]])
		} else {
			hand(&a[i], nil)
		}
	}
	for j := range b {
		if !taken[j] {
			hand(nil, &b[j])
		}
	}
}

// value writes a field as a recipe has it.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case codecs.Pick:
		return showPick(v)
	case pipeline.Clip:
		return showClip(v)
	case time.Duration:
		return v.String()
	case patch.Spec:
		return "layout " + v.Layout
	case pipeline.Output:
		return "format " + v.Format
	case string:
		if len(v) > 60 {
			return shown(v)
		}
		return v
	}
	return string(encode(v))
}
