package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/codecs/patch"
)

// maxOutputs is how many token outputs a recipe may have.
const maxOutputs = 16

// tokens reads the token outputs: a preset's name, a spec, or a list of these.
func (d *decoder) tokens(v *[]patch.Spec) func(*node, string) error {
	return func(n *node, path string) error {
		items := n.items
		if n.kind != isList {
			items = []*node{n}
		}
		if len(items) > maxOutputs {
			return d.fault(n.at, path, "%d token outputs are over the limit of %d", len(items), maxOutputs)
		}
		for i, item := range items {
			at := path
			if n.kind == isList {
				at = fmt.Sprintf("%s[%d]", path, i)
			}
			d.where[at] = item.at
			s, err := d.spec(item, at)
			if err != nil {
				return err
			}
			*v = append(*v, s)
			if err := d.distinct(*v, item, at); err != nil {
				return err
			}
		}
		return nil
	}
}

// distinct sees that the last output shares its name with no other, unless one of the
// two is cut from images and one from video. Where only one of them says its medium, the
// other takes the other one.
func (d *decoder) distinct(l []patch.Spec, n *node, path string) error {
	s := &l[len(l)-1]
	for i := range l[:len(l)-1] {
		before := &l[i]
		if before.Name != s.Name {
			continue
		}
		switch {
		case before.Media == "":
			before.Media = otherMedium(s.Media)
		case s.Media == "":
			s.Media = otherMedium(before.Media)
		}
		if s.Media == "" || before.Media == s.Media {
			return d.fault(n.at, path, "two outputs would be called %s; give this one another name, as in %s", s.Name, renamed(n, s.Name))
		}
	}
	return nil
}

func otherMedium(m string) string {
	switch m {
	case "image":
		return "video"
	case "video":
		return "image"
	}
	return ""
}

// renamed says how to give an item of the list another name.
func renamed(n *node, name string) string {
	if n.kind == isString {
		return fmt.Sprintf("{preset: %s, name: %s-2}", n.text, name)
	}
	return fmt.Sprintf("name: %s-2", name)
}

// spec reads one token output and fills it in. A preset comes first, whatever the
// order of the keys, and the other keys change it.
func (d *decoder) spec(n *node, path string) (patch.Spec, error) {
	var s patch.Spec
	if n.kind == isString {
		return s, d.presetInto(&s, n, path)
	}
	if n.kind != isMap {
		return s, d.wrong(n, path, "a preset's name or a mapping with preset or layout")
	}
	for _, m := range n.members {
		if m.key == "preset" && m.value.kind != isNull {
			if err := d.presetInto(&s, m.value, join(path, m.key)); err != nil {
				return s, err
			}
		}
	}
	if err := d.mapping(n, path, d.specFields(&s)); err != nil {
		return s, err
	}
	return s, d.checkSpec(&s, n, path)
}

// presetInto sets s to a preset, normalised.
func (d *decoder) presetInto(s *patch.Spec, n *node, path string) error {
	known := slices.Sorted(maps.Keys(patch.Presets()))
	p, ok := patch.Preset(n.text)
	if n.kind != isString || !ok {
		return d.fault(n.at, path, "there is no preset %s; %s", shown(n.text), suggest(n.text, known))
	}
	*s = p.Normalise()
	if d.presets[strings.TrimSuffix(path, ".preset")] = n.text; strings.HasSuffix(n.text, "-video") {
		s.Media = "video"
	}
	return nil
}

