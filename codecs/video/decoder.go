package video

import (
	"strconv"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// decoder is one single-threaded decoder and the frame that it fills.
type decoder struct {
	ffmpeg.Owner
	cc    *astiav.CodecContext
	frame *astiav.Frame
}

// openDecoder opens the decoder that is on the list for the track's codec. unclean
// gives out pictures as well that come before a recovery point. A plan's restarts need
// that: while H.264's decoder is being emptied, it takes a picture held back for that
// reason for the end, and loses those behind it.
func openDecoder(p *astiav.CodecParameters, unclean bool, lim codecs.Limits, opt Options) (*decoder, error) {
	d := &decoder{}
	if err := d.open(p, unclean, lim, opt); err != nil {
		d.Free()
		return nil, err
	}
	return d, nil
}

func (d *decoder) open(p *astiav.CodecParameters, unclean bool, lim codecs.Limits, opt Options) error {
	name := opt.decoder(p.CodecID().Name())
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
	if unclean {
		d.cc.SetFlags(d.cc.Flags().Add(astiav.CodecContextFlagOutputCorrupt))
	}
	opts := astiav.NewDictionary()
	defer opts.Free()
	if err := opts.Set("max_pixels", strconv.FormatInt(mostPixels(lim), 10), 0); err != nil {
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

// mostPixels is the bound that FFmpeg is given, as a net below our own checks. It has
// slack, since FFmpeg applies it to sizes that are rounded up for its buffers.
func mostPixels(lim codecs.Limits) int64 {
	return lim.MaxVideoPixels + 256*int64(lim.MaxSide)
}
