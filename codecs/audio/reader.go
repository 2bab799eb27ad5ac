package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

const (
	// Tolerance is how far a stamp may be from where the sound before it ends. It is half
	// of the shortest packet that is usual (20 ms), so that a lost packet is seen, and
	// well above what containers round to (1 ms) and what muxers are seen to be off by.
	Tolerance = 10 * time.Millisecond
	// MaxSpan is the most that [Reader.Span] gives at a time.
	MaxSpan = 10 * time.Minute
)

// Reader gives stretches of one track's sound. It belongs to one goroutine.
type Reader struct {
	in   *ffmpeg.Input
	dec  *decoder
	lim  codecs.Limits
	info codecs.Info
	cut  bool // the file ends early

	grid    grid
	run     *stretch // nil before the first frame
	silent  int64    // up to this sample of the grid there is silence first
	first   sound    // what the decoder's frame says, if held
	held    bool     // the decoder's frame is still to be taken
	changes int      // of rate
	shift   int64    // ticks that are added to all stamps
	mono    []float32

	out   []float32 // samples from base on
	base  int64
	keep  int64 // samples before this one are needed no more
	ended bool
	err   error // final
}

var _ codecs.Sounds = (*Reader)(nil)

// Open chooses the source's track by the rules and decodes up to its first sample.
// container is what [Sniff] said, or codecs/video's. The source must stay readable until
// Close.
//
// Faults of the media are of type *[codecs.Error]. Anything else (the source could not
// be read, ctx ended, rules that no track fulfils) is not the media's fault.
func Open(ctx context.Context, src codecs.Source, container string, rules Rules, lim codecs.Limits) (codecs.Sounds, error) {
	if err := errors.Join(rules.Validate(), lim.Validate()); err != nil {
		return nil, err
	}
	r := &Reader{lim: lim, cut: cut(src, container)}
	if err := r.open(ctx, src, container, rules); err != nil {
		r.Close()
		return nil, r.truncated(ffmpeg.Fault(err, codecs.StageDecode))
	}
	return r, nil
}

func (r *Reader) open(ctx context.Context, src codecs.Source, container string, rules Rules) (err error) {
	if r.in, err = openInput(ctx, src, container, rules, r.lim); err != nil {
		return err
	}
	r.info = describe(r.in, container)
	if most := (codecs.Rational{Num: r.lim.MaxDuration, Den: 1}); r.info.Duration.Known() && exactDuration(r.in.Format) && r.info.Duration.Cmp(most) > 0 {
		return codecs.Errorf(codecs.CodeLimitDuration, codecs.StageProbe, "the track lasts %.0f s; the limit is %d s", r.info.Duration.Float(), r.lim.MaxDuration)
	}
	codecs.Lasts(src, r.info.Duration)
	if r.dec, err = openDecoder(r.in); err != nil {
		return err
	}
	if r.first, r.held, err = r.dec.next(); err != nil {
		return err
	}
	if !r.held {
		return codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode, "track %d gave not one sample", r.info.Track)
	}
	r.grid = grid{start: codecs.Rational{Den: 1}, rate: rules.Rate}
	if r.first.time != ffmpeg.NoTime {
		r.grid.start = ffmpeg.Seconds(r.first.time, r.info.TimeBase)
	}
	// Beyond a century, times are nobody's clock, and fractions would overflow.
	if s := r.grid.start; !s.Known() || math.Abs(s.Float()) > 1<<32 {
		return codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "the track starts at tick %d of %v s", r.first.time, r.info.TimeBase)
	}
	r.info.Start, r.info.SampleRate, r.info.Channels = r.grid.start, r.first.rate, r.first.channels
	return checkSound(r.first.channels, r.first.rate)
}

// truncated names the more useful fault where the file's end is missing.
func (r *Reader) truncated(err error) error {
	if e := codecs.AsError(err); e != nil && e.Code == codecs.CodeInvalid && (r.cut || r.dec != nil && r.dec.cut) {
		return &codecs.Error{Code: codecs.CodeTruncated, Stage: e.Stage, Detail: "the file ends early: " + e.Detail, Err: e.Err}
	}
	return err
}

// Info implements [codecs.Sounds]. SampleRate and Channels are those of the first frame
// decoded, Start is exact; Duration is what the container declares, which may be a guess.
func (r *Reader) Info() codecs.Info { return r.info }

