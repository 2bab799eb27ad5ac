package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
)

// ClipInfo says what a clip is made of.
type ClipInfo struct {
	// Frames are the picked frames in it, each by its place and exact time.
	Frames []codecs.Moment `json:"frames"`
	// Repeated is how often the last frame stands once more, to fill the clip.
	Repeated int `json:"repeated,omitempty"`
	// Rate is the effective rate over the whole clip in frames a second: between the first
	// frame's time and the last one's. 0 for a clip of one frame.
	Rate float64 `json:"rate,omitempty"`
}

// maxOverlap is how many clips may be under way at a time.
const maxOverlap = 16

// clipSet is one clip under way: a cutter for each token output.
type clipSet struct {
	cutters []clipCutter
	window  window
	first   codecs.Frame // without pixels
	kept    Field        // picture of the first frame, owned
	end     codecs.Rational
}

type clipCutter struct {
	spec patch.Spec
	patch.ClipCutter
	npy   arrays
	times []byte
}

// window is a clip's place among the picks: picks[from:from+frames], the last of them
// repeated.
type window struct{ from, frames, repeated int }

// compileClips checks the recipe's clip rules by making the first set.
func (l *Line) compileClips() error {
	c := l.recipe.Video.Clip
	if !c.On() {
		return nil
	}
	if !c.All && (c.Stride < 1 || c.Frames > maxOverlap*c.Stride) {
		return fmt.Errorf("video.clip: windows of %d frames that move by %d overlap more than %d-fold; write a larger stride", c.Frames, c.Stride, maxOverlap)
	}
	set, err := l.newClipSet()
	if err == nil {
		l.clips = append(l.clips, set)
	}
	return err
}

func (l *Line) newClipSet() (*clipSet, error) {
	set := &clipSet{}
	for _, spec := range l.recipe.Tokens {
		if spec.Media == "image" {
			continue
		}
		c, err := patch.NewClip(spec, l.patchLimits())
		if err != nil {
			return nil, fmt.Errorf("token output %q: %w", spec.Name, err)
		}
		set.cutters = append(set.cutters, clipCutter{spec: spec.Normalise(), ClipCutter: c})
	}
	return set, nil
}

// windows are the clips of n picked frames.
func (c Clip) windows(n int) []window {
	if c.All {
		return []window{{0, n, 0}}
	}
	var l []window
	for from := 0; from < n; from += c.Stride {
		w := window{from: from, frames: min(c.Frames, n-from)}
		if w.frames < c.Frames {
			if c.Last == "drop" || from > 0 && l[len(l)-1].from+l[len(l)-1].frames == n {
				break // also where the clip before holds all of it
			}
			if c.Last == "repeat" {
				w.repeated = c.Frames - w.frames
			}
		}
		l = append(l, w)
	}
	return l
}

// runClips makes a sample of each window of picked frames. Frames are cut as they come,
// into every clip that they belong to: none is kept at full size.
func (l *Line) runClips(ctx context.Context, r *run, frames codecs.Frames, sounds codecs.Sounds) error {
	info, picks := frames.Info(), frames.Picks()
	waiting := l.recipe.Video.Clip.windows(len(picks))
	if len(waiting) == 0 {
		return codecs.Errorf(codecs.CodeNoFrames, codecs.StagePick, "%d frames were picked, and a clip needs %d; write last: keep or repeat, or pick more",
			len(picks), l.recipe.Video.Clip.Frames)
	}
	var active []*clipSet // the one that ends first is first
	defer func() { l.clips = append(l.clips, active...) }()
	at, whole := 0, 0
	early, err := l.each(ctx, r, frames, func(f *codecs.Frame) error {
		if at >= len(picks) || picks[at].Index != f.Index {
			return errOtherFrames
		}
		if len(waiting) > 0 && waiting[0].from == at {
			set, err := l.freeClip()
			if err != nil {
				return err
			}
			active = append(active, set)
			if err := l.startClip(set, waiting[0], f); err != nil {
				return err
			}
			waiting = waiting[1:]
		}
		at++
		for _, set := range active {
			if err := set.add(f, at-set.window.from); err != nil {
				return err
			}
		}
		if len(active) == 0 || at < active[0].window.from+active[0].window.frames {
			return nil
		}
		done := active[0]
		done.end = endOf(f, picks, at)
		active = active[1:]
		l.clips = append(l.clips, done)
		whole++
		return l.emitClip(r, info, done, picks[done.window.from:at], sounds)
	})
	switch {
	case err != nil:
		return err
	case early != nil && whole == 0:
		return early // frames came, but not one clip
	case early == nil && at < len(picks):
		return errOtherFrames
	}
	return nil
}

// errOtherFrames refuses a video of which other frames come out than were picked: clips
// are planned before the first is decoded.
var errOtherFrames = codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode, "the video is damaged: its frames are not those that its clips were planned with")

// endOf is where a clip ends whose last frame is f: where the next picked frame begins,
// so that neighbouring clips leave no sound out, else when f stops being shown.
func endOf(f *codecs.Frame, picks []codecs.Moment, at int) codecs.Rational {
	switch {
	case at < len(picks):
		return picks[at].PTS
	case f.Duration.Known():
		return f.PTS.Add(f.Duration)
	}
	return f.PTS
}

