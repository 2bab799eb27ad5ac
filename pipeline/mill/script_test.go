package mill

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// script is a decoder of a small language, one word a line: a number makes that many
// frames, other words misbehave.
type script struct{}

func (script) Sniff(head []byte) (string, bool) { return "script", bytes.HasPrefix(head, []byte("#")) }

func (script) Open(_ context.Context, src codecs.Source, _ string, _ *pipeline.Recipe) (codecs.Frames, error) {
	b := make([]byte, src.Size())
	if _, err := src.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return &frames{src: src, words: strings.Fields(string(b))[1:]}, nil
}

type frames struct {
	src   codecs.Source
	words []string
	n     int64
}

func (f *frames) Info() codecs.Info { return codecs.Info{Kind: codecs.KindVideo} }
func (f *frames) Close() error      { return nil }
func (f *frames) Picks() []codecs.Moment {
	l := make([]codecs.Moment, len(f.words))
	for i := range l {
		l[i] = codecs.Moment{Index: int64(i)}
	}
	return l
}

func (f *frames) Next() (*codecs.Frame, error) {
	if len(f.words) == 0 {
		return nil, io.EOF
	}
	w := f.words[0]
	f.words = f.words[1:]
	switch w {
	case "crash":
		syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "killed":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "leave":
		os.Exit(0)
	case "panic":
		panic("the decoder is upset")
	case "hang":
		select {}
	case "slow": // reads for ever, so it does not stall
		for {
			f.src.ReadAt(make([]byte, 1), 0)
			time.Sleep(10 * time.Millisecond)
		}
	case "busy": // decodes for longer than a stall may last, without a read
		for range 20 {
			f.src.(codecs.Watched).Alive()
			time.Sleep(100 * time.Millisecond)
		}
		return f.frame([]byte{1, 2, 3}), nil
	case "lasts": // so many seconds
		seconds, err := strconv.ParseInt(f.words[0], 10, 64)
		if err != nil {
			return nil, err
		}
		f.words = f.words[1:]
		codecs.Lasts(f.src, codecs.Rational{Num: seconds, Den: 1})
		return f.Next()
	case "reread":
		if _, err := f.src.ReadAt(make([]byte, 1), 0); err != nil {
			return f.Next() // as a decoder does that takes what it can not read for damage
		}
		return f.Next()
	case "whole":
		return nil, codecs.ErrWhole
	case "slowly":
		time.Sleep(20 * time.Millisecond)
		return f.frame([]byte{1, 2, 3}), nil
	case "bad":
		return nil, codecs.Errorf(codecs.CodeInvalid, codecs.StageDecode, "not a frame")
	case "exposed": // as a decoder in C is
		codecs.Expose(f.src)
		return f.frame([]byte{1, 2, 3}), nil
	case "escape":
		name, word := strings.Join(f.words[:len(f.words)-1], " "), f.words[len(f.words)-1]
		f.words = nil
		return f.frame([]byte(attack(name, word, f.src.(*source).ReaderAt.(*os.File)))), nil
	case "eat", "swallow", "threads", "flood", "giant", "nothing":
		return f.greed(w)
	case "frame":
		return f.frame([]byte{byte(f.n), 1, 2}), nil
	}
	return nil, fmt.Errorf("unknown word %q", w)
}

func (f *frames) frame(pix []byte) *codecs.Frame {
	f.n++
	return &codecs.Frame{Pixels: codecs.Pixels{Width: 1, Height: 1, Pix: pix}, Index: f.n - 1, PTS: codecs.NewRational(f.n-1, 25)}
}

// greed takes what is not its to take, until it is stopped.
func (f *frames) greed(of string) (*codecs.Frame, error) {
	const page = 4096
	switch of {
	case "eat":
		for kept := [][]byte{}; ; time.Sleep(time.Millisecond) {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += page {
				b[i] = 1
			}
			kept = append(kept, b)
			f.src.(codecs.Watched).Alive()
			runtime.KeepAlive(kept)
		}
	case "swallow":
		b := make([]byte, 8<<30)
		for i := 0; i < len(b); i += page {
			b[i] = 1
		}
	case "threads":
		for range 300 {
			go func() {
				runtime.LockOSThread()
				select {}
			}()
		}
		select {}
	case "flood":
		f.words = append(f.words, "flood")
		return f.frame(make([]byte, 100<<10)), nil
	case "giant":
		unix.Write(parentSocket(), []byte{byte(kindSample), 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
		select {}
	case "nothing":
		for {
			unix.Write(parentSocket(), append([]byte{byte(kindAlive), 0, 0, 0, paceSize, 0, 0, 0}, pace{}.encode()...))
			time.Sleep(time.Millisecond)
		}
	}
	return nil, io.EOF
}
