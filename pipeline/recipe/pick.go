package recipe

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/codecs"
)

// Bounds of picks, so that a slip of the pen is seen here and not as a flood of samples.
const (
	maxRate  = 1000      // frames a second
	maxEvery = 1_000_000 // frames
	maxTimes = 10_000
)

// pick reads a pick rule: keyframes, all, {fps: 2}, {every: 10}, {uniform: 8},
// {at: [0, 1.5]}, or that of a processor: qwen2vl, {qwen2vl: 2} or
// {qwen2vl: {fps: 2, min_frames: 4, max_frames: 768}}, and qwen3vl likewise.
func (d *decoder) pick(v *codecs.Pick) func(*node, string) error {
	return func(n *node, path string) error {
		p := codecs.Pick{}
		if n.kind != isMap {
			return d.bareRule(n, path, v)
		}
		if len(n.members) != 1 {
			return d.fault(n.at, path, "%d rules stand here; write exactly one, as in {fps: 2}", len(n.members))
		}
		rule := func(r codecs.PickRule, read func(*node, string) error) field {
			return field{string(r), func(n *node, path string) error {
				p.Rule = r
				return read(n, path)
			}}
		}
		err := d.mapping(n, path, []field{
			rule(codecs.PickFPS, d.rational(&p.Rate, "a rate such as 2, 0.5 or 30000/1001")),
			rule(codecs.PickEvery, whole(d, &p.N, 1, maxEvery)),
			rule(codecs.PickUniform, whole(d, &p.N, 1, maxTimes)),
			rule(codecs.PickAt, d.times(&p.At)),
			rule(codecs.PickQwen2VL, d.qwen(&p)),
			rule(codecs.PickQwen3VL, d.qwen(&p)),
		})
		if err != nil {
			return err
		}
		if err := p.Validate(); err != nil {
			return d.fault(n.members[0].value.at, path, "%v", err)
		}
		if p.Rate.Known() && p.Rate.Float() > maxRate {
			return d.fault(n.members[0].value.at, path, "%s frames a second are over the limit of %d", showRational(p.Rate), maxRate)
		}
		*v = p.Normalise()
		return nil
	}
}

// bareRule reads a rule that is one word.
func (d *decoder) bareRule(n *node, path string, v *codecs.Pick) error {
	switch r := codecs.PickRule(n.text); r {
	case codecs.PickAll, codecs.PickKeyframes:
		*v = codecs.Pick{Rule: r}
		return nil
	case codecs.PickQwen2VL, codecs.PickQwen3VL:
		*v = codecs.Pick{Rule: r}.Normalise()
		return nil
	case codecs.PickFPS, codecs.PickEvery, codecs.PickUniform:
		return d.fault(n.at, path, "%s needs its number; write {%s: 2}", r, r)
	case codecs.PickAt:
		return d.fault(n.at, path, "at needs its times in seconds; write {at: [0, 1.5]}")
	}
	return d.wrong(n, path, "keyframes, all, {fps: 2}, {every: 10}, {uniform: 8}, {at: [0, 1.5]}, qwen2vl or qwen3vl")
}

// qwen reads the rate of a processor's rule, or that and its bounds.
func (d *decoder) qwen(p *codecs.Pick) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind == isMap {
			return d.mapping(n, path, d.qwenFields(p))
		}
		return d.rational(&p.Rate, "a rate such as 2, or {fps: 2, min_frames: 4, max_frames: 768}")(n, path)
	}
}

func (d *decoder) qwenFields(p *codecs.Pick) []field {
	return []field{
		{"fps", d.rational(&p.Rate, "a rate such as 2, 0.5 or 30000/1001")},
		{"min_frames", whole(d, &p.Min, 2, maxTimes)},
		{"max_frames", whole(d, &p.Max, 2, maxTimes)},
	}
}

func (d *decoder) times(v *[]codecs.Rational) func(*node, string) error {
	return func(n *node, path string) error {
		if n.kind != isList {
			return d.wrong(n, path, "a list of times in seconds, as in [0, 1.5]")
		}
		if len(n.items) > maxTimes {
			return d.fault(n.at, path, "%d times are over the limit of %d", len(n.items), maxTimes)
		}
		for i, item := range n.items {
			var t codecs.Rational
			if err := d.rational(&t, "a time in seconds such as 1.5")(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
			*v = append(*v, t)
		}
		return nil
	}
}

// showPick writes a pick as pick reads it.
func showPick(p codecs.Pick) string {
	switch p.Rule {
	case codecs.PickFPS:
		return "{fps: " + showRational(p.Rate) + "}"
	case codecs.PickEvery, codecs.PickUniform:
		return fmt.Sprintf("{%s: %d}", p.Rule, p.N)
	case codecs.PickAt:
		var l []string
		for _, t := range p.At {
			l = append(l, showRational(t))
		}
		return "{at: [" + strings.Join(l, ", ") + "]}"
	case codecs.PickQwen2VL, codecs.PickQwen3VL:
		return fmt.Sprintf("{%s: {fps: %s, min_frames: %d, max_frames: %d}}", p.Rule, showRational(p.Rate), p.Min, p.Max)
	}
	return string(p.Rule)
}

// showRational writes whole numbers plainly and the rest as a fraction.
func showRational(r codecs.Rational) string {
	if r.Den == 1 {
		return fmt.Sprint(r.Num)
	}
	return r.String()
}
