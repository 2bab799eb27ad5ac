package video

import (
	"errors"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
)

// pass is one run over the track with a decoder.
type pass struct {
	in   *input
	dec  *decoder
	lim  codecs.Limits
	plan *plan // nil: send everything
	// entries are the packets that the plan was made for.
	entries []entry

	n       int   // packets read
	sent    int64 // packets given to the decoder
	unseen  int64 // bytes given to the decoder since its last picture
	skipped int   // packets that the demuxer found damaged or cut
	faults  int   // packets or pictures that the decoder refused
	held    bool  // in.Packet waits until the decoder is empty and restarted
	ended   bool  // the decoder was told that nothing more comes

	turn []byte // display matrix of the last keyframe, or nil

	w, h, format, changes int
}

func (p *pass) close() {
	p.dec.Free()
	p.in.Free()
}

// next gives the next picture in presentation order, in p.dec.frame, valid until the
// following call. ok is false at the end.
func (p *pass) next() (t tags, ok bool, err error) {
	for {
		p.dec.frame.Unref()
		err := p.dec.cc.ReceiveFrame(p.dec.frame)
		switch {
		case err == nil:
			p.unseen = 0
			return p.tags(), true, p.checkFrame()
		case ffmpeg.NoMemory(err):
			return tags{}, false, err
		case errors.Is(err, astiav.ErrEof) && p.held:
			if err := p.restart(); err != nil {
				return tags{}, false, err
			}
		case errors.Is(err, astiav.ErrEof):
			return tags{}, false, nil
		case errors.Is(err, astiav.ErrEagain) && !p.ended && !p.held:
			if err := p.feed(); err != nil {
				return tags{}, false, err
			}
		case p.ended || p.held:
			// Draining gives either pictures or the end; an error here is damage, and
			// asking on might never end.
			p.faults++
			if !p.held {
				return tags{}, false, nil
			}
			if err := p.restart(); err != nil {
				return tags{}, false, err
			}
		default:
			p.faults++
			if err := p.feed(); err != nil {
				return tags{}, false, err
			}
		}
	}
}

// tags reads the picture's tags. A display matrix in the stream is told with a keyframe
// and holds up to the next (H.264 and HEVC, display orientation SEI message); one that
// is told with another picture counts for that alone, so that what is dropped by a plan
// changes nothing.
func (p *pass) tags() tags {
	f := p.dec.frame
	t := frameTags(f)
	if t.alpha {
		stripAlpha(f)
	}
	if sd := f.SideData(astiav.FrameSideDataTypeDisplaymatrix); sd != nil {
		t.turn = sd.Data()
	}
	if f.KeyFrame() {
		p.turn = t.turn
	}
	if t.turn == nil {
		t.turn = p.turn
	}
	return t
}

// feed reads on to the next packet that the plan sends, and sends it.
func (p *pass) feed() error {
	for {
		if err := p.in.Err(); err != nil {
			return err
		}
		skipped, err := p.in.Next()
		p.skipped += skipped
		if err != nil {
			if !errors.Is(err, astiav.ErrEof) {
				if p.in.Failed(err) {
					return p.in.Explain(err, "media")
				}
				p.skipped++
			}
			return p.end()
		}
		step := stepSend
		if p.plan != nil {
			if p.n >= len(p.plan.steps) {
				return p.end()
			}
			step = p.plan.steps[p.n]
			if p.in.Packet.Pts() != p.entries[p.n].pts {
				p.faults++ // not the packet that was planned with
			}
		}
		p.n++
		switch step {
		case stepDrop:
			continue
		case stepRestart:
			if p.sent > 0 {
				p.held = true
				return p.drain()
			}
		}
		return p.send()
	}
}

func (p *pass) send() error {
	if p.sent++; p.sent > p.lim.MaxFramesDecoded {
		return codecs.Errorf(codecs.CodeLimitFrames, codecs.StageDecode, "more than %d frames would be decoded", p.lim.MaxFramesDecoded)
	}
	if p.unseen += int64(p.in.Packet.Size()); p.unseen > p.lim.MaxFrameBytes {
		return codecs.Errorf(codecs.CodeStall, codecs.StageDecode, "the decoder made no picture of %d bytes; limits.max_frame_bytes is %d", p.unseen, p.lim.MaxFrameBytes)
	}
	// Damage is not the end: the decoder goes on with the next packet, as FFmpeg's own
	// tools do.
	if err := p.dec.cc.SendPacket(p.in.Packet); ffmpeg.NoMemory(err) {
		return err
	} else if err != nil {
		p.faults++
	}
	return nil
}

func (p *pass) end() error {
	p.ended = true
	return p.drain()
}

// drain asks the decoder for the pictures that it still holds.
func (p *pass) drain() error {
	if err := p.dec.cc.SendPacket(nil); ffmpeg.NoMemory(err) {
		return err
	}
	return nil
}

// restart empties the decoder of all memory and gives it the packet that waited.
func (p *pass) restart() error {
	flush(p.dec.cc)
	p.held = false
	return p.send()
}

// checkFrame holds each picture against the limits, picked or not.
func (p *pass) checkFrame() error {
	f := p.dec.frame
	w, h, format := f.Width(), f.Height(), int(f.PixelFormat())
	if w == p.w && h == p.h && format == p.format {
		return nil
	}
	if err := p.lim.CheckSize(codecs.KindVideo, w, h); err != nil {
		return err
	}
	if p.w != 0 {
		p.changes++
	}
	p.w, p.h, p.format = w, h, format
	if p.changes > p.lim.MaxSizeChanges {
		return codecs.Errorf(codecs.CodeLimitChanges, codecs.StageDecode, "the picture's size or format changes more than %d times", p.lim.MaxSizeChanges)
	}
	return nil
}
