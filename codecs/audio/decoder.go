package audio

import (
	"errors"
	"strconv"
	"strings"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// mostSamples is what one frame may hold; FFmpeg refuses more before it allocates.
const mostSamples = 1 << 20

// decoder decodes the input's track to its end, with one thread.
type decoder struct {
	ffmpeg.Owner
	in    *ffmpeg.Input
	cc    *astiav.CodecContext
	frame *astiav.Frame

	cut   bool // packets were found damaged or cut by the demuxer
	ended bool // the decoder was told that nothing more comes
}

func openDecoder(in *ffmpeg.Input) (*decoder, error) {
	// Of plain samples a cut packet is as good as a whole one, only shorter.
	in.Partial = strings.HasPrefix(in.Stream.CodecParameters().CodecID().Name(), "pcm_")
	d := &decoder{in: in}
	if err := d.open(); err != nil {
		d.Free()
		return nil, err
	}
	return d, nil
}

func (d *decoder) open() error {
	p := d.in.Stream.CodecParameters()
	name := decoders[p.CodecID().Name()]
	codec := astiav.FindDecoderByName(name)
	if codec == nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "this FFmpeg has no decoder %q", name)
	}
	if d.cc = astiav.AllocCodecContext(codec); d.cc == nil {
		return ffmpeg.ErrAlloc
	}
	d.Own(d.cc.Free)
	if err := p.ToCodecContext(d.cc); err != nil {
		return codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode, "the %s track's parameters are unusable: %w", name, err)
	}
	d.cc.SetThreadCount(1)
	setTimeBase(d.cc, d.in.Stream)
	opts := astiav.NewDictionary()
	defer opts.Free()
	if err := opts.Set("max_samples", strconv.Itoa(mostSamples), 0); err != nil {
		return err
	}
	if err := d.cc.Open(codec, opts); err != nil {
		return codecs.Errorf(codecs.CodeUnsupported, codecs.StageDecode, "the %s decoder refuses the track: %w", name, err)
	}
	if d.frame = astiav.AllocFrame(); d.frame == nil {
		return ffmpeg.ErrAlloc
	}
	d.Own(d.frame.Free)
	return nil
}

// next decodes the next frame, valid until the following call. ok is false at the end.
// Damage is not the end: the decoder goes on with the next packet, as FFmpeg's own tools
// do, and stamps tell what is missing.
func (d *decoder) next() (s sound, ok bool, err error) {
	for {
		d.frame.Unref()
		err := d.cc.ReceiveFrame(d.frame)
		switch {
		case err == nil:
			if s := soundOf(d.frame); s.samples > 0 {
				return s, true, nil
			}
		case ffmpeg.NoMemory(err):
			return sound{}, false, err
		case errors.Is(err, astiav.ErrEof), d.ended:
			// While it is emptied a decoder gives frames or the end; asking on after
			// an error might never end.
			return sound{}, false, nil
		default:
			if err := d.feed(); err != nil {
				return sound{}, false, err
			}
		}
	}
}

// feed gives the decoder the track's next packet.
func (d *decoder) feed() error {
	if err := d.in.Err(); err != nil {
		return err
	}
	skipped, err := d.in.Next()
	d.cut = d.cut || skipped > 0
	if err != nil {
		if d.in.Failed(err) {
			return d.in.Explain(err, "media")
		}
		d.cut = d.cut || !errors.Is(err, astiav.ErrEof)
		d.ended = true
		return d.send(nil)
	}
	if len(d.in.Packet.SideData(astiav.PacketSideDataTypeEncryptionInfo)) > 0 {
		return codecs.Errorf(codecs.CodeEncrypted, codecs.StageDecode, "track %d is protected", d.in.Stream.Index())
	}
	return d.send(d.in.Packet)
}

// send gives the decoder a packet, or the end. What it refuses is damage, of which the
// stamps tell.
func (d *decoder) send(p *astiav.Packet) error {
	if err := d.cc.SendPacket(p); ffmpeg.NoMemory(err) {
		return err
	}
	return nil
}
