package ffmpeg

import (
	"context"
	"strconv"
	"strings"
	"time"

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
	// MaxPacketBytes is how much Next may read of the source for one packet of the track;
	// 0 sets no bound but that of the whole opening.
	MaxPacketBytes int64
	io             *sourceIO
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
	limitAllocations()
	in := &Input{io: newSourceIO(ctx, src)}
	err := in.open(demuxer, decoders, usualStreams)
	if NoMemory(err) {
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

// What FFmpeg may take to find out what a file holds, before a track is chosen. They are
// its options of these names, or beside them; nothing that people have to set.
const (
	usualStreams    = 1000 // FFmpeg's own default
	mostStreams     = 50_000
	probeBytes      = 5 << 20
	probeTime       = 5 * time.Second
	probePackets    = 500
	mostProbed      = 128 << 20 // what it reads for all of this: its own bounds do not see what is no packet
	mostAlloc       = 512 << 20 // bytes of any one of its allocations: a plane of the largest picture is 72 MiB
	protocolAllowed = "none"    // a name that no protocol has
)

func (in *Input) open(demuxer string, decoders []string, streams int) error {
	format := astiav.FindInputFormat(demuxer)
	if format == nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "this FFmpeg has no %s demuxer", demuxer)
	}
	pb, err := astiav.AllocIOContext(ioBuffer, false, in.io.read, in.io.seek, nil)
	if err != nil {
		return ErrAlloc // there is no other reason
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
		{"protocol_whitelist", protocolAllowed},
		{"probesize", strconv.Itoa(probeBytes)},
		{"analyzeduration", strconv.FormatInt(probeTime.Microseconds(), 10)},
		{"max_probe_packets", strconv.Itoa(probePackets)},
		{"max_streams", strconv.Itoa(streams)},
	} {
		if err := d.Set(kv[0], kv[1], 0); err != nil {
			return err
		}
	}
	if demuxer == "mov" {
		for _, opensOthers := range []string{"enable_drefs", "use_absolute_path"} {
			if err := d.Set(opensOthers, "0", 0); err != nil {
				return err
			}
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
	// FFmpeg takes out what it knows. An option that it does not know would be a bound that
	// is not there.
	if left := d.Get("", nil, astiav.NewDictionaryFlags(astiav.DictionaryFlagIgnoreSuffix)); left != nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageProbe, "this FFmpeg does not know the option %s, which keeps it in bounds", left.Key())
	}
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
		return codecs.Errorf(codecs.CodeStall, codecs.StageProbe, "reading the %s file needs its bytes more than %d times over", container, mostReadings)
	}
	if in.io.barren {
		return codecs.Errorf(codecs.CodeStall, codecs.StageDecode, "%d bytes of the %s file would be read without coming to a frame; the limit is %d", in.io.since, container, in.io.most)
	}
	if NoMemory(err) {
		return codecs.Errorf(codecs.CodeOOM, codecs.StageProbe, "reading the %s file needs more memory than there is: %w", container, err)
	}
	return codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "this is no readable %s file: %w", container, err)
}

// Failed reports whether err, of Next, is more than damage: the source could not be read
// on, a bound was reached, or there is no memory. [Input.Explain] says what it is.
func (in *Input) Failed(err error) bool {
	return in.io.err != nil || in.io.spent || in.io.barren || NoMemory(err)
}

// Err is the error of the context that Open was given.
func (in *Input) Err() error { return in.io.ctx.Err() }

// Probe reads as much of the streams as their parameters need. Decoders that this opens
// refuse pictures of more than maxPixels.
func (in *Input) Probe(maxPixels int64) error {
	in.io.since, in.io.most = 0, mostProbed
	err := findStreamInfo(in.Format, maxPixels)
	if in.io.barren {
		return astiav.ErrEio // FFmpeg makes do with what it has
	}
	return err
}

// Read chooses the track: packets of all others are passed over.
func (in *Input) Read(s *astiav.Stream) {
	in.Stream = s
	readOnly(in.Format, s.Index())
}

// Next reads the track's next whole packet into Packet. skipped tells how many
// packets were passed over because the demuxer found them damaged or cut. The error is
// astiav's, ErrEof at the end.
func (in *Input) Next() (skipped int, err error) {
	in.io.since, in.io.most = 0, in.MaxPacketBytes
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
