package audio

import (
	"context"
	"slices"
	"strings"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// openInput opens the source as the container says and chooses the track.
func openInput(ctx context.Context, src codecs.Source, container string, rules Rules, lim codecs.Limits) (*ffmpeg.Input, error) {
	demuxer := demuxers[container]
	if demuxer == "" {
		return nil, codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe, "the container %q is none that sound is read from", container)
	}
	in, err := ffmpeg.Open(ctx, src, container, demuxer, allDecoders())
	if err != nil {
		return nil, err
	}
	if err := choose(in, rules, lim); err != nil {
		in.Free()
		return nil, in.Explain(err, container)
	}
	return in, nil
}

// choose finds the track: of all that are sound, and in the language asked for, one that
// is marked default, else the first.
func choose(in *ffmpeg.Input, rules Rules, lim codecs.Limits) error {
	if n := in.Format.NbStreams(); n > lim.MaxStreams {
		return codecs.Errorf(codecs.CodeLimitStreams, codecs.StageProbe, "the file has %d streams; the limit is %d", n, lim.MaxStreams)
	}
	if err := in.Probe(lim.MaxVideoPixels); err != nil {
		return err
	}
	var tracks, spoken []*astiav.Stream
	var languages []string
	for _, s := range in.Format.Streams() {
		if s.CodecParameters().MediaType() != astiav.MediaTypeAudio {
			continue
		}
		tracks = append(tracks, s)
		languages = append(languages, languageOf(s))
		if rules.Track == "" || rules.Track == "default" || sameLanguage(languageOf(s), rules.Track) {
			spoken = append(spoken, s)
		}
	}
	switch {
	case len(tracks) == 0:
		return codecs.Errorf(codecs.CodeNoAudio, codecs.StageProbe, "none of the %d streams is sound", in.Format.NbStreams())
	case len(spoken) == 0:
		return codecs.Errorf(codecs.CodeNoAudio, codecs.StageProbe, "no sound track has the language %q; they have %q", rules.Track, languages)
	}
	best := spoken[0]
	if i := slices.IndexFunc(spoken, ffmpeg.IsDefault); i >= 0 {
		best = spoken[i]
	}
	in.Read(best)
	return allowed(best)
}

// languageOf is what the container says, "" where it says nothing.
func languageOf(s *astiav.Stream) string {
	d := s.Metadata()
	if d == nil {
		return ""
	}
	e := d.Get("language", nil, astiav.NewDictionaryFlags())
	if e == nil || e.Value() == "und" {
		return ""
	}
	return strings.ToValidUTF8(e.Value()[:min(16, len(e.Value()))], "")
}

// allowed refuses protected tracks, codecs that are not on the list, and numbers that no
// sound has.
func allowed(s *astiav.Stream) error {
	p := s.CodecParameters()
	const enca = 'e' | 'n'<<8 | 'c'<<16 | 'a'<<24
	if p.CodecTag() == enca || len(s.SideData(astiav.PacketSideDataTypeEncryptionInitInfo)) > 0 {
		return codecs.Errorf(codecs.CodeEncrypted, codecs.StageProbe, "track %d is protected (common encryption)", s.Index())
	}
	if codec := p.CodecID().Name(); decoders[codec] == "" {
		return codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe, "track %d is coded as %s, which is not read", s.Index(), codec)
	}
	if !ffmpeg.Rational(s.TimeBase()).Known() {
		return codecs.Errorf(codecs.CodeTime, codecs.StageProbe, "track %d has no time base", s.Index())
	}
	if p.Channels() == 0 && p.SampleRate() == 0 {
		return nil // they come with the first frame
	}
	return checkSound(p.Channels(), p.SampleRate())
}

func checkSound(channels, rate int) error {
	if channels < 1 || channels > maxChannels {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "the track has %d channels; 1 to %d are read", channels, maxChannels)
	}
	if rate < minRate || rate > maxRate {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "the track has %d samples a second; %d to %d are read", rate, minRate, maxRate)
	}
	return nil
}

// describe is what the container declares of the track.
func describe(in *ffmpeg.Input, container string) codecs.Info {
	p := in.Stream.CodecParameters()
	info := codecs.Info{
		Kind: codecs.KindAudio, Container: container, Codec: p.CodecID().Name(), Track: in.Stream.Index(),
		TimeBase:   ffmpeg.Rational(in.Stream.TimeBase()),
		SampleRate: p.SampleRate(), Channels: p.Channels(), Language: languageOf(in.Stream),
	}
	if d := in.Stream.Duration(); d > 0 {
		info.Duration = ffmpeg.Seconds(d, info.TimeBase)
	} else if d := in.Format.Duration(); d > 0 {
		info.Duration = codecs.NewRational(d, 1_000_000)
	}
	return info
}
