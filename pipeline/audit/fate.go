package audit

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// messages compares every offset's fate with what was produced there.
func (c *chain) messages() error {
	s := c.produced[c.path]
	if s == nil {
		c.wrong("stream.unknown", -1, "", "nothing was produced to it")
		return nil
	}
	known := map[jobKey]int64{} // the offsets of ids that have samples
	asked := map[int64]int{}    // how many jobs each offset has
	slices.SortStableFunc(c.skips, func(a, b skipped) int { return cmp.Compare(a.From, b.From) })
	for _, m := range s.sorted() {
		c.message(m, known)
		asked[m.Offset]++
	}
	for at, fates := range c.fates {
		if asked[at] == 0 {
			c.wrong("message.unknown", fates[0].seq, "", "it says how offset %d ended, to which nothing was produced", at)
		}
	}
	return nil
}

func (c *chain) message(m Message, known map[jobKey]int64) {
	r := c.report
	if m.Want != Void {
		r.Messages++
	}
	fates := c.fates[m.Offset]
	if i := sort.Search(len(c.skips), func(i int) bool { return c.skips[i].From > m.Offset }); i > 0 && m.Offset < c.skips[i-1].To {
		fates = append(fates, fate{seq: c.skips[i-1].seq, reason: c.skips[i-1].Reason})
	}
	v := Violation{Stream: c.path, Seq: -1, Offset: m.Offset, ID: m.ID}
	if len(fates) == 0 {
		if m.Offset >= c.to && !c.campaign.Complete {
			r.Pending++
			return
		}
		v.Kind, v.Detail = "message.lost", fmt.Sprintf("no record says how it ended; the chain goes from %d to %d", c.first, c.to)
		r.add(&r.Lost, 1, v)
		return
	}
	f, found := pick(fates, m.Part)
	if w := &fates[0]; f == nil && len(fates) == 1 && w.ID == "" && c.excuses(w) {
		f, found = w, 1 // the message was given up before it was read, with all its parts
	}
	v.Seq = fates[0].seq
	if found > 1 {
		v.Kind, v.Detail = "message.doubled", fmt.Sprintf("%d records or outcomes say how it ended", found)
		r.add(&r.Doubled, int64(found-1), v)
	}
	c.count(f)
	if what := judge(m, f, known, c.excuses(f)); what != "" {
		v.Kind, v.Detail = "message.outcome", what
		to := &r.Wrong
		if m.Want == Samples && (f == nil || f.outcome == nil) {
			to = &r.Lost
		}
		r.add(to, 1, v)
	}
	if f != nil && f.outcome != nil && f.Status == "ok" && m.ID != "" {
		known[jobKey{m.Dataset, m.ID}] = m.Offset
	}
}

// excuses reports whether any message may end so.
func (c *chain) excuses(f *fate) bool {
	return f != nil && f.outcome != nil && f.Status == "quarantined" && slices.Contains(c.campaign.Excused, f.Code)
}

// pick gives the first fate of a part, and how many there are.
func pick(fates []fate, part int) (f *fate, found int) {
	for i := range fates {
		if fates[i].outcome == nil || fates[i].Part == part {
			if f == nil {
				f = &fates[i]
			}
			found++
		}
	}
	return f, found
}

func (c *chain) count(f *fate) {
	r := c.report
	switch {
	case f == nil:
	case f.outcome == nil || f.Status == "gap":
		r.Gaps++
	case f.Status == "ok":
		r.OK++
	case f.Status == "dup-of":
		r.Dup++
	case f.Status == "quarantined":
		r.Quarantined++
	case f.Status == "none":
		r.None++
	}
}

// judge says what is wrong with a message's fate; "" if nothing is.
func judge(m Message, f *fate, known map[jobKey]int64, excused bool) string {
	if f == nil {
		return fmt.Sprintf("part %d has no outcome", m.Part)
	}
	if m.Want == Void || f.outcome == nil {
		if m.Want == Void && f.outcome == nil {
			return ""
		}
		if f.outcome == nil {
			return fmt.Sprintf("it is skipped (%s); it was to end as %s", f.reason, m.Want)
		}
		return fmt.Sprintf("it is %s; there is no message", f.Status)
	}
	if f.ID != m.ID && !(f.ID == "" && f.Status == "quarantined") || f.ID != "" && f.Dataset != m.Dataset {
		return fmt.Sprintf("it says id %q of dataset %q; produced was %q of %q", f.ID, f.Dataset, m.ID, m.Dataset)
	}
	if excused {
		return ""
	}
	if first, yes := known[jobKey{m.Dataset, m.ID}]; yes && m.ID != "" {
		if f.Status != "dup-of" || f.Of == nil || *f.Of != first {
			return fmt.Sprintf("it is %s; it repeats offset %d and was to be dup-of that", f.show(), first)
		}
		return ""
	}
	switch m.Want {
	case Samples:
		if f.Status == "ok" && (m.Samples < 0 || f.Samples == m.Samples) {
			return ""
		}
		return fmt.Sprintf("it is %s; it was to end as %d samples", f.show(), m.Samples)
	case Refused:
		if f.Status == "quarantined" && (m.Code == "" || f.Code == m.Code) {
			return ""
		}
		return fmt.Sprintf("it is %s; it was to be refused with %q", f.show(), m.Code)
	case Nothing:
		if f.Status == "none" {
			return ""
		}
		return fmt.Sprintf("it is %s; it asks for nothing", f.show())
	}
	if f.Status == "ok" || f.Status == "quarantined" {
		return ""
	}
	return fmt.Sprintf("it is %s", f.show())
}

func (f *fate) show() string {
	switch {
	case f.Status == "ok":
		return fmt.Sprintf("ok with %d samples", f.Samples)
	case f.Of != nil:
		return fmt.Sprintf("%s %d", f.Status, *f.Of)
	case f.Code != "":
		return f.Status + " with " + f.Code
	}
	return f.Status
}
