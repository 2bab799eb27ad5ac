package pipeline

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/mel"
	"github.com/millrace/millrace/codecs/patch"
)

// Listener opens the sound of a medium, by the recipe's audio rules.
type Listener interface {
	// Sniff names the container of sound alone that begins with head.
	Sniff(head []byte) (container string, ok bool)
	// Open chooses the track. A medium without one is refused with codecs.CodeNoAudio.
	Open(ctx context.Context, src codecs.Source, container string, r *Recipe) (codecs.Sounds, error)
}

// SoundEncoder makes the kept sound, "flac" or "wav". The bytes are valid until the
// next call.
type SoundEncoder func(s *codecs.Sound, format string) ([]byte, error)

// SoundInfo says what sound a sample carries.
type SoundInfo struct {
	Track    int    `json:"track"`
	Codec    string `json:"codec"`
	Language string `json:"language,omitempty"`
	// SampleRate and Channels are those before the mixing and the resampling.
	SampleRate int `json:"sample_rate"`
	Channels   int `json:"channels"`
	// Start is the time of the first sample on the medium's clock, which may be later
	// than the pictures' where the sound starts late.
	Start   codecs.Rational `json:"start"`
	Rate    int             `json:"rate"`    // samples a second
	Samples int             `json:"samples"` // of one channel
	Mel     *MelInfo        `json:"mel,omitempty"`
}

// MelInfo says what the log-mel features are: float32 [bins, frames] in NAME.mel.npy and
// int32 [frames] in NAME.mask.npy.
type MelInfo struct {
	Name   string `json:"name"`
	Bins   int    `json:"bins"`
	Frames int    `json:"frames"`
	Sound  int    `json:"sound"` // frames that are not padding
	// Tokens is what the features are to a language model, by family.
	Tokens map[string]int `json:"tokens"`
}

// soundBuffers are reused from sample to sample.
type soundBuffers struct{ mel, mask, values, ones []byte }

// listen opens the sound that the recipe wants of a medium of some kind. It is nil where
// the recipe wants none, or pictures come without.
func (l *Line) listen(ctx context.Context, src codecs.Source, container string, kind codecs.Kind) (codecs.Sounds, error) {
	if kind == codecs.KindAudio {
		if err := l.wants(kind); err != nil {
			return nil, err
		}
		if !l.recipe.Audio.On() {
			return nil, codecs.Errorf(CodeMsgNotTaken, codecs.StageProbe, "this is sound, and the recipe has no rules for it; write audio: default")
		}
	}
	if kind == codecs.KindImage || !l.recipe.Audio.On() {
		return nil, nil
	}
	sounds, err := l.tools.Listener.Open(ctx, src, container, l.recipe)
	if e := codecs.AsError(err); e != nil && e.Code == codecs.CodeNoAudio && kind == codecs.KindVideo {
		return nil, nil
	}
	return sounds, err
}

// runSound makes samples of sound, a chunk each, from the track's start. A track without
// any is a fault only where the medium has nothing else.
func (l *Line) runSound(ctx context.Context, r *run, sounds codecs.Sounds, alone bool) error {
	info := sounds.Info()
	chunk := codecs.NewRational(int64(l.recipe.Audio.Chunk), int64(time.Second))
	from := info.Start
	for n := int64(0); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := from.Add(chunk)
		if !from.Known() || !to.Known() {
			return codecs.Errorf(codecs.CodeTime, codecs.StageDecode, "chunk %d of the sound begins at a time that has no fraction of 64 bits", n)
		}
		s := &Sample{Key: SampleKey(r.job.Dataset, r.job.ID, r.medium, info.Track, from)}
		d := l.describe(r.job, s.Key)
		d.setMedium(r, info)
		d.Kind = string(codecs.KindAudio)
		err := l.addSound(s, d, sounds, from, to)
		ended := err == io.EOF || l.endsEarly(err, codecs.KindVideo)
		switch {
		case ended && (n > 0 || !alone):
			return nil
		case err == io.EOF || err == nil && d.Sound == nil:
			return codecs.Errorf(codecs.CodeNoAudio, codecs.StageDecode, "track %d has no sound in it", info.Track)
		case err != nil:
			return err
		case n >= l.recipe.Limits.MaxFramesKept:
			return codecs.Errorf(codecs.CodeLimitFrames, codecs.StagePick, "the sound has more than %d chunks", n)
		}
		length := codecs.NewRational(int64(d.Sound.Samples), int64(d.Sound.Rate))
		d.setTime(d.Sound.Start, length)
		if alone {
			r.verdict.MediaSeconds += length.Float()
		}
		if err := l.finish(s, r.job, d); err != nil {
			return err
		}
		if err := r.emit(s, 0); err != nil {
			return err
		}
		from = to
	}
}

