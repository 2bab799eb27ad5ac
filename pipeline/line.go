package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/mel"
	"github.com/millrace/millrace/codecs/patch"
)

// Decoder opens one family of media. The line asks its decoders in order and takes
// the first whose Sniff knows the bytes; a declared type decides nothing.
type Decoder interface {
	// Sniff names the container that begins with head (at most SniffBytes).
	Sniff(head []byte) (container string, ok bool)
	// Open gives the picked frames, as the recipe's rules for this family say.
	Open(ctx context.Context, src codecs.Source, container string, r *Recipe) (codecs.Frames, error)
}

// SniffBytes is how much of a medium Sniff gets to see.
const SniffBytes = 4096

// Encoder makes the kept original of a frame, by the recipe's Keep rule. It returns
// the field's extension ("jpg", "webp", "png") and the bytes, valid until the next call.
type Encoder func(p codecs.Pixels, k Keep) (ext string, data []byte, err error)

// Medium is one of a job's media, fetched.
type Medium struct {
	Source codecs.Source
	ID     SourceID
	Role   string
}

// Tools are the codecs that a line works with.
type Tools struct {
	Decoders []Decoder
	Encode   Encoder
	// Listener and EncodeSound are nil where there is no use for sound.
	Listener    Listener
	EncodeSound SoundEncoder
}

// Line is one recipe made ready to run. It reuses its buffers and belongs to one
// goroutine at a time.
type Line struct {
	recipe   *Recipe
	tools    Tools
	versions Versions
	cutters  []cutter   // of single pictures
	clips    []*clipSet // of clips, that are free
	mel      *mel.Extractor
	sound    soundBuffers
}

// Versions say what made a sample; they stand in its JSON.
type Versions struct {
	Millrace string `json:"millrace"`
	FFmpeg   string `json:"ffmpeg,omitempty"`
}

// cutter makes one token output of single pictures.
type cutter struct {
	spec patch.Spec
	patch.Cutter
	npy arrays
}

// NewLine compiles a recipe.
func NewLine(r *Recipe, tools Tools, v Versions) (*Line, error) {
	l := &Line{recipe: r, tools: tools, versions: v}
	if r.Audio.On() && tools.Listener == nil {
		return nil, errors.New("the recipe has rules for sound, and this build reads none")
	}
	for _, spec := range r.Tokens {
		if r.Video.Clip.On() && spec.Media != "image" {
			continue // cut from clips alone
		}
		c, err := patch.New(spec, l.patchLimits())
		if err != nil {
			return nil, fmt.Errorf("token output %q: %w", spec.Name, err)
		}
		l.cutters = append(l.cutters, cutter{spec: spec.Normalise(), Cutter: c})
	}
	if err := l.compileClips(); err != nil {
		return nil, err
	}
	if m := r.Audio.Mel; m != nil {
		x, err := mel.New(m.Bins, m.Pad)
		if err != nil {
			return nil, fmt.Errorf("audio.mel: %w", err)
		}
		l.mel = x
	}
	return l, nil
}

// patchLimits bound what is cut from one picture or clip.
func (l *Line) patchLimits() patch.Limits {
	lim := patch.DefaultLimits()
	lim.MaxTokens = l.recipe.Limits.MaxTokens
	return lim
}

// Run turns one job into samples, handed to emit one by one. A sample's bytes are
// valid during the call only.
//
// Faults of the media are in the verdict. The error is for what is not the media's
// fault: emit failed, or ctx ended; then the verdict means nothing.
func (l *Line) Run(ctx context.Context, job *Job, media []Medium, emit func(*Sample) error) (Verdict, error) {
	var v Verdict
	err := l.run(ctx, job, media, func(s *Sample, tokens int64) error {
		v.Samples++
		v.Tokens += tokens
		return emit(s)
	}, &v)
	if e := codecs.AsError(err); e != nil {
		return Verdict{Fault: FaultOf(e)}, nil
	}
	return v, err
}

func (l *Line) run(ctx context.Context, job *Job, media []Medium, emit func(*Sample, int64) error, v *Verdict) error {
	if len(media) == 0 {
		return l.runText(job, emit)
	}
	for i, m := range media {
		if err := l.runMedium(ctx, &run{job: job, medium: i, Medium: m, emit: emit, verdict: v}); err != nil {
			return inMedium(i, len(media), err)
		}
	}
	return nil
}

