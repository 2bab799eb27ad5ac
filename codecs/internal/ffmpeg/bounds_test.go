package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/asticode/go-astiav"

	"github.com/millrace/millrace/codecs"
)

// zeros is a source of nothing but zeros, that counts what is read of it.
type zeros struct{ size, read int64 }

func (z *zeros) Size() int64 { return z.size }

func (z *zeros) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	z.read += int64(len(p))
	return len(p), nil
}

// A demuxer that goes back and forth is stopped, and one that finds no packet.
func TestReadingIsBounded(t *testing.T) {
	const size = 100 << 20
	storm := func(s *sourceIO) (err error) {
		b := make([]byte, 1<<20)
		for err == nil {
			if _, err = s.seek(0, io.SeekStart); err == nil {
				_, err = s.read(b)
			}
		}
		return err
	}
	march := func(s *sourceIO) (err error) {
		b := make([]byte, 1<<20)
		for err == nil {
			_, err = s.read(b)
		}
		return err
	}
	for _, c := range []struct {
		name string
		run  func(*sourceIO) error
		most int64 // for a packet
		read int64
		code codecs.Code // of a fault; "" for the source's end
	}{
		{"a seek storm", storm, 0, mostReadings*size + readingSlack, codecs.CodeStall},
		{"a seek storm among packets", storm, 8 << 20, 8 << 20, codecs.CodeStall},
		{"one reading", march, 0, size, ""},
		{"no packet far and wide", march, 8 << 20, 8 << 20, codecs.CodeStall},
		{"a packet as large as is allowed", march, size, size, ""},
	} {
		src := &zeros{size: size}
		in := &Input{io: newSourceIO(context.Background(), src)}
		in.io.most = c.most
		err := c.run(in.io)
		if src.read != c.read {
			t.Errorf("%s: %d bytes were read, want %d", c.name, src.read, c.read)
		}
		if c.code == "" {
			if !errors.Is(err, astiav.ErrEof) || in.Failed(err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if e := codecs.AsError(in.Explain(err, "mp4")); !in.Failed(err) || e == nil || e.Code != c.code {
			t.Errorf("%s: %v, %v", c.name, err, e)
		}
	}
}

// endless is a transport stream of padding without an end, behind its first packets.
type endless struct {
	head []byte
	read int64
}

func (e *endless) Size() int64 { return 1 << 40 / 188 * 188 }

func (e *endless) ReadAt(p []byte, at int64) (int, error) {
	e.read += int64(len(p))
	clear(p)
	for i := -at % 188; i < int64(len(p)); i += 188 {
		for j, b := range []byte{0x47, 0x1f, 0xff, 0x10} {
			if k := i + int64(j); k >= 0 && k < int64(len(p)) {
				p[k] = b
			}
		}
	}
	if at < int64(len(e.head)) {
		copy(p, e.head[at:])
	}
	return len(p), nil
}

// Probing ends, though nothing says what a stream holds: transport streams announce their
// streams, and these never come.
func TestProbingIsBounded(t *testing.T) {
	film, err := os.ReadFile("../../../testdata/videos/h264.ts")
	if err != nil {
		t.Fatal(err)
	}
	src := &endless{head: film[:3*188]}
	in, err := Open(t.Context(), src, "mpegts", "mpegts", []string{"h264"})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Free()
	err = in.Probe(1 << 20)
	if e := codecs.AsError(in.Explain(err, "mpegts")); err == nil || e == nil || e.Code != codecs.CodeStall {
		t.Errorf("it ended with %v", err)
	}
	if most := int64(mostProbed + 1<<20); src.read > most {
		t.Errorf("%d bytes of %d were read to find out what there is; want at most %d", src.read, src.Size(), most)
	}
}

// What FFmpeg is refused by its allocator is no fault of the bytes, wherever it comes out.
func TestNoMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code codecs.Code // after Fault; "" for the same error
	}{
		{"bare", errNoMemory, codecs.CodeOOM},
		{"no object", ErrAlloc, codecs.CodeOOM},
		{"taken for damage on the way", codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "no decoder: %w", errNoMemory), codecs.CodeOOM},
		{"named already", codecs.Errorf(codecs.CodeOOM, codecs.StageProbe, "no memory: %w", errNoMemory), codecs.CodeOOM},
		{"another of FFmpeg's", astiav.ErrEio, ""},
		{"another fault", codecs.Errorf(codecs.CodeInvalid, codecs.StageProbe, "no decoder: %w", astiav.ErrEio), ""},
		{"another kind", fmt.Errorf("reading: %w", context.Canceled), ""},
	} {
		got := Fault(c.err, codecs.StageDecode)
		switch e := codecs.AsError(got); {
		case c.code == "" && got != c.err:
			t.Errorf("%s: became %v", c.name, got)
		case c.code != "" && (e == nil || e.Code != c.code || !NoMemory(got)):
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Opening within less memory than it takes says so.
func TestOpenWithoutMemory(t *testing.T) {
	film := isoFiles(t)["h264_nob.mp4"]
	limitAllocations()
	defer LimitAllocations(mostAlloc)
	for _, most := range []int64{64, 1 << 10, 16 << 10, 60 << 10} {
		LimitAllocations(most)
		in, err := Open(t.Context(), bytes.NewReader(film), "mp4", "mov", []string{"h264"})
		if err == nil {
			in.Free()
			t.Errorf("%d bytes at a time were enough", most)
			continue
		}
		if e := codecs.AsError(err); e == nil || e.Code != codecs.CodeOOM {
			t.Errorf("%d bytes at a time: %v", most, err)
		}
	}
	if n := LiveObjects(); n != 0 {
		t.Errorf("%d C objects are alive", n)
	}
}