// Span implements [codecs.Sounds]. It may begin before where the last one ended, but not
// before where that one began. More than [MaxSpan] is refused with
// [codecs.CodeLimitDuration]. A span that ends before the track starts is empty. The
// sound of a file that ends early comes first, then the error [codecs.CodeTruncated]
// instead of io.EOF.
func (r *Reader) Span(from, to codecs.Rational) (*codecs.Sound, error) {
	if r.err != nil {
		return nil, r.err
	}
	s, err := r.span(from, to)
	if err != nil {
		r.err = ffmpeg.Fault(err, codecs.StageDecode)
		return nil, r.err
	}
	return s, nil
}

func (r *Reader) span(from, to codecs.Rational) (*codecs.Sound, error) {
	if !from.Known() || !to.Known() {
		return nil, errors.New("a span of sound needs two known times")
	}
	if length := to.Add(codecs.NewRational(-from.Num, from.Den)); to.Cmp(from) > 0 && (!length.Known() || length.Cmp(codecs.NewRational(int64(MaxSpan), int64(time.Second))) > 0) {
		return nil, codecs.Errorf(codecs.CodeLimitDuration, codecs.StageDecode, "a span from %.3f to %.3f s is longer than %v", from.Float(), to.Float(), MaxSpan)
	}
	a := max(r.grid.index(from), 0)
	b := max(r.grid.index(to), a)
	if a < r.keep {
		return nil, fmt.Errorf("spans of sound must not go back: %.3f s comes after %.3f s", from.Float(), r.grid.time(r.keep).Float())
	}
	r.keep = a
	r.forget()
	// One more tells whether the track has anything at a or later.
	for !r.ended && r.base+int64(len(r.out)) < max(b, a+1) {
		if err := r.step(max(b, a+1)); err != nil {
			return nil, err
		}
	}
	if a >= r.base+int64(len(r.out)) {
		return nil, r.end()
	}
	at := r.grid.time(a)
	if !at.Known() {
		return nil, codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "sample %d of the track has no time of 64 bits", a)
	}
	n := min(b-r.base, int64(len(r.out)))
	return &codecs.Sound{Rate: r.grid.rate, PTS: at, Samples: r.out[a-r.base : n]}, nil
}

// end is what comes after the last sample.
func (r *Reader) end() error {
	if r.cut || r.dec.cut || r.short() {
		whole := float64(r.base+int64(len(r.out))) / float64(r.grid.rate)
		return codecs.Errorf(codecs.CodeTruncated, codecs.StageDecode, "the file ends early; %.3f s of sound were whole", whole)
	}
	return io.EOF
}

// short compares with what the header of a file declares that has no other length.
func (r *Reader) short() bool {
	if c := r.info.Container; c != FLAC && c != MP3 || !exactDuration(r.in.Format) || !r.info.Duration.Known() {
		return false
	}
	const slack = 0.1 // seconds; what encoders count differently
	end := r.grid.start.Float() + float64(r.base+int64(len(r.out)))/float64(r.grid.rate)
	return end < r.info.Duration.Float()-slack
}

// step makes some more samples: silence up to sample to, or one frame's sound.
func (r *Reader) step(to int64) error {
	if pos := r.base + int64(len(r.out)); pos < r.silent {
		r.quiet(min(r.silent, max(to, pos+1)))
		return nil
	}
	s, ok := r.first, r.held
	if r.held = false; !ok {
		var err error
		if s, ok, err = r.dec.next(); err != nil {
			return err
		}
		if s.time != ffmpeg.NoTime {
			s.time += r.shift
		}
	}
	if !ok {
		r.ended = true
		return r.finish()
	}
	if err := r.take(s); err != nil {
		return err
	}
	r.forget()
	if r.base+int64(len(r.out)) > r.lim.MaxDuration*int64(r.grid.rate) {
		return codecs.Errorf(codecs.CodeLimitDuration, codecs.StageDecode, "the track lasts longer than %d s", r.lim.MaxDuration)
	}
	return nil
}

