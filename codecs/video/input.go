package video

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// input is an opened container with one chosen track.
type input struct {
	owner
	io     *sourceIO
	fc     *astiav.FormatContext
	stream *astiav.Stream
	pkt    *astiav.Packet
}

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
		if track >= in.fc.NbStreams() {
			return errors.New("its tracks are not those of a moment ago")
		}
		in.stream = in.fc.Streams()[track]
		readOnly(in.fc, track)
		return nil
	})
}

func openWith(ctx context.Context, src codecs.Source, container string, opt Options, choose func(*input) error) (*input, error) {
	if !opt.allowsContainer(container) {
		return nil, codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe, "the container %q is not switched on", container)
	}
	astiav.SetLogLevel(astiav.LogLevelQuiet)
	in := &input{io: newSourceIO(ctx, src)}
	if err := in.open(container, opt); err != nil {
		in.close()
		return nil, in.explain(err, container)
	}
	if err := choose(in); err != nil {
		in.close()
		return nil, in.explain(err, container)
	}
	return in, nil
}

// explain puts the source's own failure before what FFmpeg made of it.
func (in *input) explain(err error, container string) error {
	if in.io.err != nil {
		return in.io.err
	}
	if codecs.AsError(err) != nil {
		return err
	}
	if in.io.spent {
		return codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "reading the %s file needs its bytes more than three times over", container)
	}
	return codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "this is no readable %s file: %w", container, err)
}

func (in *input) open(container string, opt Options) error {
	format := astiav.FindInputFormat(demuxers[container])
	if format == nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "this FFmpeg has no %s demuxer", container)
	}
	pb, err := astiav.AllocIOContext(ioBuffer, false, in.io.read, in.io.seek, nil)
	if err != nil {
		return err
	}
	in.own(func() { in.io.close(); pb.Free() })
	if in.pkt = astiav.AllocPacket(); in.pkt == nil {
		return errAlloc
	}
	in.own(in.pkt.Free)
	d := astiav.NewDictionary()
	defer d.Free()
	for _, kv := range [][2]string{
		{"format_whitelist", demuxers[container]},
		{"codec_whitelist", strings.Join(opt.allDecoders(), ",")},
		{"protocol_whitelist", "none"},
		{"probesize", strconv.Itoa(5 << 20)},
		{"analyzeduration", "5000000"},
		{"max_probe_packets", "500"},
		{"enable_drefs", "0"},      // mov: no other files
		{"use_absolute_path", "0"}, // likewise
	} {
		if err := d.Set(kv[0], kv[1], 0); err != nil {
			return err
		}
	}
	fc := astiav.AllocFormatContext()
	if fc == nil {
		return errAlloc
	}
	fc.SetPb(pb)
	// A failed OpenInput has freed the context.
	if err := fc.OpenInput("", format, d); err != nil {
		return err
	}
	in.fc = fc
	in.own(fc.CloseInput)
	return nil
}

var errAlloc = errors.New("FFmpeg could not allocate memory")

// choose finds the track: of all that are video and no cover art, one marked default,
// then the largest, then the first.
func (in *input) choose(lim codecs.Limits, opt Options) error {
	if n := in.fc.NbStreams(); n > lim.MaxStreams {
		return codecs.Errorf(codecs.CodeLimitStreams, codecs.StageProbe, "the file has %d streams; the limit is %d", n, lim.MaxStreams)
	}
	for _, s := range in.fc.Streams() {
		p := s.CodecParameters()
		if p.MediaType() != astiav.MediaTypeVideo || (p.Width() == 0 && p.Height() == 0) {
			continue
		}
		if err := lim.CheckSize(codecs.KindVideo, p.Width(), p.Height()); err != nil {
			return err
		}
	}
	if err := findStreamInfo(in.fc, mostPixels(lim)); err != nil {
		return err
	}
	best, bestScore := (*astiav.Stream)(nil), int64(-1)
	for _, s := range in.fc.Streams() {
		p := s.CodecParameters()
		if p.MediaType() != astiav.MediaTypeVideo || isPicture(s) {
			continue
		}
		score := int64(p.Width()) * int64(p.Height())
		if isDefault(s) {
			score += 1 << 60
		}
		if score > bestScore {
			best, bestScore = s, score
		}
	}
	if best == nil {
		return codecs.Errorf(codecs.CodeNoVideo, codecs.StageProbe, "none of the %d streams is video (cover art does not count)", in.fc.NbStreams())
	}
	in.stream = best
	readOnly(in.fc, best.Index())
	return in.allowed(opt)
}

// allowed refuses protected tracks and codecs that are off.
func (in *input) allowed(opt Options) error {
	p := in.stream.CodecParameters()
	const encv = 'e' | 'n'<<8 | 'c'<<16 | 'v'<<24
	if p.CodecTag() == encv || len(in.stream.SideData(astiav.PacketSideDataTypeEncryptionInitInfo)) > 0 {
		return codecs.Errorf(codecs.CodeEncrypted, codecs.StageProbe, "track %d is protected (common encryption)", in.stream.Index())
	}
	if codec := p.CodecID().Name(); opt.decoder(codec) == "" {
		return codecs.Errorf(codecs.CodeFormatDenied, codecs.StageProbe, "track %d is coded as %s, which is not switched on", in.stream.Index(), codec)
	}
	return nil
}

// next reads the track's next whole packet into in.pkt. skipped tells how many
// packets were passed over because the demuxer found them damaged or cut. The error is
// astiav's, ErrEof at the end.
func (in *input) next() (skipped int, err error) {
	for {
		in.pkt.Unref()
		in.io.alive()
		if err := in.fc.ReadFrame(in.pkt); err != nil {
			return skipped, err
		}
		if in.pkt.StreamIndex() != in.stream.Index() {
			continue
		}
		if flags := in.pkt.Flags(); flags.Has(astiav.PacketFlagCorrupt) {
			skipped++
			continue
		}
		return skipped, nil
	}
}

// close frees everything. It may be called twice.
func (in *input) close() { in.free() }
