package video

import (
	"cmp"
	"errors"
	"slices"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// entry is one packet of the track, in decoding order.
type entry struct {
	pts     int64
	pos     int64 // of its bytes in the file; -1 where that is not known
	size    int64
	frame   int32 // index of its picture in presentation order, or -1
	unit    unit
	discard bool // decoded but not shown: before an edit list's start
}

// index is what one reading of the track, without decoding, tells.
type index struct {
	entries []entry
	times   codecs.Timeline
	// unclear says why the packets do not allow a plan; "" if they do.
	unclear string
	// skipped counts packets that the demuxer found damaged or cut.
	skipped int
}

// readIndex demuxes the track to its end.
func readIndex(in *input, info codecs.Info, lim codecs.Limits) (*index, error) {
	return readIndexWith(in, info, lim, parserFor(info.Codec, in.Stream.CodecParameters().ExtraData()))
}

// readIndexWith has the units of packets from a parser, which sees them in order.
func readIndexWith(in *input, info codecs.Info, lim codecs.Limits, parse unitParser) (*index, error) {
	x := &index{times: codecs.Timeline{Base: info.TimeBase}}
	if parse == nil {
		x.doubt("packets of this codec are not understood")
	}
	last := int64(noTime)
	for {
		skipped, err := in.Next()
		x.skipped += skipped
		if errors.Is(err, astiav.ErrEof) {
			break
		}
		if err != nil {
			if in.Failed(err) {
				return nil, in.Explain(err, info.Container)
			}
			// FFmpeg's own tools take a read error for the end as well.
			x.skipped++
			break
		}
		if int64(len(x.entries)) >= lim.MaxFramesDecoded {
			return nil, codecs.Errorf(codecs.CodeLimitFrames, codecs.StageProbe, "the track has more than %d frames", lim.MaxFramesDecoded)
		}
		if len(in.Packet.SideData(astiav.PacketSideDataTypeEncryptionInfo)) > 0 {
			return nil, codecs.Errorf(codecs.CodeEncrypted, codecs.StageProbe, "track %d is protected", info.Track)
		}
		e := x.entry(in.Packet, parse)
		x.entries = append(x.entries, e)
		if e.pts > last && !e.discard {
			last = e.pts
			x.times.End = e.pts + max(in.Packet.Duration(), 0)
		}
	}
	if x.skipped > 0 {
		x.doubt("packets are damaged")
	}
	if delay := videoDelay(in.Stream); delay > 0 && len(x.entries) > delay+1 && x.ascends() {
		x.doubt("times are in decoding order, though the decoder reorders pictures")
	}
	x.order()
	return x, nil
}

// lasts is the track's duration in seconds, by its packets' times; not known where they
// have none.
func (x *index) lasts() codecs.Rational {
	first := int64(noTime)
	for _, e := range x.entries {
		if e.pts != noTime && (first == noTime || e.pts < first) {
			first = e.pts
		}
	}
	if first == noTime || x.times.End <= first {
		return codecs.Rational{}
	}
	return ffmpeg.Seconds(x.times.End-first, x.times.Base)
}

func (x *index) doubt(why string) {
	if x.unclear == "" {
		x.unclear = why
	}
}

// ascends reports whether every packet's time is after that of the one before.
func (x *index) ascends() bool {
	for i := 1; i < len(x.entries); i++ {
		if x.entries[i].pts <= x.entries[i-1].pts {
			return false
		}
	}
	return true
}

func (x *index) entry(p *astiav.Packet, parse unitParser) entry {
	e := entry{pts: p.Pts(), pos: p.Pos(), size: int64(p.Size()), frame: -1, discard: p.Flags().Has(astiav.PacketFlagDiscard)}
	key := p.Flags().Has(astiav.PacketFlagKey)
	if x.unclear != "" {
		return e
	}
	var ok bool
	if e.unit, ok = parse(packetData(p), key); !ok {
		x.doubt("a packet is not understood")
	}
	if e.unit.anchor != anchorNone || e.unit.params {
		e.unit.spare = false
	}
	if e.pts == noTime {
		x.doubt("a packet has no presentation time")
	}
	if len(p.SideData(astiav.PacketSideDataTypeNewExtradata)) > 0 || len(p.SideData(astiav.PacketSideDataTypeParamChange)) > 0 {
		x.doubt("the decoder's parameters change on the way")
	}
	if len(x.entries) == 0 && e.unit.anchor == anchorNone {
		x.doubt("the track begins in the middle of a group")
	}
	return e
}

// order makes the timeline: the pictures that a decoder will give, by time.
func (x *index) order() {
	if x.unclear != "" {
		return
	}
	x.dropFirstLeading()
	var shown []int32
	for i, e := range x.entries {
		if !e.discard && !e.unit.hidden {
			shown = append(shown, int32(i))
		}
	}
	slices.SortStableFunc(shown, func(a, b int32) int { return cmp.Compare(x.entries[a].pts, x.entries[b].pts) })
	x.times.Frames = make([]codecs.FrameTime, len(shown))
	for n, i := range shown {
		e := &x.entries[i]
		if n > 0 && x.times.Frames[n-1].PTS == e.pts {
			x.doubt("two pictures share one presentation time")
		}
		e.frame = int32(n)
		x.times.Frames[n] = codecs.FrameTime{PTS: e.pts, Key: e.unit.anchor != anchorNone}
	}
}

// dropFirstLeading deals with pictures that lead the track's very first one. HEVC
// decoders drop these (RASL), by the standard. Others differ: no plan then.
func (x *index) dropFirstLeading() {
	if len(x.entries) == 0 || x.entries[0].unit.anchor != anchorOpen {
		return
	}
	for i := 1; i < len(x.entries) && x.entries[i].unit.anchor == anchorNone; i++ {
		e := &x.entries[i]
		switch {
		case e.unit.leading:
			e.unit.hidden = true
		case e.pts < x.entries[0].pts:
			x.doubt("pictures come before the first keyframe")
		}
	}
}
