package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

const (
	ioBuffer  = 64 << 10
	seekSize  = 0x10000 // AVSEEK_SIZE: asks for the size instead of seeking
	seekForce = 0x20000 // AVSEEK_FORCE: a hint
)

const (
	// mostReadings is how often one opening may read each byte of its source, on the
	// average: a demuxer that is sent back and forth without an end stops here. A medium
	// is opened at most four times for its pictures (packets, a plan that fails, times,
	// pictures) and once for its sound.
	mostReadings = 3
	// readingSlack is for small files, of which a buffer or two is many times the size.
	readingSlack = 64 << 20
)

// sourceIO is what FFmpeg's read and seek callbacks work on. astiav never forgets its
// callbacks, so they hold this and not the source, and close clears it.
type sourceIO struct {
	ctx    context.Context
	src    codecs.Source // nil once closed
	at     int64
	holes  []Span // see [Input.LeaveOut]
	budget int64  // bytes that may still be read; seek storms end here
	since  int64  // bytes read since the track's last packet
	most   int64  // of since; 0 until packets are asked for
	err    error  // what went wrong that is not the media's fault; final
	spent  bool   // the budget was overrun
	barren bool   // most was
}

func newSourceIO(ctx context.Context, src codecs.Source) *sourceIO {
	codecs.Expose(src)
	return &sourceIO{ctx: ctx, src: src, budget: mostReadings*src.Size() + readingSlack}
}

// alive passes the sign of life on.
func (s *sourceIO) alive() {
	if w, ok := s.src.(codecs.Watched); ok {
		w.Alive()
	}
}

// read follows astiav's rules: its own EOF, never bytes together with an error, never
// more than asked. A panic must not reach C.
func (s *sourceIO) read(b []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, s.fail(fmt.Errorf("reading the medium panicked: %v", p))
		}
	}()
	if s.src == nil || s.err != nil || s.spent || s.barren {
		return 0, astiav.ErrEio
	}
	if err := s.ctx.Err(); err != nil {
		return 0, s.fail(err)
	}
	want := min(int64(len(b)), s.src.Size()-s.at)
	if want <= 0 {
		return 0, astiav.ErrEof
	}
	want, hole := s.hole(want)
	if hole {
		clear(b[:want])
		s.at += want
		return int(want), nil
	}
	if s.budget -= want; s.budget < 0 {
		s.spent = true
		return 0, astiav.ErrEio
	}
	if s.since += want; s.most > 0 && s.since > s.most {
		s.barren = true
		return 0, astiav.ErrEio
	}
	n, err = s.src.ReadAt(b[:want], s.at)
	if n > 0 {
		s.at += int64(n)
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return 0, s.fail(fmt.Errorf("reading the medium at byte %d: %w", s.at, err))
}

func (s *sourceIO) seek(offset int64, whence int) (int64, error) {
	if s.src == nil {
		return 0, astiav.ErrEio
	}
	switch whence &^ seekForce {
	case seekSize:
		return s.src.Size(), nil
	case io.SeekStart:
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.src.Size()
	default:
		return 0, astiav.ErrEio
	}
	if offset < 0 {
		return 0, astiav.ErrEio
	}
	s.at = offset
	return offset, nil
}

func (s *sourceIO) fail(err error) error {
	if s.err == nil {
		s.err = err
	}
	return astiav.ErrEio
}

func (s *sourceIO) close() { s.src = nil }
