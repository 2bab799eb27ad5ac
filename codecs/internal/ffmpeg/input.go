package ffmpeg

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// Input is an opened container, and the one track of it that is read. Its C objects are
// its own; nobody else frees them.
type Input struct {
	Owner
	Format *astiav.FormatContext
	Stream *astiav.Stream // nil until Read
	Packet *astiav.Packet // what Next filled
	// Partial asks Next for packets too that the demuxer found damaged or cut.
	Partial bool
	io      *sourceIO
}

// Open opens the source with the one demuxer named, and lets probing open no decoders
// but those named. container is for messages. Streams are not probed yet. Errors are as
// of [Input.Explain].
func Open(ctx context.Context, src codecs.Source, container, demuxer string, decoders []string) (*Input, error) {
	if demuxer == "mov" {
		if err := CheckTables(src); err != nil {
			return nil, err
		}
	}
	astiav.SetLogLevel(astiav.LogLevelQuiet)
	in := &Input{io: newSourceIO(ctx, src)}
	err := in.open(demuxer, decoders, usualStreams)
	if errors.Is(err, errNoMemory) {
		// FFmpeg says the same of too many streams. With room for them it gives them, and
		// the caller's limit says what is wrong.
		in.Free()
		in.io = newSourceIO(ctx, src)
		err = in.open(demuxer, decoders, mostStreams)
	}
	if err != nil {
		in.Free()
		return nil, in.Explain(err, container)
	}
	return in, nil
}

const (
	usualStreams = 1000 // FFmpeg's own default
	mostStreams  = 50_000
)

func (in *Input) open(demuxer string, decoders []string, streams int) error {
	format := astiav.FindInputFormat(demuxer)
	if format == nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "this FFmpeg has no %s demuxer", demuxer)
	}
	pb, err := astiav.AllocIOContext(ioBuffer, false, in.io.read, in.io.seek, nil)
	if err != nil {
		return err
	}
	in.Own(func() { in.io.close(); pb.Free() })
	if in.Packet = astiav.AllocPacket(); in.Packet == nil {
		return ErrAlloc
	}
	in.Own(in.Packet.Free)
	d := astiav.NewDictionary()
	defer d.Free()
	for _, kv := range [][2]string{
		{"format_whitelist", demuxer},
		{"codec_whitelist", strings.Join(decoders, ",")},
		{"protocol_whitelist", "none"},
		{"probesize", strconv.Itoa(5 << 20)},
		{"analyzeduration", "5000000"},
		{"max_probe_packets", "500"},
		{"max_streams", strconv.Itoa(streams)},
		{"enable_drefs", "0"},      // mov: no other files
		{"use_absolute_path", "0"}, // likewise
	} {
		if err := d.Set(kv[0], kv[1], 0); err != nil {
			return err
		}
	}
	fc := astiav.AllocFormatContext()
	if fc == nil {
		return ErrAlloc
	}
	fc.SetPb(pb)
	// A failed OpenInput has freed the context.
	if err := fc.OpenInput("", format, d); err != nil {
		return err
	}
	in.Format = fc
	in.Own(fc.CloseInput)
	return nil
}

// Explain puts the source's own failure before what FFmpeg made of it. Faults of the
// media come out as [codecs.Error].
func (in *Input) Explain(err error, container string) error {
	if in.io.err != nil {
		return in.io.err
	}
	if codecs.AsError(err) != nil {
		return err
	}
	if in.io.spent {
		return codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "reading the %s file needs its bytes more than three times over", container)
	}
	if errors.Is(err, errNoMemory) || errors.Is(err, ErrAlloc) {
		return codecs.Errorf(codecs.CodeOOM, codecs.StageProbe, "reading the %s file needs more memory than there is: %w", container, err)
	}
	return codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "this is no readable %s file: %w", container, err)
}

// Failed reports whether the source could not be read on: an error of Next is then not
// damage, and [Input.Explain] says what it is.
func (in *Input) Failed() bool { return in.io.err != nil || in.io.spent }

// Err is the error of the context that Open was given.
func (in *Input) Err() error { return in.io.ctx.Err() }

// Probe reads as much of the streams as their parameters need. Decoders that this opens
// refuse pictures of more than maxPixels.
func (in *Input) Probe(maxPixels int64) error { return findStreamInfo(in.Format, maxPixels) }

// Read chooses the track: packets of all others are passed over.
func (in *Input) Read(s *astiav.Stream) {
	in.Stream = s
	readOnly(in.Format, s.Index())
}

// Next reads the track's next whole packet into Packet. skipped tells how many
// packets were passed over because the demuxer found them damaged or cut. The error is
// astiav's, ErrEof at the end.
func (in *Input) Next() (skipped int, err error) {
	for {
		in.Packet.Unref()
		in.io.alive()
		if err := in.Format.ReadFrame(in.Packet); err != nil {
			return skipped, err
		}
		if in.Packet.StreamIndex() != in.Stream.Index() {
			continue
		}
		if flags := in.Packet.Flags(); flags.Has(astiav.PacketFlagCorrupt) && !in.Partial {
			skipped++
			continue
		}
		return skipped, nil
	}
}
