package video

import (
	"context"
	"errors"
	"slices"
	"sort"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// Reader gives a track's picked frames. It belongs to one goroutine.
type Reader struct {
	// ctx is the one of Open: frames come by Next, which takes none.
	ctx       context.Context
	src       codecs.Source
	container string
	pick      codecs.Pick
	lim       codecs.Limits
	opt       Options

	info   codecs.Info
	index  *index
	params *astiav.CodecParameters // of the track, as probed
	held   ffmpeg.Owner            // of params
	whole  bool                    // everything is decoded, and times come from the pictures
	sparse bool                    // the source is, see codecs.Sparse
	holes  []ffmpeg.Span           // of a sparse source: what no pick needs
	cut    bool                    // the file ends early

	alpha bool // the track has transparency that its decoder leaves out

	times  codecs.Timeline
	places []int32 // of a whole track
	picks  []int
	near   []int // the picks, and what it takes to deinterlace them
	pass   *pass
	fields *deinterlacer // nil unless it is asked for
	conv   *converter
	frame  codecs.Frame
	at     int // pictures seen, in a whole pass
	expect int // place in pass.plan.expect
	done   int // picks handled
	given  []codecs.Moment
	last   int64 // PTS of the last frame given
	err    error // final
}

var _ codecs.Frames = (*Reader)(nil)

// Open plans the decoding of the source's best video track and makes ready to give the
// frames that pick chooses. container is what [Sniff] said. The source must stay
// readable until Close.
//
// Faults of the media are of type *[codecs.Error]. Anything else (the source could not
// be read, ctx ended) is not the media's fault and may go away.
func Open(ctx context.Context, src codecs.Source, container string, pick codecs.Pick, lim codecs.Limits, opt Options) (codecs.Frames, error) {
	if err := errors.Join(pick.Validate(), lim.Validate(), opt.validate()); err != nil {
		return nil, err
	}
	r := &Reader{ctx: ctx, src: src, container: container, pick: pick, lim: lim, opt: opt, last: noTime}
	if err := r.open(); err != nil {
		r.Close()
		return nil, truncated(ffmpeg.Fault(err, codecs.StageDecode), src, container)
	}
	return r, nil
}

func (r *Reader) open() error {
	if s, ok := r.src.(codecs.Sparse); ok && s.Sparse() {
		if r.sparse = true; r.container != MP4 && r.container != MOV || r.opt.DecodeAll {
			return codecs.ErrWhole
		}
	}
	in, err := openInput(r.ctx, r.src, r.container, r.lim, r.opt)
	if err != nil {
		return err
	}
	defer in.Free()
	in.MaxPacketBytes = r.lim.MaxFrameBytes
	r.info = in.info(r.container)
	if err := checkInfo(r.info, r.lim); err != nil {
		return err
	}
	codecs.Lasts(r.src, r.info.Duration)
	if r.params = astiav.AllocCodecParameters(); r.params == nil {
		return ffmpeg.ErrAlloc
	}
	r.held.Own(r.params.Free)
	if err := in.Stream.CodecParameters().Copy(r.params); err != nil {
		return err
	}
	if r.sparse {
		err = r.readSparsely()
	} else {
		r.index, err = readIndex(in, r.info, r.lim)
	}
	if err != nil {
		return err
	}
	r.cut = r.index.skipped > 0 || cut(r.src, r.container)
	r.alpha = in.hidesAlpha()
	if r.conv, err = newConverter(); err != nil {
		return err
	}
	if r.opt.Interlaced == Deinterlace {
		if r.fields, err = newDeinterlacer(); err != nil {
			return err
		}
	}
	if len(r.index.entries) == 0 {
		return r.noFrames()
	}
	codecs.Lasts(r.src, r.index.lasts())
	if r.index.unclear != "" {
		return r.startWhole()
	}
	return r.startPlan()
}

// startPlan decodes what the picks depend on.
func (r *Reader) startPlan() error {
	if err := r.choose(r.index.times); err != nil {
		return err
	}
	p := planFor(r.index, r.near)
	if r.opt.DecodeAll {
		p = sendAll(r.index)
	}
	return r.start(p)
}

// startWhole decodes everything: once for the times, then for the pictures.
func (r *Reader) startWhole() error {
	if r.sparse {
		return codecs.ErrWhole
	}
	r.whole = true
	if err := r.start(nil); err != nil {
		return err
	}
	w, err := wholeTimes(r.pass, r.info.TimeBase)
	if err != nil {
		return err
	}
	r.places = w.places
	if err := r.choose(w.times); err != nil {
		return err
	}
	return r.start(nil)
}

func (r *Reader) noFrames() error {
	if r.cut {
		return codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "the file ends before its first whole frame")
	}
	return codecs.Errorf(codecs.CodeNoFrames, codecs.StageDecode, "track %d gave not one frame", r.info.Track)
}

