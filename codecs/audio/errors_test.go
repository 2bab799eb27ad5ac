package audio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// ending opens and reads to the end: how many samples came, and what ended it.
func ending(src codecs.Source, container string, rules Rules, lim codecs.Limits) (int, error) {
	s, err := Open(context.Background(), src, container, rules, lim)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	samples, err := all(s, codecs.NewRational(1, 4))
	return len(samples), err
}

func codeOf(err error) codecs.Code {
	if e := codecs.AsError(err); e != nil {
		return e.Code
	}
	return ""
}

func video(tb testing.TB, name string) bytesSource {
	tb.Helper()
	b, err := os.ReadFile("../../testdata/videos/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRefusals(t *testing.T) {
	rules := Rules{Rate: 16000}
	for _, c := range []struct {
		name      string
		src       bytesSource
		container string
		rules     Rules
		limit     func(*codecs.Limits)
		want      codecs.Code
	}{
		{"no sound", video(t, "h264_nob.mp4"), "mp4", rules, nil, codecs.CodeNoAudio},
		{"another language", load(t, "languages.mkv"), "matroska", Rules{Track: "jpn", Rate: 16000}, nil, codecs.CodeNoAudio},
		{"common encryption", load(t, "cenc.m4a"), M4A, rules, nil, codecs.CodeEncrypted},
		{"codec that is off", load(t, "denied.mkv"), "matroska", rules, nil, codecs.CodeFormatDenied},
		{"container of no sound", load(t, "stereo.mp3"), "concat", rules, nil, codecs.CodeFormatDenied},
		{"streams", load(t, "languages.mkv"), "matroska", rules, func(l *codecs.Limits) { l.MaxStreams = 1 }, codecs.CodeLimitStreams},
		{"declared duration", load(t, "stereo.m4a"), M4A, rules, func(l *codecs.Limits) { l.MaxDuration = 1 }, codecs.CodeLimitDuration},
		{"true duration", load(t, "stereo.aac"), ADTS, rules, func(l *codecs.Limits) { l.MaxDuration = 1 }, codecs.CodeLimitDuration},
		{"rubbish", bytesSource(strings.Repeat("no sound at all ", 500)), MP3, rules, nil, codecs.CodeInvalid},
		{"another container", load(t, "stereo.mp3"), FLAC, rules, nil, codecs.CodeInvalid},
		{"nothing", nil, WAV, rules, nil, codecs.CodeInvalid},
		{"no sample", EncodeWAV(&codecs.Sound{Rate: 16000}), WAV, rules, nil, codecs.CodeInvalid},
		{"two samples a second", EncodeWAV(&codecs.Sound{Rate: 2, Samples: make([]float32, 99)}), WAV, rules, nil, codecs.CodeUnsupported},
		{"99 channels", channels(99), WAV, rules, nil, codecs.CodeUnsupported},
		{"a stamp of no time", farStamp(t), "matroska", rules, nil, codecs.CodeTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			lim := codecs.DefaultLimits()
			if c.limit != nil {
				c.limit(&lim)
			}
			_, err := ending(c.src, c.container, c.rules, lim)
			e := codecs.AsError(err)
			if e == nil || e.Code != c.want || e.Stage == "" || e.Detail == "" {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// farStamp is gap.mkv, and after it the same again at a time that is too far for any
// fraction of 64 bits.
func farStamp(tb testing.TB) bytesSource {
	const segment, scale, cluster, untilEnd = "\x18\x53\x80\x67", "\x2a\xd7\xb1\x83", "\x1f\x43\xb6\x75", "\x01\xff\xff\xff\xff\xff\xff\xff"
	file := bytes.Clone(load(tb, "gap.mkv"))
	copy(file[bytes.Index(file, []byte(segment))+4:], untilEnd)
	copy(file[bytes.Index(file, []byte(scale))+4:], "\x0f\x42\x3f") // 999999 ns, which no other number cancels
	at := bytes.Index(file, []byte(cluster))
	blocks := file[at+15 : at+6+12592] // behind the size, the checksum and the time
	file = append(file[:at+6+12592:at+6+12592], cluster+untilEnd+"\xe7\x88\x00\x04\x00\x00\x00\x00\x00\x00"...)
	return append(file, blocks...)
}

// channels makes a WAV file of n channels.
func channels(n int) bytesSource {
	b := EncodeWAV(&codecs.Sound{Rate: 16000, Samples: make([]float32, 10*n)})
	b[22] = byte(n)
	b[32], b[33] = byte(4*n), byte(4*n>>8)
	return b
}

func TestManyChannels(t *testing.T) {
	noLeaks(t)
	if n, err := ending(channels(64), WAV, Rules{Rate: 16000}, codecs.DefaultLimits()); n != 10 || err != io.EOF {
		t.Errorf("%d samples, %v", n, err)
	}
}

// What was whole comes, then the fault.
func TestCut(t *testing.T) {
	noLeaks(t)
	for _, name := range []string{"stereo.mp3", "stereo.flac", "stereo.opus", "stereo.ogg", "phone.wav", "double.wav", "gap.mkv", "languages.mkv"} {
		_, want := whole(t, name, Rules{Rate: 16000})
		src := load(t, name)
		n, err := ending(src[:len(src)*9/10], containerOf(name), Rules{Rate: 16000}, codecs.DefaultLimits())
		if codeOf(err) != codecs.CodeTruncated {
			t.Errorf("%s: %v after %d samples", name, err, n)
		}
		if n < len(want)/2 || n > len(want)*95/100 {
			t.Errorf("%s: nine tenths of the file gave %d of %d samples", name, n, len(want))
		}
	}
	for _, name := range []string{"stereo.m4a", "late.mp4"} { // their index is at the end
		src := load(t, name)
		if _, err := ending(src[:len(src)*3/5], containerOf(name), Rules{Rate: 16000}, codecs.DefaultLimits()); codeOf(err) != codecs.CodeTruncated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpanRefusals(t *testing.T) {
	noLeaks(t)
	sec := func(n int64) codecs.Rational { return codecs.NewRational(n, 10) }
	s := open(t, "stereo.flac", Rules{Rate: 16000})
	if _, err := s.Span(sec(0), sec(6001)); codeOf(err) != codecs.CodeLimitDuration {
		t.Errorf("more than ten minutes: %v", err)
	}
	if _, err := s.Span(sec(0), sec(1)); codeOf(err) != codecs.CodeLimitDuration {
		t.Errorf("the error is not final: %v", err)
	}
	s = open(t, "stereo.flac", Rules{Rate: 16000})
	if sp, err := s.Span(sec(3), sec(3)); err != nil || len(sp.Samples) != 0 {
		t.Errorf("no length: %v, %v", sp, err)
	}
	if sp, err := s.Span(sec(3), sec(6000)); err != nil || len(sp.Samples) != 8000 {
		t.Errorf("to the end: %v", err)
	}
	if _, err := s.Span(sec(2), sec(6)); err == nil || codecs.AsError(err) != nil {
		t.Errorf("going back: %v", err)
	}
	if s.Close() != nil || s.Close() != nil {
		t.Error("closing twice")
	}
	if _, err := s.Span(sec(7), sec(8)); err == nil {
		t.Error("closed, and it goes on")
	}
	for _, r := range []Rules{{}, {Rate: -1}, {Rate: 1 << 30}} {
		if _, err := Open(t.Context(), load(t, "stereo.flac"), FLAC, r, codecs.DefaultLimits()); err == nil || codecs.AsError(err) != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Floats that are no numbers do not spread.
func TestNotFinite(t *testing.T) {
	noLeaks(t)
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	file := EncodeWAV(&codecs.Sound{Rate: 16000, Samples: []float32{0.5, nan, inf, 0.25}})
	if got := drain(t, file, WAV, Rules{Rate: 16000}); !equal(got, []float32{0.5, 0, 0, 0.25}) {
		t.Errorf("got %v", got)
	}
}

// One track whose rate changes: each part at its own rate, one behind the other.
func TestRateChanges(t *testing.T) {
	noLeaks(t)
	a, b := load(t, "stereo.aac"), encodeADTS(t, 24000)
	lim := codecs.DefaultLimits()
	n, err := ending(append(a[:len(a):len(a)], b...), ADTS, Rules{Rate: 16000}, lim)
	first, second := drain(t, a, ADTS, Rules{Rate: 16000}), drain(t, b, ADTS, Rules{Rate: 16000})
	if err != io.EOF || n < len(first)+len(second)-1 || n > len(first)+len(second)+1 {
		t.Errorf("%d samples of %d and %d: %v", n, len(first), len(second), err)
	}
	lim.MaxSizeChanges = 1
	both := bytes.Join([][]byte{a, b, a, b}, nil)
	if _, err := ending(bytesSource(both), ADTS, Rules{Rate: 16000}, lim); codeOf(err) != codecs.CodeLimitChanges {
		t.Errorf("three changes: %v", err)
	}
}

// The links of a chained Ogg file follow each other, though each counts from zero.
func TestChainedOgg(t *testing.T) {
	noLeaks(t)
	for _, name := range []string{"stereo.opus", "stereo.ogg"} {
		link := load(t, name)
		_, one := whole(t, name, Rules{Rate: 16000})
		n, err := ending(append(link[:len(link):len(link)], link...), Ogg, Rules{Rate: 16000}, codecs.DefaultLimits())
		if err != io.EOF || n < 2*len(one)-400 || n > 2*len(one)+400 {
			t.Errorf("%s: two links of %d samples gave %d: %v", name, len(one), n, err)
		}
	}
}

// failing is a source that can not be read from some byte on.
type failing struct {
	bytesSource
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.bytesSource.ReadAt(p, at)
}

func TestSourceFailureIsNotTheMediasFault(t *testing.T) {
	noLeaks(t)
	broken := errors.New("the network is gone")
	for _, name := range []string{"stereo.flac", "gap.mkv", "double.wav", "stereo.ogg"} {
		src := load(t, name)
		for from := int64(0); from < src.Size(); from += 9_001 {
			_, err := ending(failing{src, from, broken}, containerOf(name), Rules{Rate: 16000}, codecs.DefaultLimits())
			if !errors.Is(err, broken) || codecs.AsError(err) != nil {
				t.Errorf("%s from byte %d: %v", name, from, err)
			}
		}
	}
}

// watched counts signs of life between reads.
type watched struct {
	codecs.Source
	alive int
}

func (w *watched) Alive() { w.alive++ }

func TestAlive(t *testing.T) {
	noLeaks(t)
	w := &watched{Source: load(t, "jitter.mkv")}
	if _, err := ending(w, "matroska", Rules{Rate: 16000}, codecs.DefaultLimits()); err != io.EOF {
		t.Fatal(err)
	}
	if w.alive < 75 {
		t.Errorf("%d signs of life from 75 packets", w.alive)
	}
}

func TestCancel(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := Open(ctx, load(t, "stereo.flac"), FLAC, Rules{Rate: 16000}, codecs.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if _, err := s.Span(codecs.NewRational(0, 1), codecs.NewRational(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Span: %v", err)
	}
	if _, err := Open(ctx, load(t, "stereo.flac"), FLAC, Rules{Rate: 16000}, codecs.DefaultLimits()); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}

func TestMissing(t *testing.T) {
	noLeaks(t)
	if m := Missing(); len(m) != 0 {
		t.Errorf("this FFmpeg lacks %q", m)
	}
}