// run is one medium of a job on its way through the line.
type run struct {
	Medium
	job     *Job
	medium  int // its place in the job
	emit    func(s *Sample, tokens int64) error
	verdict *Verdict
}

// runMedium is the way of one medium: probe, decode, pick, patchify, emit.
func (l *Line) runMedium(ctx context.Context, r *run) error {
	frames, sounds, err := l.open(ctx, r.Source)
	if sounds != nil {
		defer sounds.Close()
	}
	if err != nil {
		return err
	}
	if frames == nil {
		return l.runSound(ctx, r, sounds, true)
	}
	defer frames.Close()
	info := frames.Info()
	if info.Duration.Known() {
		r.verdict.MediaSeconds += info.Duration.Float()
	}
	if info.Kind == codecs.KindVideo && l.recipe.Video.Clip.On() {
		return l.runClips(ctx, r, frames, sounds)
	}
	if err := l.runFrames(ctx, r, frames); err != nil || sounds == nil {
		return err
	}
	return l.runSound(ctx, r, sounds, false)
}

// open probes: the bytes choose the decoder, and the recipe says whether it is wanted.
// A medium may have pictures, sound, or both.
func (l *Line) open(ctx context.Context, src codecs.Source) (codecs.Frames, codecs.Sounds, error) {
	if src.Size() == 0 {
		return nil, nil, codecs.Errorf(CodeSourceEmpty, codecs.StageProbe, "the medium has no bytes")
	}
	head := make([]byte, min(SniffBytes, src.Size()))
	if _, err := src.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("reading the medium's first bytes: %w", err)
	}
	for _, d := range l.tools.Decoders {
		container, ok := d.Sniff(head)
		if !ok {
			continue
		}
		frames, err := d.Open(ctx, src, container, l.recipe)
		if e := codecs.AsError(err); e != nil && e.Code == codecs.CodeNoVideo && l.recipe.Audio.On() {
			sounds, err := l.listen(ctx, src, container, codecs.KindAudio)
			return nil, sounds, err
		}
		if err == nil {
			err = l.wants(frames.Info().Kind)
		}
		if err != nil {
			if frames != nil {
				frames.Close()
			}
			return nil, nil, err
		}
		sounds, err := l.listen(ctx, src, container, frames.Info().Kind)
		if err != nil {
			frames.Close()
			return nil, nil, err
		}
		return frames, sounds, nil
	}
	if l.tools.Listener != nil {
		if container, ok := l.tools.Listener.Sniff(head); ok {
			sounds, err := l.listen(ctx, src, container, codecs.KindAudio)
			return nil, sounds, err
		}
	}
	return nil, nil, codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe,
		"the first bytes (% x) are of no format that is switched on", head[:min(12, len(head))])
}

// wants refuses a medium of a kind that the recipe leaves out.
func (l *Line) wants(kind codecs.Kind) error {
	if !l.recipe.Take.Wants(string(kind)) {
		return codecs.Errorf(CodeMsgNotTaken, codecs.StageProbe, "the recipe takes %v, and this is %s", l.recipe.Take.Kinds, kind)
	}
	return nil
}

// Paced is a source whose owner wants to know how far the line is with its medium.
type Paced interface {
	codecs.Source
	// Picked is called with each frame that was picked and has come, of so many.
	Picked(n, of int64)
}

// each runs over picked frames, under the limits. Where a file ends early and the recipe
// keeps what was whole, it ends in peace, and early is the fault.
func (l *Line) each(ctx context.Context, r *run, frames codecs.Frames, use func(*codecs.Frame) error) (early, err error) {
	kept, of := int64(0), int64(0)
	paced, _ := r.Source.(Paced)
	if paced != nil {
		of = int64(len(frames.Picks()))
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := frames.Next()
		if err == io.EOF {
			break
		}
		if kept > 0 && l.endsEarly(err, frames.Info().Kind) {
			early = err
			break
		}
		if err != nil {
			return nil, err
		}
		if kept++; kept > l.recipe.Limits.MaxFramesKept {
			return nil, codecs.Errorf(codecs.CodeLimitFrames, codecs.StagePick, "more than %d frames were picked", l.recipe.Limits.MaxFramesKept)
		}
		if paced != nil {
			paced.Picked(kept, max(kept, of))
		}
		if err := use(f); err != nil {
			return nil, err
		}
	}
	if kept == 0 {
		return nil, codecs.Errorf(codecs.CodeNoFrames, codecs.StagePick, "not one frame was picked")
	}
	r.verdict.Frames += kept
	return early, nil
}

