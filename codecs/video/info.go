package video

import (
	"context"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// Probe opens the source, looks at its streams and closes it again. Nothing of the
// chosen track is kept decoded. Errors are as of [Open].
func Probe(ctx context.Context, src codecs.Source, container string, lim codecs.Limits, opt Options) (codecs.Info, error) {
	in, err := openInput(ctx, src, container, lim, opt)
	if err != nil {
		return codecs.Info{}, truncated(ffmpeg.Fault(err, codecs.StageProbe), src, container)
	}
	defer in.Free()
	info := in.info(container)
	return info, checkInfo(info, lim)
}

// info describes the chosen track as its container declares it.
func (in *input) info(container string) codecs.Info {
	p := in.Stream.CodecParameters()
	info := codecs.Info{
		Kind: codecs.KindVideo, Container: container, Codec: p.CodecID().Name(), Track: in.Stream.Index(),
		Width: p.Width(), Height: p.Height(),
		SAR:       ffmpeg.Rational(in.Format.GuessSampleAspectRatio(in.Stream, nil)),
		FrameRate: ffmpeg.Rational(in.Stream.AvgFrameRate()),
		TimeBase:  ffmpeg.Rational(in.Stream.TimeBase()),
		Frames:    max(in.Stream.NbFrames(), 0),
		Colour:    tagColour(tags{matrix: int(p.ColorSpace()), rng: int(p.ColorRange()), primaries: int(p.ColorPrimaries()), trc: int(p.ColorTransferCharacteristic())}, p.PixelFormat(), p.Height()).Colour,
	}
	if o, ok := parseMatrix(in.Stream.SideData(astiav.PacketSideDataTypeDisplaymatrix)); ok {
		info.Rotation, info.Mirrored = o.degrees, o.mirrored
	}
	if d := in.Stream.Duration(); d > 0 {
		info.Duration = ffmpeg.Seconds(d, info.TimeBase)
	} else if d := in.Format.Duration(); d > 0 {
		info.Duration = codecs.NewRational(d, 1_000_000)
	}
	return info
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