// choose sets the timeline and picks from it, under the limits. Where it fails, nothing
// has changed.
func (r *Reader) choose(t codecs.Timeline) error {
	if len(t.Frames) == 0 {
		return r.noFrames()
	}
	start, end := t.Frames[0].PTS, t.Ends()
	// Times near the ends of int64 would overflow below, and are nobody's clock.
	const far = 1 << 61
	if start < -far || end > far {
		return codecs.Errorf(codecs.CodeTime, codecs.StageProbe, "presentation times run from %d to %d ticks", start, end)
	}
	duration := ffmpeg.Seconds(end-start, t.Base)
	if !duration.Known() || duration.Cmp(codecs.Rational{Num: r.lim.MaxDuration, Den: 1}) > 0 {
		return codecs.Errorf(codecs.CodeLimitDuration, codecs.StageProbe, "the track lasts %.0f s; the limit is %d s", float64(end-start)*t.Base.Float(), r.lim.MaxDuration)
	}
	picks := r.pick.Select(t)
	if int64(len(picks)) > r.lim.MaxFramesKept {
		return codecs.Errorf(codecs.CodeLimitFrames, codecs.StagePick, "%d frames were picked; the limit is %d", len(picks), r.lim.MaxFramesKept)
	}
	r.times, r.picks, r.near = t, picks, picks
	r.info.Frames, r.info.Duration = int64(len(t.Frames)), duration
	if r.fields != nil {
		r.near = widen(picks, len(t.Frames))
	}
	// After a change to decoding everything, what was given already is not given again.
	r.done = sort.Search(len(picks), func(i int) bool { return t.Frames[picks[i]].PTS > r.last })
	return nil
}

// start opens the source anew for a pass; nil sends everything.
func (r *Reader) start(p *plan) error {
	r.stop()
	r.at, r.expect = 0, 0
	if r.fields != nil {
		r.fields.reset()
	}
	in, err := r.reopen(p != nil)
	if err != nil {
		return err
	}
	if in.Stream.Index() != r.info.Track || ffmpeg.Rational(in.Stream.TimeBase()) != r.info.TimeBase {
		in.Free()
		return errors.New("the medium changed while it was read")
	}
	in.LeaveOut(r.holes)
	dec, err := openDecoder(r.params, p != nil && len(p.maybe) > 0, r.lim, r.opt)
	if err != nil {
		in.Free()
		return err
	}
	in.MaxPacketBytes = r.lim.MaxFrameBytes
	r.pass = &pass{in: in, dec: dec, lim: r.lim, plan: p, entries: r.index.entries}
	return nil
}

// reopen opens the source again. Where the container holds all that packets need, and a
// plan finds pictures by the times in them, the streams need no second probing.
func (r *Reader) reopen(planned bool) (*input, error) {
	if planned && slices.Contains(onByDefault, r.container) {
		return reopenInput(r.ctx, r.src, r.container, r.opt, r.info.Track)
	}
	return openInput(r.ctx, r.src, r.container, r.lim, r.opt)
}

func (r *Reader) stop() {
	if r.pass != nil {
		r.pass.close()
		r.pass = nil
	}
}

// Info implements [codecs.Frames]. Frames and Duration are what the track really has.
func (r *Reader) Info() codecs.Info { return r.info }

// Picks implements [codecs.Frames].
func (r *Reader) Picks() []codecs.Moment {
	l := slices.Clone(r.given)
	for _, n := range r.picks[r.done:] {
		l = append(l, codecs.Moment{Index: int64(n), PTS: ffmpeg.Seconds(r.times.Frames[n].PTS, r.times.Base)})
	}
	return l
}

// Close frees all foreign memory. It may be called twice.
func (r *Reader) Close() error {
	r.stop()
	if r.fields != nil {
		r.fields.close()
		r.fields = nil
	}
	if r.conv != nil {
		r.conv.close()
		r.conv = nil
	}
	r.held.Free()
	if r.err == nil {
		r.err = errors.New("the video reader is closed")
	}
	return nil
}
