package video

import "slices"

// step is what is done with one packet.
type step uint8

const (
	stepDrop    step = iota
	stepSend         // to the decoder
	stepRestart      // end what is in the decoder, then send: a fresh start
)

// plan is what to send to the decoder for some picks, and what comes out.
type plan struct {
	steps  []step  // for each packet; packets after the last are dropped
	expect []int32 // pictures, by index in presentation order, that must come out
	// maybe holds pictures that may come out as well, or not: those between a restart
	// and its anchor in presentation order.
	maybe map[int32]bool
}

// sendAll is the plan that leaves nothing out.
func sendAll(x *index) *plan {
	p := &plan{steps: make([]step, len(x.entries))}
	for i, e := range x.entries {
		p.steps[i] = stepSend
		if e.frame >= 0 {
			p.expect = append(p.expect, e.frame)
		}
	}
	slices.Sort(p.expect)
	return p
}

// group is the run of packets from an anchor up to the next.
type group struct {
	from, to int
	need     int  // packets to send: [from, need); 0 for none
	joined   bool // goes on from the group before, which is then sent whole
}

// planFor sends, of each group that holds a pick, the packets from its anchor to the
// last pick, less the spare ones. A pick that leads an open anchor needs the group
// before as well. picks are indices in presentation order, ascending.
func planFor(x *index, picks []int) *plan {
	picked := make([]bool, len(x.times.Frames))
	for _, i := range picks {
		picked[i] = true
	}
	isPick := func(e entry) bool { return e.frame >= 0 && picked[e.frame] }
	groups := split(x)
	top := topLayer(x)
	for g := len(groups) - 1; g >= 0; g-- {
		gr := &groups[g]
		for i := gr.from; i < gr.to; i++ {
			if !isPick(x.entries[i]) {
				continue
			}
			gr.need = max(gr.need, i+1)
			gr.joined = gr.joined || leads(x, *gr, i)
		}
		if gr.need == 0 {
			gr.joined = false
		}
		if gr.joined && g > 0 {
			before := &groups[g-1]
			before.need = before.to
			before.joined = before.joined || lingers(x, *before, top)
		}
	}
	p := &plan{steps: make([]step, len(x.entries)), maybe: map[int32]bool{}}
	for g, gr := range groups {
		for i := gr.from; i < gr.need; i++ {
			e := x.entries[i]
			led := !gr.joined && leads(x, gr, i)
			switch {
			case e.unit.spare && e.unit.layer == top && !isPick(e), led && e.unit.leading:
				continue
			case i == gr.from && g > 0 && !gr.joined:
				p.steps[i] = stepRestart
			default:
				p.steps[i] = stepSend
			}
			switch {
			case e.frame >= 0 && led:
				p.maybe[e.frame] = true
			case e.frame >= 0:
				p.expect = append(p.expect, e.frame)
			}
		}
	}
	slices.Sort(p.expect)
	return p
}

// split finds the groups. An anchor that relies on parameter sets of the packets
// before it is none.
func split(x *index) []group {
	var groups []group
	inBand := false
	for i, e := range x.entries {
		if i > 0 {
			inBand = inBand || e.unit.params
		}
		if i == 0 || e.unit.anchor != anchorNone && (e.unit.params || !inBand) {
			groups = append(groups, group{from: i})
		}
		groups[len(groups)-1].to = i + 1
	}
	return groups
}

// topLayer is the highest temporal layer: the one whose spare pictures nobody needs.
func topLayer(x *index) uint8 {
	top := uint8(0)
	for _, e := range x.entries {
		top = max(top, e.unit.layer)
	}
	return top
}

// leads reports whether packet i of an open group is shown before the group's anchor,
// and so may depend on the group before.
func leads(x *index, g group, i int) bool {
	anchor := x.entries[g.from]
	return anchor.unit.anchor == anchorOpen && i > g.from && (x.entries[i].unit.leading || x.entries[i].pts < anchor.pts)
}

// mostReferences is how many pictures a decoder may keep for reference (H.264 and HEVC).
const mostReferences = 16

// lingers reports whether a picture that leads g could still be a reference at g's
// end, since too few pictures followed to push it out.
func lingers(x *index, g group, top uint8) bool {
	led, after := false, 0
	for i := g.from; i < g.to; i++ {
		u := x.entries[i].unit
		switch {
		case u.spare && u.layer == top:
		case leads(x, g, i):
			led = true
		default:
			after++
		}
	}
	return led && after <= mostReferences
}
