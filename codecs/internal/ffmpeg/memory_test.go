package ffmpeg_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/audio"
	"github.com/millrace/millrace/codecs/internal/ffmpeg"
	"github.com/millrace/millrace/codecs/still"
)

// The other decoders tell want of memory too, and not as damage.
func TestNoMemoryForSoundAndStills(t *testing.T) {
	const plenty = 512 << 20
	load := func(name string) *bytes.Reader {
		b, err := os.ReadFile("../../../testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(b)
	}
	listen := func(name, container string, before int64) error {
		s, err := audio.Open(context.Background(), load(name), container, audio.Rules{Rate: 16000}, codecs.DefaultLimits())
		if err != nil {
			return err
		}
		defer s.Close()
		for n := int64(0); err == nil; n++ {
			if n == before {
				ffmpeg.LimitAllocations(16)
			}
			_, err = s.Span(codecs.NewRational(n, 10), codecs.NewRational(n+1, 10))
		}
		return err
	}
	look := func(name string) error {
		f, err := still.Open(context.Background(), load(name), still.AVIF, still.Options{}, codecs.DefaultLimits())
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Next()
		return err
	}
	for _, c := range []struct {
		name  string
		first int64 // bytes at a time from the start
		run   func() error
		code  codecs.Code // "" for the end of the medium
	}{
		{"sound, plenty", plenty, func() error { return listen("audio/stereo.m4a", audio.M4A, -1) }, ""},
		{"sound, opening", 16, func() error { return listen("audio/stereo.m4a", audio.M4A, -1) }, codecs.CodeOOM},
		{"sound, on the way", plenty, func() error { return listen("audio/stereo.m4a", audio.M4A, 2) }, codecs.CodeOOM},
		{"sound of Opus, on the way", plenty, func() error { return listen("audio/stereo.opus", audio.Ogg, 2) }, codecs.CodeOOM},
		{"avif, plenty", plenty, func() error { return look("images/odd/a_420.avif") }, ""},
		{"avif, opening", 16, func() error { return look("images/odd/a_420.avif") }, codecs.CodeOOM},
		{"avif, decoding", 2 << 10, func() error { return look("images/odd/a_420.avif") }, codecs.CodeOOM},
	} {
		ffmpeg.LimitAllocations(c.first)
		err := c.run()
		ffmpeg.LimitAllocations(plenty)
		if e := codecs.AsError(err); c.code == "" && err != nil && err != io.EOF || c.code != "" && (e == nil || e.Code != c.code) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if n := ffmpeg.LiveObjects(); n != 0 {
		t.Errorf("%d C objects are alive", n)
	}
}
