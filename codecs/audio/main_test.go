package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
)

const sounds = "../../testdata/audio"

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if n := LiveObjects(); n != 0 {
		fmt.Fprintf(os.Stderr, "%d C objects are still alive\n", n)
		code = 1
	}
	os.Exit(code)
}

// bytesSource is a medium in memory.
type bytesSource []byte

func (b bytesSource) Size() int64 { return int64(len(b)) }

func (b bytesSource) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(b)) {
		return 0, fmt.Errorf("read at %d of %d", at, len(b))
	}
	return copy(p, b[at:]), nil
}

func load(tb testing.TB, name string) bytesSource {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(sounds, name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// containerOf is by the file's extension what the line has sniffed.
func containerOf(name string) string {
	switch ext := filepath.Ext(name); ext {
	case ".mkv":
		return "matroska"
	case ".aac":
		return ADTS
	case ".opus":
		return Ogg
	case ".ts":
		return "mpegts"
	default:
		return ext[1:]
	}
}

func open(tb testing.TB, name string, rules Rules) codecs.Sounds {
	tb.Helper()
	s, err := Open(context.Background(), load(tb, name), containerOf(name), rules, codecs.DefaultLimits())
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// all reads a track from its first sample to its end in spans of a length. err is the
// error that ended it.
func all(s codecs.Sounds, length codecs.Rational) (samples []float32, err error) {
	at := s.Info().Start
	for {
		next := at.Add(length)
		sp, err := s.Span(at, next)
		if err != nil {
			return samples, err
		}
		samples = append(samples, sp.Samples...)
		at = next
	}
}

// whole is all of a file that must end well.
func whole(tb testing.TB, name string, rules Rules) (codecs.Info, []float32) {
	tb.Helper()
	s := open(tb, name, rules)
	defer s.Close()
	samples, err := all(s, codecs.NewRational(10, 1))
	if !errors.Is(err, io.EOF) {
		tb.Fatalf("%s: %v", name, err)
	}
	return s.Info(), samples
}

// noLeaks checks that what a test opened is freed at its end.
func noLeaks(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() {
		if n := LiveObjects(); n != 0 {
			tb.Errorf("%d C objects are still alive", n)
		}
	})
}
