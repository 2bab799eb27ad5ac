package video

import (
	"context"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// Probe opens the source, looks at its streams and closes it again. Nothing of the
// chosen track is kept decoded. Errors are as of [Open].
func Probe(ctx context.Context, src codecs.Source, container string, lim codecs.Limits, opt Options) (codecs.Info, error) {
	in, err := openInput(ctx, src, container, lim, opt)
	if err != nil {
		return codecs.Info{}, truncated(err, src, container)
	}
	defer in.close()
	info := in.info(container)
	return info, checkInfo(info, lim)
}

// info describes the chosen track as its container declares it.
func (in *input) info(container string) codecs.Info {
	p := in.stream.CodecParameters()
	info := codecs.Info{
		Kind: codecs.KindVideo, Container: container, Codec: p.CodecID().Name(), Track: in.stream.Index(),
		Width: p.Width(), Height: p.Height(),
		SAR:       rational(in.fc.GuessSampleAspectRatio(in.stream, nil)),
		FrameRate: rational(in.stream.AvgFrameRate()),
		TimeBase:  rational(in.stream.TimeBase()),
		Frames:    max(in.stream.NbFrames(), 0),
		Colour:    tagColour(tags{matrix: int(p.ColorSpace()), rng: int(p.ColorRange()), primaries: int(p.ColorPrimaries()), trc: int(p.ColorTransferCharacteristic())}, p.PixelFormat(), p.Height()).Colour,
	}
	if o, ok := parseMatrix(in.stream.SideData(astiav.PacketSideDataTypeDisplaymatrix)); ok {
		info.Rotation, info.Mirrored = o.degrees, o.mirrored
	}
	if d := in.stream.Duration(); d > 0 {
		info.Duration = seconds(d, info.TimeBase)
	} else if d := in.fc.Duration(); d > 0 {
		info.Duration = codecs.NewRational(d, 1_000_000)
	}
	return info
}

// rational is FFmpeg's fraction, unknown unless above 0.
func rational(r astiav.Rational) codecs.Rational {
	if r.Num() <= 0 || r.Den() <= 0 {
		return codecs.Rational{}
	}
	return codecs.NewRational(int64(r.Num()), int64(r.Den()))
}

// seconds is a number of ticks as time.
func seconds(ticks int64, base codecs.Rational) codecs.Rational {
	return codecs.Rational{Num: ticks, Den: 1}.Scaled(base.Num, base.Den)
}

// checkInfo holds what the container declares against the limits.
func checkInfo(info codecs.Info, lim codecs.Limits) error {
	if !info.TimeBase.Known() {
		return codecs.Errorf(codecs.CodeTime, codecs.StageProbe, "track %d has no time base", info.Track)
	}
	if info.FrameRate.Known() && info.FrameRate.Cmp(codecs.Rational{Num: int64(lim.MaxFPS), Den: 1}) > 0 {
		return codecs.Errorf(codecs.CodeLimitFPS, codecs.StageProbe, "the track declares %.4g frames a second; the limit is %d", info.FrameRate.Float(), lim.MaxFPS)
	}
	if info.Duration.Known() && info.Duration.Cmp(codecs.Rational{Num: lim.MaxDuration, Den: 1}) > 0 {
		return codecs.Errorf(codecs.CodeLimitDuration, codecs.StageProbe, "the track lasts %.0f s; the limit is %d s", info.Duration.Float(), lim.MaxDuration)
	}
	// A size that is still unknown here comes with the first frame.
	if info.Width == 0 && info.Height == 0 {
		return nil
	}
	return lim.CheckSize(codecs.KindVideo, info.Width, info.Height)
}

// truncated names the more useful fault where a file can not be opened because its
// end is missing.
func truncated(err error, src codecs.Source, container string) error {
	if e := codecs.AsError(err); e != nil && e.Code == codecs.CodeInvalid && cut(src, container) {
		return &codecs.Error{Code: codecs.CodeTruncated, Stage: e.Stage, Detail: "the file ends early: " + e.Detail, Err: e.Err}
	}
	return err
}