// runFrames makes a sample of each picked frame.
func (l *Line) runFrames(ctx context.Context, r *run, frames codecs.Frames) error {
	info := frames.Info()
	_, err := l.each(ctx, r, frames, func(f *codecs.Frame) error {
		s, tokens, err := l.sample(r, info, f)
		if err != nil {
			return err
		}
		return r.emit(s, tokens)
	})
	return err
}

// endsEarly reports whether err is the end of a cut file, of which the recipe keeps what
// came before.
func (l *Line) endsEarly(err error, k codecs.Kind) bool {
	keep := l.recipe.Video.Truncated
	if k == codecs.KindImage {
		keep = l.recipe.Image.Truncated
	}
	e := codecs.AsError(err)
	return e != nil && e.Code == codecs.CodeTruncated && keep == "keep"
}

// sample patchifies one frame and names its fields.
func (l *Line) sample(r *run, info codecs.Info, f *codecs.Frame) (*Sample, int64, error) {
	s := &Sample{Key: SampleKey(r.job.Dataset, r.job.ID, r.medium, info.Track, f.PTS)}
	d := l.describe(r.job, s.Key)
	d.setFrame(r, info, f)
	var total int64
	for i := range l.cutters {
		c := &l.cutters[i]
		if c.spec.Media != "" && c.spec.Media != string(info.Kind) {
			continue
		}
		t, err := c.Cut(f.Pixels)
		if err != nil {
			return nil, 0, err
		}
		d.setTokens(c.spec, t, false)
		c.npy.addTo(s, c.spec.Name, t)
		total += int64(t.Count)
	}
	if l.recipe.Keep.Frame != "" {
		kept, err := l.keepFrame(f)
		if err != nil {
			return nil, 0, err
		}
		s.Fields = append(s.Fields, kept)
	}
	return s, total, l.finish(s, r.job, d)
}

// keepFrame makes the picture that a sample carries. Its bytes are valid until the next.
func (l *Line) keepFrame(f *codecs.Frame) (Field, error) {
	ext, data, err := l.tools.Encode(f.Pixels, l.recipe.Keep)
	if err != nil {
		return Field{}, fmt.Errorf("encoding the kept frame: %w", err)
	}
	return Field{"frame." + ext, data}, nil
}

// runText is the line for a job without media: one sample, its words alone.
func (l *Line) runText(job *Job, emit func(*Sample, int64) error) error {
	if job.Text == "" && job.Conversations == nil && job.Events == nil {
		return codecs.Errorf(CodeMsgInvalid, codecs.StageProbe, "the job has neither media nor text, conversations or events")
	}
	if !l.recipe.Take.Wants("text") {
		return codecs.Errorf(CodeMsgNotTaken, codecs.StageProbe, "the recipe takes %v, and this job has no media", l.recipe.Take.Kinds)
	}
	s := &Sample{Key: SampleKey(job.Dataset, job.ID, 0, 0, codecs.Rational{})}
	d := l.describe(job, s.Key)
	d.Kind = "text"
	if err := l.finish(s, job, d); err != nil {
		return err
	}
	return emit(s, 0)
}

// Wants reports whether jobs of this kind are taken.
func (t Take) Wants(kind string) bool {
	for _, k := range t.Kinds {
		if k == kind {
			return true
		}
	}
	return len(t.Kinds) == 0
}

func inMedium(i, n int, err error) error {
	if e := codecs.AsError(err); e != nil && n > 1 {
		c := *e
		c.Detail = fmt.Sprintf("medium %d of %d: %s", i+1, n, e.Detail)
		return &c
	}
	return err
}

// FaultOf puts a media error into the form that travels.
func FaultOf(e *codecs.Error) *Fault {
	return &Fault{Code: string(e.Code), Stage: string(e.Stage), Detail: e.Detail, Attempts: e.Attempts, Transient: e.Code == CodeSourceTransient}
}