// addSound adds the sound of a span to a sample, as the recipe keeps it. Where there is
// none, because the track begins later, it adds nothing; where it has ended, the error is
// that of [codecs.Sounds].
func (l *Line) addSound(s *Sample, d *Description, sounds codecs.Sounds, from, to codecs.Rational) error {
	sound, err := sounds.Span(from, to)
	if err != nil {
		return err
	}
	if len(sound.Samples) == 0 {
		return nil
	}
	info, rules := sounds.Info(), &l.recipe.Audio
	d.Sound = &SoundInfo{Track: info.Track, Codec: info.Codec, Language: info.Language, SampleRate: info.SampleRate, Channels: info.Channels,
		Start: sound.PTS, Rate: sound.Rate, Samples: len(sound.Samples)}
	if rules.Keep != "" {
		data, err := l.tools.EncodeSound(sound, rules.Keep)
		if err != nil {
			return fmt.Errorf("encoding the kept sound: %w", err)
		}
		s.Fields = append(s.Fields, Field{"audio." + rules.Keep, data})
	}
	if rules.Mel != nil {
		return l.addMel(s, d.Sound, rules.Mel, sound.Samples)
	}
	return nil
}

// addMel adds log-mel features; less sound than one hop has none without padding.
func (l *Line) addMel(s *Sample, info *SoundInfo, m *Mel, samples []float32) error {
	if len(samples) > mel.MaxPadded {
		return codecs.Errorf(codecs.CodeLimitDuration, codecs.StagePatchify, "log-mel features are of up to %d s of sound, and this sample has %.1f s; make its clips or chunks shorter",
			mel.Seconds, float64(len(samples))/mel.Rate)
	}
	f, err := l.mel.Extract(samples)
	if err != nil {
		return err
	}
	if f.Frames == 0 {
		return nil
	}
	info.Mel = &MelInfo{Name: m.Name, Bins: f.Bins, Frames: f.Frames, Sound: f.Sound()}
	if m.Pad {
		info.Mel.Tokens = map[string]int{"qwen2-audio": mel.TokensQwen2Audio(f.Sound()), "qwen2.5-omni": mel.TokensQwen25Omni(f.Sound())}
	} else {
		info.Mel.Tokens = map[string]int{"qwen3-omni": mel.TokensQwen3Omni(f.Frames)}
	}
	b := &l.sound
	b.values, b.ones = b.values[:0], b.ones[:0]
	for _, v := range f.Data {
		b.values = binary.LittleEndian.AppendUint32(b.values, math.Float32bits(v))
	}
	for _, v := range f.Mask {
		b.ones = binary.LittleEndian.AppendUint32(b.ones, uint32(v))
	}
	b.mel = patch.AppendNPY(b.mel[:0], patch.Array{DType: "float32", Shape: []int{f.Bins, f.Frames}, Data: b.values})
	b.mask = patch.AppendNPY(b.mask[:0], patch.Array{DType: "int32", Shape: []int{f.Frames}, Data: b.ones})
	s.Fields = append(s.Fields, Field{m.Name + ".mel.npy", b.mel}, Field{m.Name + ".mask.npy", b.mask})
	return nil
}
