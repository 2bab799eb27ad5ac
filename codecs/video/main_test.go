package video

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
)

const videos = "../../testdata/videos"

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
	return loadFile(tb, filepath.Join(videos, name))
}

func loadFile(tb testing.TB, path string) bytesSource {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// open opens as the line does: sniff, then Open. Containers and codecs that are off by
// default are switched on.
func open(tb testing.TB, src bytesSource, pick codecs.Pick, opt Options) (codecs.Frames, error) {
	tb.Helper()
	container, ok := Sniff(src[:min(4096, len(src))])
	if !ok {
		tb.Fatal("not sniffed")
	}
	opt.Containers = append(opt.Containers, AVI, MPEGTS, FLV)
	opt.Codecs = append(opt.Codecs, "ffv1")
	return Open(context.Background(), src, container, pick, codecs.DefaultLimits(), opt)
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
