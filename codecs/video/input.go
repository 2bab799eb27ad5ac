package video

import (
	"context"
	"errors"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// input is an opened container with one chosen track.
type input struct{ *ffmpeg.Input }

// openInput opens the source as the container says and chooses the track. Limits on
// streams and sizes are checked before any decoder sees a byte.
func openInput(ctx context.Context, src codecs.Source, container string, lim codecs.Limits, opt Options) (*input, error) {
	return openWith(ctx, src, container, opt, func(in *input) error { return in.choose(lim, opt) })
}

// reopenInput opens for a track that openInput chose before. Its streams are not probed
// again, which decodes some pictures: FFmpeg's parameters of the track are those of the
// first time. Packets are the same, but for decoding times that the container leaves out.
func reopenInput(ctx context.Context, src codecs.Source, container string, opt Options, track int) (*input, error) {
	return openWith(ctx, src, container, opt, func(in *input) error {
		if track >= in.Format.NbStreams() {
			return errors.New("its tracks are not those of a moment ago")
		}
		in.Read(in.Format.Streams()[track])
		return nil
	})
}

func openWith(ctx context.Context, src codecs.Source, container string, opt Options, choose func(*input) error) (*input, error) {
	if !opt.allowsContainer(container) {
		return nil, codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe, "the container %q is not on the list; the recipe's video.containers may add to it", container)
	}
	opened, err := ffmpeg.Open(ctx, src, container, demuxers[container], opt.allDecoders())
	if err != nil {
		return nil, err
	}
	in := &input{opened}
	if err := choose(in); err != nil {
		in.Free()
		return nil, in.Explain(err, container)
	}
	return in, nil
}

// choose finds the track: of all that are video and no cover art, one marked default,
// then the largest, then the first.
func (in *input) choose(lim codecs.Limits, opt Options) error {
	if n := in.Format.NbStreams(); n > lim.MaxStreams {
		return codecs.Errorf(codecs.CodeLimitStreams, codecs.StageProbe, "the file has %d streams; the limit is %d", n, lim.MaxStreams)
	}
	for _, s := range in.Format.Streams() {
		p := s.CodecParameters()
		if p.MediaType() != astiav.MediaTypeVideo || (p.Width() == 0 && p.Height() == 0) {
			continue
		}
		if err := lim.CheckSize(codecs.KindVideo, p.Width(), p.Height()); err != nil {
			return err
		}
	}
	if err := in.Probe(mostPixels(lim)); err != nil {
		return err
	}
	best, bestScore := (*astiav.Stream)(nil), int64(-1)
	for _, s := range in.Format.Streams() {
		p := s.CodecParameters()
		if p.MediaType() != astiav.MediaTypeVideo || isPicture(s) {
			continue
		}
		score := int64(p.Width()) * int64(p.Height())
		if ffmpeg.IsDefault(s) {
			score += 1 << 60
		}
		if score > bestScore {
			best, bestScore = s, score
		}
	}
	if best == nil {
		return codecs.Errorf(codecs.CodeNoVideo, codecs.StageProbe, "none of the %d streams is video (cover art does not count)", in.Format.NbStreams())
	}
	in.Read(best)
	return in.allowed(opt)
}

// hidesAlpha reports whether the track has transparency beside its pictures, as WebM's
// VP8 and VP9 may, which the decoders leave out.
func (in *input) hidesAlpha() bool {
	m := in.Stream.Metadata()
	if m == nil {
		return false
	}
	e := m.Get("alpha_mode", nil, 0)
	return e != nil && e.Value() == "1"
}

// allowed refuses protected tracks and codecs that are off.
func (in *input) allowed(opt Options) error {
	p := in.Stream.CodecParameters()
	const encv = 'e' | 'n'<<8 | 'c'<<16 | 'v'<<24
	if p.CodecTag() == encv || len(in.Stream.SideData(astiav.PacketSideDataTypeEncryptionInitInfo)) > 0 {
		return codecs.Errorf(codecs.CodeEncrypted, codecs.StageProbe, "track %d is protected (common encryption)", in.Stream.Index())
	}
	if codec := p.CodecID().Name(); opt.decoder(codec) == "" {
		return codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe, "track %d is coded as %s, which is not on the list; the recipe's video.codecs may add to it", in.Stream.Index(), codec)
	}
	return nil
}
