package video

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// maxRounds bounds how often more groups turn out to be needed: each round adds the one
// before.
const maxRounds = 4

// readSparsely makes the index of a source of which little is to be read. An ISO file has
// times, sizes and sync samples of all packets in one place, so the packets themselves are
// left out of the reading: they come as zeros. Only of groups that hold a pick, and of the
// first, are the packets' own headers read, and held against what the container says.
// For all others it is taken at its word. Where that does not do, the error is
// [codecs.ErrWhole].
func (r *Reader) readSparsely() error {
	bodies, ok := ffmpeg.Bodies(r.src)
	if !ok || r.info.Codec != "h264" && r.info.Codec != "hevc" {
		return codecs.ErrWhole // of other codecs a packet may hold no picture
	}
	declared, err := r.readAround(bodies, func(data []byte, key bool) (unit, bool) {
		return byFlag(data, key, anchorClosed)
	})
	if err != nil {
		return err
	}
	if declared.unclear != "" || len(declared.entries) == 0 {
		return codecs.ErrWhole
	}
	if err := r.choose(declared.times); err != nil {
		return err
	}
	wanted := declared.around(r.near)
	for range maxRounds {
		if r.index, err = r.readWanted(declared, bodies, wanted); err != nil {
			return err
		}
		whole := true
		for i, s := range planFor(r.index, r.near).steps {
			if s != stepDrop && !wanted[i] {
				whole, wanted[i] = false, true
			}
		}
		if whole {
			r.holes = ffmpeg.Without(bodies, r.index.spans(wanted))
			return nil
		}
	}
	return codecs.ErrWhole
}

// readAround reads the index of a source with holes, as the container has it: what FFmpeg's
// parsers would make of zeros is nothing to go by.
func (r *Reader) readAround(holes []ffmpeg.Span, parse unitParser) (*index, error) {
	in, err := r.reopen(true)
	if err != nil {
		return nil, err
	}
	defer in.Free()
	in.Plain()
	in.MaxPacketBytes = r.lim.MaxFrameBytes
	in.LeaveOut(holes)
	return readIndexWith(in, r.info, r.lim, parse)
}

// readWanted reads the headers of the packets that are wanted.
func (r *Reader) readWanted(declared *index, bodies []ffmpeg.Span, wanted []bool) (*index, error) {
	parse := parserFor(r.info.Codec, r.params.ExtraData())
	n := -1
	x, err := r.readAround(ffmpeg.Without(bodies, declared.spans(wanted)), func(data []byte, _ bool) (unit, bool) {
		if n++; n >= len(wanted) {
			return unit{}, false
		}
		if !wanted[n] {
			return declared.entries[n].unit, true
		}
		key := declared.entries[n].unit.anchor != anchorNone
		u, ok := parse(data, key)
		return u, ok && key == (u.anchor != anchorNone)
	})
	if err != nil {
		return nil, err
	}
	same := func(a, b entry) bool { return a.pts == b.pts && a.pos == b.pos && a.size == b.size }
	if x.unclear != "" || !slices.EqualFunc(x.entries, declared.entries, same) || !slices.Equal(x.times.Frames, declared.times.Frames) {
		return nil, codecs.ErrWhole
	}
	return x, nil
}

// around marks the packets of the groups that hold pictures, of the group before where one
// may lead its own, and of the first.
func (x *index) around(pictures []int) []bool {
	need := make([]bool, len(x.times.Frames))
	for _, n := range pictures {
		need[n] = true
	}
	groups := split(x)
	marked := make([]bool, len(groups))
	marked[0] = true
	for g, gr := range groups {
		for _, e := range x.entries[gr.from:gr.to] {
			if e.frame >= 0 && need[e.frame] {
				marked[g] = true
				if e.pts < x.entries[gr.from].pts && g > 0 {
					marked[g-1] = true
				}
			}
		}
	}
	wanted := make([]bool, len(x.entries))
	for g, gr := range groups {
		for i := gr.from; i < gr.to; i++ {
			wanted[i] = marked[g]
		}
	}
	return wanted
}

// spans are where the packets are that are marked.
func (x *index) spans(marked []bool) []ffmpeg.Span {
	var l []ffmpeg.Span
	for i, e := range x.entries {
		if marked[i] && e.pos >= 0 {
			l = append(l, ffmpeg.Span{From: e.pos, To: e.pos + e.size})
		}
	}
	slices.SortFunc(l, func(a, b ffmpeg.Span) int { return cmp.Compare(a.From, b.From) })
	joined := l[:0]
	for _, s := range l {
		if n := len(joined); n > 0 && s.From <= joined[n-1].To {
			joined[n-1].To = max(joined[n-1].To, s.To)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}
