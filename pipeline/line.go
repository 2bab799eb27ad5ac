package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/codecs"
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

// Line is one recipe made ready to run. It reuses its buffers and belongs to one
// goroutine at a time.
type Line struct {
	recipe   *Recipe
	decoders []Decoder
	encode   Encoder
	versions Versions
	cutters  []cutter
}

// Versions say what made a sample; they stand in its JSON.
type Versions struct {
	Millrace string `json:"millrace"`
	FFmpeg   string `json:"ffmpeg,omitempty"`
}

// cutter makes one token output; npy are its arrays' files, reused.
type cutter struct {
	spec patch.Spec
	patch.Cutter
	npy [4][]byte
}

// NewLine compiles a recipe.
func NewLine(r *Recipe, decoders []Decoder, encode Encoder, v Versions) (*Line, error) {
	l := &Line{recipe: r, decoders: decoders, encode: encode, versions: v}
	for _, spec := range r.Tokens {
		c, err := patch.New(spec, patch.DefaultLimits())
		if err != nil {
			return nil, fmt.Errorf("token output %q: %w", spec.Name, err)
		}
		l.cutters = append(l.cutters, cutter{spec: spec.Normalise(), Cutter: c})
	}
	return l, nil
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
		frames, err := l.open(ctx, m)
		if err != nil {
			return inMedium(i, len(media), err)
		}
		err = l.runFrames(ctx, job, i, m, frames, emit, v)
		frames.Close()
		if err != nil {
			return inMedium(i, len(media), err)
		}
	}
	return nil
}

// open probes: the bytes choose the decoder, and the recipe says whether it is wanted.
func (l *Line) open(ctx context.Context, m Medium) (codecs.Frames, error) {
	if m.Source.Size() == 0 {
		return nil, codecs.Errorf(CodeSourceEmpty, codecs.StageProbe, "the medium has no bytes")
	}
	head := make([]byte, min(SniffBytes, m.Source.Size()))
	if _, err := m.Source.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the medium's first bytes: %w", err)
	}
	for _, d := range l.decoders {
		container, ok := d.Sniff(head)
		if !ok {
			continue
		}
		frames, err := d.Open(ctx, m.Source, container, l.recipe)
		if err != nil {
			return nil, err
		}
		if kind := frames.Info().Kind; !l.recipe.Take.Wants(string(kind)) {
			frames.Close()
			return nil, codecs.Errorf(CodeMsgNotTaken, codecs.StageProbe, "the recipe takes %v, and this is %s", l.recipe.Take.Kinds, kind)
		}
		return frames, nil
	}
	return nil, codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe,
		"the first bytes (% x) are of no format that is switched on", head[:min(12, len(head))])
}

func (l *Line) runFrames(ctx context.Context, job *Job, medium int, m Medium, frames codecs.Frames, emit func(*Sample, int64) error, v *Verdict) error {
	info := frames.Info()
	kept := int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := frames.Next()
		if err == io.EOF {
			break
		}
		if e := codecs.AsError(err); e != nil && e.Code == codecs.CodeTruncated && kept > 0 && l.keepsTruncated(info.Kind) {
			break
		}
		if err != nil {
			return err
		}
		if kept++; kept > l.recipe.Limits.MaxFramesKept {
			return codecs.Errorf(codecs.CodeLimitFrames, codecs.StagePick, "more than %d frames were picked", l.recipe.Limits.MaxFramesKept)
		}
		s, tokens, err := l.sample(job, medium, m, info, f)
		if err != nil {
			return err
		}
		if err := emit(s, tokens); err != nil {
			return err
		}
	}
	if kept == 0 {
		return codecs.Errorf(codecs.CodeNoFrames, codecs.StagePick, "not one frame was picked")
	}
	v.Frames += kept
	if info.Duration.Known() {
		v.MediaSeconds += info.Duration.Float()
	}
	return nil
}

func (l *Line) keepsTruncated(k codecs.Kind) bool {
	if k == codecs.KindVideo {
		return l.recipe.Video.Truncated == "keep"
	}
	return l.recipe.Image.Truncated == "keep"
}

// sample patchifies one frame and names its fields.
func (l *Line) sample(job *Job, medium int, m Medium, info codecs.Info, f *codecs.Frame) (*Sample, int64, error) {
	s := &Sample{Key: SampleKey(job.Dataset, job.ID, medium, info.Track, f.PTS)}
	d := l.describe(job, s.Key)
	d.setFrame(medium, m, info, f)
	var total int64
	for i := range l.cutters {
		c := &l.cutters[i]
		t, err := c.Cut(f.Pixels)
		if err != nil {
			return nil, 0, err
		}
		d.setTokens(c.spec, t)
		c.addFields(s, t)
		total += int64(t.Count)
	}
	if l.recipe.Keep.Frame != "" {
		ext, data, err := l.encode(f.Pixels, l.recipe.Keep)
		if err != nil {
			return nil, 0, fmt.Errorf("encoding the kept frame: %w", err)
		}
		s.Fields = append(s.Fields, Field{"frame." + ext, data})
	}
	return s, total, l.finish(s, job, d)
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
	return &Fault{Code: string(e.Code), Stage: string(e.Stage), Detail: e.Detail, Transient: e.Code == CodeSourceTransient}
}
