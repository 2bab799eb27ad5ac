package audio

import (
	"errors"
	"fmt"
	"math"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// EncodeFLAC writes a FLAC file (RFC 9639) of 16 bits, one channel. A sample becomes
// round(v * 32768), halves to even, held within 16 bits: what FFmpeg does without
// dither, and exact where 16 bits came in at the same rate. STREAMINFO is complete (count
// of samples, MD5), and there are no tags, so that the same sound gives the same bytes
// with the same FFmpeg. Sound without a sample can not be a FLAC file.
func EncodeFLAC(s *codecs.Sound) ([]byte, error) {
	if len(s.Samples) == 0 {
		return nil, errors.New("a FLAC file needs at least one sample")
	}
	e := &flacEncoder{}
	defer e.Free()
	file, err := e.encode(s)
	if err != nil {
		return nil, ffmpeg.Fault(fmt.Errorf("FLAC of %d samples at %d Hz: %w", len(s.Samples), s.Rate, err), codecs.StageDecode)
	}
	return file, nil
}

// streamInfo is the length of the metadata block of that name, without its header.
const streamInfo = 34

type flacEncoder struct {
	ffmpeg.Owner
	cc    *astiav.CodecContext
	frame *astiav.Frame
	pkt   *astiav.Packet
	file  []byte
}

func (e *flacEncoder) encode(s *codecs.Sound) ([]byte, error) {
	if err := e.open(s.Rate); err != nil {
		return nil, err
	}
	e.file = append(e.file, "fLaC\x80\x00\x00"...) // the one metadata block, and the last
	e.file = append(e.file, streamInfo)
	e.file = append(e.file, make([]byte, streamInfo)...)
	block := e.cc.FrameSize()
	if block < 1 {
		return nil, errors.New("the encoder has no block size")
	}
	pcm := make([]int16, 0, block)
	for at := 0; at < len(s.Samples); at += block {
		pcm = pcm[:0]
		for _, v := range s.Samples[at:min(at+block, len(s.Samples))] {
			pcm = append(pcm, to16(v))
		}
		if err := e.send(pcm, int64(at)); err != nil {
			return nil, err
		}
	}
	if err := e.cc.SendFrame(nil); err != nil {
		return nil, err
	}
	if err := e.receive(); !errors.Is(err, astiav.ErrEof) {
		return nil, err
	}
	return e.file, nil
}

func to16(v float32) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.RoundToEven(float64(v)*32768))))
}

func (e *flacEncoder) open(rate int) error {
	codec := astiav.FindEncoderByName("flac")
	if codec == nil {
		return errors.New("this FFmpeg has no FLAC encoder")
	}
	if e.cc = astiav.AllocCodecContext(codec); e.cc == nil {
		return ffmpeg.ErrAlloc
	}
	e.Own(e.cc.Free)
	e.cc.SetSampleFormat(astiav.SampleFormatS16)
	e.cc.SetSampleRate(rate)
	e.cc.SetTimeBase(astiav.NewRational(1, rate))
	e.cc.SetChannelLayout(astiav.ChannelLayoutMono)
	e.cc.SetThreadCount(1)
	if err := e.cc.Open(codec, nil); err != nil {
		return err
	}
	if e.frame = astiav.AllocFrame(); e.frame == nil {
		return ffmpeg.ErrAlloc
	}
	e.Own(e.frame.Free)
	if e.pkt = astiav.AllocPacket(); e.pkt == nil {
		return ffmpeg.ErrAlloc
	}
	e.Own(e.pkt.Free)
	return nil
}

func (e *flacEncoder) send(pcm []int16, at int64) error {
	e.frame.Unref()
	e.frame.SetSampleFormat(astiav.SampleFormatS16)
	e.frame.SetSampleRate(e.cc.SampleRate())
	e.frame.SetChannelLayout(astiav.ChannelLayoutMono)
	e.frame.SetNbSamples(len(pcm))
	if err := e.frame.AllocBuffer(0); err != nil {
		return err
	}
	fill(e.frame, pcm)
	e.frame.SetPts(at)
	if err := e.cc.SendFrame(e.frame); err != nil {
		return err
	}
	if err := e.receive(); !errors.Is(err, astiav.ErrEagain) {
		return err
	}
	return nil
}

// receive takes what the encoder has ready, up to an error, which is ErrEagain or
// ErrEof in the normal course. The final STREAMINFO comes beside the last packet.
func (e *flacEncoder) receive() error {
	for {
		e.pkt.Unref()
		if err := e.cc.ReceivePacket(e.pkt); err != nil {
			return err
		}
		e.file = append(e.file, e.pkt.Data()...)
		if info := e.pkt.SideData(astiav.PacketSideDataTypeNewExtradata); len(info) == streamInfo {
			copy(e.file[8:], info)
		}
	}
}
