package still

// #include "live.h"
import "C"

import (
	"errors"
	"strconv"
	"syscall"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// yuv is a decoded AV1 picture: planes without padding, of 8 or 16 bits a sample.
type yuv struct {
	width, height  int
	depth          int
	y, u, v        []byte // u and v are nil for gray
	shiftX, shiftY int    // of chroma
	nclx           nclx   // as the bitstream says
}

// decodeAVIF decodes the primary item, and its alpha, and converts them to RGB(A).
// Of an image sequence it is the still that stands for it.
func decodeAVIF(m *media, h avifHeader) (picture, error) {
	colour, err := m.av1(h.pixels, h.width, h.height)
	if err != nil {
		return picture{}, err
	}
	if h.nclx != nil {
		colour.nclx = *h.nclx
	}
	p := picture{width: h.width, height: h.height, channels: 3}
	var alpha *yuv
	if h.alpha != nil {
		p.channels = 4
		if alpha, err = m.av1(h.alpha, h.width, h.height); err != nil {
			return picture{}, err
		}
	}
	p.pix = make([]byte, p.width*p.height*p.channels)
	c, err := m.avifConverter(colour)
	if err != nil {
		return picture{}, err
	}
	c.convert(p)
	if alpha != nil {
		putAlpha(p, alpha, h.multiplied)
	}
	return p, nil
}

// av1 decodes one AV1 picture by libdav1d, single-threaded.
func (m *media) av1(where []span, width, height int) (*yuv, error) {
	// The decoder reads up to 64 bytes past the end (AV_INPUT_BUFFER_PADDING_SIZE).
	const padding = 64
	var data []byte
	for _, s := range where {
		part := make([]byte, s.size)
		if err := m.fill(part, s.at); err != nil {
			return nil, err
		}
		data = append(data, part...)
	}
	codec := astiav.FindDecoderByName("libdav1d")
	if codec == nil {
		return nil, m.unsupported("this FFmpeg has no libdav1d")
	}
	codecs.Expose(m.Source)
	d, err := newAV1(codec, width, height)
	defer d.free()
	if err != nil {
		return nil, outOfMemory(err, m.unsupported("FFmpeg does not open libdav1d: %v", err))
	}
	if err := d.packet.FromData(append(data, make([]byte, padding)...)); err != nil {
		return nil, outOfMemory(errNoMemory, nil) // there is no other reason
	}
	d.packet.SetSize(len(data))
	if err := d.context.SendPacket(d.packet); err != nil {
		return nil, outOfMemory(err, m.invalid(codecs.StageDecode, "libdav1d can not read its bitstream: %v", err))
	}
	// Nothing follows; an error here shows in what comes out.
	_ = d.context.SendPacket(nil)
	if err := d.context.ReceiveFrame(d.frame); err != nil {
		return nil, outOfMemory(err, m.invalid(codecs.StageDecode, "libdav1d can not decode its bitstream: %v", err))
	}
	if d.frame.Width() != width || d.frame.Height() != height {
		return nil, m.invalid(codecs.StageDecode, "it says %dx%d and holds %dx%d", width, height, d.frame.Width(), d.frame.Height())
	}
	return m.planes(d)
}

// errNoMemory is FFmpeg's AVERROR(ENOMEM), which astiav does not name.
const errNoMemory = astiav.Error(-int(syscall.ENOMEM))

// outOfMemory is the fault of a decoder that got no memory, if err of FFmpeg says so, else
// other.
func outOfMemory(err, other error) error {
	if errors.Is(err, errNoMemory) {
		return codecs.Errorf(codecs.CodeOOM, codecs.StageDecode, "the avif picture needs more memory than there is")
	}
	return other
}

// av1Decoder owns FFmpeg's objects for one picture.
type av1Decoder struct {
	context *astiav.CodecContext
	packet  *astiav.Packet
	frame   *astiav.Frame
}

// newAV1 opens a decoder that refuses pictures of more pixels than the header says.
// It is to be freed also after an error.
func newAV1(codec *astiav.Codec, width, height int) (*av1Decoder, error) {
	C.still_live_add(1)
	d := &av1Decoder{astiav.AllocCodecContext(codec), astiav.AllocPacket(), astiav.AllocFrame()}
	if d.context == nil || d.packet == nil || d.frame == nil {
		return d, errNoMemory
	}
	d.context.SetThreadCount(1)
	options := astiav.NewDictionary()
	defer options.Free()
	for name, value := range map[string]string{
		"max_pixels":       strconv.Itoa(width * height),
		"log_level_offset": "64", // nothing that it says is for stderr; errors come back
	} {
		if err := options.Set(name, value, 0); err != nil {
			return d, err
		}
	}
	return d, d.context.Open(codec, options)
}

func (d *av1Decoder) free() {
	if d.frame != nil {
		d.frame.Free()
	}
	if d.packet != nil {
		d.packet.Free()
	}
	if d.context != nil {
		d.context.Free()
	}
	C.still_live_add(-1)
}

// planes copies a decoded frame into Go's memory.
func (m *media) planes(d *av1Decoder) (*yuv, error) {
	p := &yuv{width: d.frame.Width(), height: d.frame.Height()}
	f := d.frame.PixelFormat()
	gray := false
	switch f {
	case astiav.PixelFormatGray8, astiav.PixelFormatGray10Le, astiav.PixelFormatGray12Le:
		gray = true
	case astiav.PixelFormatYuv420P, astiav.PixelFormatYuv420P10Le, astiav.PixelFormatYuv420P12Le:
		p.shiftX, p.shiftY = 1, 1
	case astiav.PixelFormatYuv422P, astiav.PixelFormatYuv422P10Le, astiav.PixelFormatYuv422P12Le:
		p.shiftX = 1
	case astiav.PixelFormatYuv444P, astiav.PixelFormatYuv444P10Le, astiav.PixelFormatYuv444P12Le:
	case astiav.PixelFormatGbrp, astiav.PixelFormatGbrp10Le, astiav.PixelFormatGbrp12Le:
	default:
		return nil, m.unsupported("its pixels are %s", f)
	}
	switch f {
	case astiav.PixelFormatGray8, astiav.PixelFormatYuv420P, astiav.PixelFormatYuv422P, astiav.PixelFormatYuv444P, astiav.PixelFormatGbrp:
		p.depth = 8
	case astiav.PixelFormatGray12Le, astiav.PixelFormatYuv420P12Le, astiav.PixelFormatYuv422P12Le, astiav.PixelFormatYuv444P12Le, astiav.PixelFormatGbrp12Le:
		p.depth = 12
	default:
		p.depth = 10
	}
	all, err := d.frame.Data().Bytes(1)
	if err != nil {
		return nil, err
	}
	bytes := (p.depth + 7) / 8
	luma := p.width * p.height * bytes
	chroma := ((p.width + p.shiftX) >> p.shiftX) * ((p.height + p.shiftY) >> p.shiftY) * bytes
	if p.y = all[:luma]; !gray {
		p.u, p.v = all[luma:][:chroma], all[luma+chroma:][:chroma]
	}
	p.nclx = nclx{matrix: int(d.context.ColorSpace()), full: d.context.ColorRange() == astiav.ColorRangeJpeg}
	return p, nil
}