// specFields are the keys of a token output: those of patch.Spec, and preset. The
// bounds are those of patch.Spec.Validate, here so that the message has a place.
func (d *decoder) specFields(s *patch.Spec) []field {
	return []field{
		{"preset", func(*node, string) error { return nil }},
		{"name", d.text(&s.Name, 64)},
		{"layout", word(d, &s.Layout, patch.Layouts()...)},
		{"media", word(d, &s.Media, "image", "video")},
		{"patch", whole(d, &s.Patch, 1, 256)},
		{"resize", word(d, &s.Resize, "square", "shortest_edge")},
		{"size", whole(d, &s.Size, 1, 16384)},
		{"crop", whole(d, &s.Crop, 1, 16384)},
		{"max_patches", whole(d, &s.MaxPatches, 1, 1<<20)},
		{"min_pixels", whole(d, &s.MinPixels, 1, 1<<32)},
		{"max_pixels", whole(d, &s.MaxPixels, 1, 1<<32)},
		{"temporal_patch", whole(d, &s.TemporalPatch, 1, 64)},
		{"merge", whole(d, &s.Merge, 1, 16)},
		{"frames", whole(d, &s.Frames, 1, 4096)},
		{"pinpoints", d.pinpoints(&s.Pinpoints)},
		{"filter", word(d, &s.Filter, patch.Filters()...)},
		{"pass_order", word(d, &s.PassOrder, patch.Horizontal, patch.Pillow13)},
		{"dtype", word(d, &s.DType, patch.DTypes()...)},
		{"mean", d.triple(&s.Mean)},
		{"std", d.triple(&s.Std)},
	}
}

// checkSpec refuses contradictions and fills in the layout's defaults.
func (d *decoder) checkSpec(s *patch.Spec, n *node, path string) error {
	has := func(k string) bool { return d.given(join(path, k)) }
	switch {
	case has("preset") && has("layout"):
		return d.faultAt(join(path, "layout"), "a preset has its layout already; leave one of the two out")
	case !has("preset") && !has("layout"):
		return d.fault(n.at, path, "it names no model; write preset: siglip2-base-patch16-naflex or layout: vit")
	case has("mean") && !has("std"):
		return d.faultAt(join(path, "mean"), "it stands without std; write both, as in mean: [0.5, 0.5, 0.5] and std: [0.5, 0.5, 0.5]")
	case has("std") && !has("mean"):
		return d.faultAt(join(path, "std"), "it stands without mean; write both, as in mean: [0, 0, 0] and std: [1, 1, 1]")
	}
	if err := s.Validate(); err != nil {
		name, text, found := strings.Cut(strings.TrimPrefix(err.Error(), fmt.Sprintf("tokens %q: ", s.Normalise().Name)), ": ")
		if !found || strings.ContainsAny(name, " \"") {
			return d.fault(n.at, path, "%v", err)
		}
		return d.faultAt(join(path, name), text, path)
	}
	*s = s.Normalise()
	if s.Media == "image" && !cutsStills(*s) {
		return d.faultAt(join(path, "media"), fmt.Sprintf("layout %s cuts clips alone; write media: video, or leave it out", s.Layout), path)
	}
	return nil
}

// triple reads three numbers, one for each of red, green and blue.
func (d *decoder) triple(v *[3]float64) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind != isList || len(n.items) != 3 {
			return d.wrong(n, path, "three numbers, as in [0.5, 0.5, 0.5]")
		}
		for i, item := range n.items {
			f, ok := floatOf(item)
			if !ok {
				return d.wrong(item, fmt.Sprintf("%s[%d]", path, i), "a number such as 0.5")
			}
			v[i] = f
		}
		return nil
	}
}

// pinpoints reads (height, width) pairs.
func (d *decoder) pinpoints(v *[][2]int) func(*node, string) error {
	return func(n *node, path string) error {
		const want = "a list of [height, width], as in [[336, 672], [672, 336]]"
		if n.kind != isList || len(n.items) == 0 || len(n.items) > 64 {
			return d.wrong(n, path, want)
		}
		var l [][2]int
		for _, item := range n.items {
			if item.kind != isList || len(item.items) != 2 {
				return d.wrong(item, path, want)
			}
			var p [2]int
			for i := range p {
				if err := whole(d, &p[i], 1, 1<<20)(item.items[i], path); err != nil {
					return err
				}
			}
			l = append(l, p)
		}
		*v = l
		return nil
	}
}