// freeClip takes a set of which no clip is under way.
func (l *Line) freeClip() (set *clipSet, err error) {
	n := len(l.clips)
	if n == 0 {
		return l.newClipSet()
	}
	set, l.clips = l.clips[n-1], l.clips[:n-1]
	return set, nil
}

// startClip begins a window of frames with its first.
func (l *Line) startClip(set *clipSet, w window, f *codecs.Frame) error {
	set.window, set.kept = w, Field{}
	set.first = *f
	set.first.Pixels.Pix = nil
	set.first.Applied = append([]string(nil), f.Applied...)
	for _, c := range set.cutters {
		if err := c.Start(w.frames+w.repeated, f.Width, f.Height); err != nil {
			return err
		}
	}
	if l.recipe.Keep.Frame != "" {
		kept, err := l.keepFrame(f)
		if err != nil {
			return err
		}
		set.kept = Field{kept.Name, append([]byte(nil), kept.Data...)}
	}
	return nil
}

// add cuts a clip's n-th frame, counted from 1.
func (set *clipSet) add(f *codecs.Frame, n int) error {
	times := 1
	if n == set.window.frames {
		times += set.window.repeated
	}
	for _, c := range set.cutters {
		for range times {
			if err := c.Add(f.Pixels); err != nil {
				return err
			}
		}
	}
	return nil
}

// emitClip names a finished clip's fields.
func (l *Line) emitClip(r *run, info codecs.Info, set *clipSet, frames []codecs.Moment, sounds codecs.Sounds) error {
	start := set.first.PTS
	s := &Sample{Key: SampleKey(r.job.Dataset, r.job.ID, r.medium, info.Track, start)}
	d := l.describe(r.job, s.Key)
	d.setFrame(r, info, &set.first)
	d.Duration = set.end.Sub(start)
	d.Clip = &ClipInfo{Frames: frames, Repeated: set.window.repeated, Rate: rate(len(frames)-1, frames[0].PTS, frames[len(frames)-1].PTS)}
	var total int64
	for i := range set.cutters {
		c := &set.cutters[i]
		t, err := c.Finish()
		if err != nil {
			return err
		}
		d.setTokens(c.spec, t, true)
		c.npy.addTo(s, c.spec.Name, t)
		c.times = appendTimes(c.times[:0], steps(frames, max(c.spec.TemporalPatch, 1), set.window.repeated, set.end))
		s.Fields = append(s.Fields, Field{c.spec.Name + ".times.npy", c.times})
		total += int64(t.Count)
	}
	if set.kept.Name != "" {
		s.Fields = append(s.Fields, set.kept)
	}
	if sounds != nil {
		if err := l.addSound(s, d, sounds, start, set.end); err != nil && err != io.EOF && !l.endsEarly(err, codecs.KindVideo) {
			return err
		}
	}
	if err := l.finish(s, r.job, d); err != nil {
		return err
	}
	return r.emit(s, total)
}

// step is one temporal step of a clip's tokens: the frames that one token covers.
type step struct {
	seconds float64 // the middle between its first frame's time and its last one's
	rate    float64 // its frames a second, up to the next step's first frame; 0 where unknown
}

// steps gives each temporal step its time, as Qwen3-VL writes it into the prompt (the
// mean of the step's first and last frame; transformers' Qwen3VLProcessor,
// _calculate_timestamps), and the rate at which its frames really follow each other. A
// last step that is not full counts its last frame again, as the layouts do.
func steps(frames []codecs.Moment, per, repeated int, end codecs.Rational) []step {
	n := len(frames) + repeated
	at := func(i int) codecs.Rational { return frames[min(i, len(frames)-1)].PTS }
	l := make([]step, 0, (n+per-1)/per)
	for i := 0; i < n; i += per {
		s := step{seconds: (at(i).Float() + at(i+per-1).Float()) / 2}
		switch last := min(i+per, len(frames)); {
		case last < len(frames):
			s.rate = rate(per, at(i), at(last))
		case i < last:
			s.rate = rate(last-i, at(i), end)
		}
		l = append(l, s)
	}
	return l
}

// rate is n frames over the time between two moments, in frames a second; 0 where there
// is no time between them.
func rate(n int, from, to codecs.Rational) float64 {
	if d := to.Sub(from); n > 0 && d.Known() && d.Num > 0 {
		return float64(n) / d.Float()
	}
	return 0
}

// appendTimes makes NAME.times.npy: float64 [steps, 2], seconds and frames a second.
func appendTimes(dst []byte, steps []step) []byte {
	a := patch.Array{DType: "float64", Shape: []int{len(steps), 2}, Data: make([]byte, 0, 16*len(steps))}
	for _, s := range steps {
		a.Data = binary.LittleEndian.AppendUint64(a.Data, math.Float64bits(s.seconds))
		a.Data = binary.LittleEndian.AppendUint64(a.Data, math.Float64bits(s.rate))
	}
	return patch.AppendNPY(dst, a)
}