// take puts one frame where its stamp says.
func (r *Reader) take(s sound) error {
	if !s.known {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "samples come as %s, which is not read", r.dec.frame.SampleFormat().Name())
	}
	from := 0
	if run := r.run; run == nil || run.rate != s.rate {
		return r.start(s)
	} else if s.time != ffmpeg.NoTime {
		off, slack := run.ahead(s.time, r.info.TimeBase), Tolerance.Seconds()*float64(s.rate)
		switch {
		case off > slack:
			return r.start(s)
		case off < -slack && r.alone():
			r.shift += r.ticks(-off / float64(s.rate))
		case off < -slack:
			from = int(min(math.Round(-off), float64(s.samples)))
		}
	}
	if n := s.samples - from; cap(r.mono) < n {
		r.mono = make([]float32, n)
	}
	r.mono = r.mono[:s.samples-from]
	mix(r.dec.frame, from, r.mono)
	var err error
	r.out, err = r.run.push(r.mono, r.out)
	return failed(err)
}

// start ends the stretch so far and begins one with the frame, which is held until the
// silence before it is out.
func (r *Reader) start(s sound) error {
	if err := checkSound(s.channels, s.rate); err != nil {
		return err
	}
	if err := r.finish(); err != nil {
		return err
	}
	if r.run != nil && r.run.rate != s.rate {
		r.changes++
	}
	if r.changes > r.lim.MaxSizeChanges {
		return codecs.Errorf(codecs.CodeLimitChanges, codecs.StageDecode, "the sample rate changes more than %d times", r.lim.MaxSizeChanges)
	}
	pos := r.base + int64(len(r.out))
	end := r.ticks(r.grid.time(pos).Float())
	if s.time == ffmpeg.NoTime {
		s.time = end
	} else if s.time < end && r.alone() {
		r.shift += end - s.time
		s.time = end
	}
	due := ffmpeg.Seconds(s.time, r.info.TimeBase)
	if !due.Known() {
		return codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "tick %d of %v s has no time of 64 bits", s.time, r.info.TimeBase)
	}
	at := r.grid.index(due)
	if at > r.lim.MaxDuration*int64(r.grid.rate) {
		return codecs.Errorf(codecs.CodeLimitDuration, codecs.StageDecode, "the track lasts longer than %d s, by a stamp of %d ticks", r.lim.MaxDuration, s.time)
	}
	next := &stretch{rate: s.rate, from: s.time, late: max(pos-at, 0)}
	if s.rate != r.grid.rate {
		if next.res = newResampler(s.rate, r.grid.rate); next.res == nil {
			return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "this FFmpeg can not resample %d to %d Hz by soxr; it must be built with libsoxr", s.rate, r.grid.rate)
		}
	}
	r.silent, r.run, r.first, r.held = at, next, s, true
	return nil
}

// alone reports whether the container holds nothing but sound. Then there is no other
// track to keep step with, and early stamps are no overlap: they start anew in the links
// of a chained Ogg file, and in bare frames FFmpeg counts them up, by the first one's rate.
func (r *Reader) alone() bool {
	return slices.Contains([]string{MP3, ADTS, Ogg, FLAC, WAV}, r.info.Container)
}

// ticks is a number of seconds in the stream's time base.
func (r *Reader) ticks(seconds float64) int64 {
	return int64(math.Round(seconds / r.info.TimeBase.Float()))
}

// finish brings out what the stretch still holds.
func (r *Reader) finish() error {
	if r.run == nil {
		return nil
	}
	var err error
	r.out, err = r.run.end(r.out)
	return failed(err)
}

func failed(err error) error {
	if err == nil {
		return nil
	}
	return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "the sound could not be resampled: %w", err)
}

// quiet adds silence up to sample to, of which only what is kept takes memory.
func (r *Reader) quiet(to int64) {
	if len(r.out) == 0 && r.base < r.keep {
		r.base = min(to, r.keep)
	}
	n := len(r.out)
	more := int(to - r.base - int64(n))
	r.out = append(r.out, make([]float32, more)...)
}

// forget drops the samples that are needed no more.
func (r *Reader) forget() {
	drop := min(r.keep-r.base, int64(len(r.out)))
	if drop <= 0 {
		return
	}
	r.out = r.out[:copy(r.out, r.out[drop:])]
	r.base += drop
}

// Close frees all foreign memory. It may be called twice.
func (r *Reader) Close() error {
	r.run.free()
	if r.dec != nil {
		r.dec.Free()
	}
	if r.in != nil {
		r.in.Free()
	}
	if r.err == nil {
		r.err = errors.New("the sound reader is closed")
	}
	return nil
}
