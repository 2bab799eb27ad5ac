package audio

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

func TestSniff(t *testing.T) {
	for name, want := range map[string]string{
		"stereo.mp3": MP3, "plain.mp3": MP3, "cover.mp3": MP3, "stereo.flac": FLAC, "deep.flac": FLAC, "stereo.opus": Ogg,
		"stereo.ogg": Ogg, "stereo.m4a": M4A, "edit.m4a": M4A, "stereo.aac": ADTS, "phone.wav": WAV, "rf64.wav": WAV, "piped.wav": WAV,
		"gap.mkv": "", "late.mp4": "", "broadcast.ts": "", "make.sh": "",
	} {
		src := load(t, name)
		if got, ok := Sniff(src[:min(4096, len(src))]); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, c := range []struct{ name, head, want string }{
		{"ID3 and no more", "ID3\x04\x00\x00\x00\x00\x0f\x76", MP3},
		{"ID3 before FLAC", "ID3\x04\x00\x00\x00\x00\x00\x02xxfLaC", FLAC},
		{"ID3 before ADTS", "ID3\x04\x00\x00\x00\x00\x00\x02xx\xff\xf1\x50\x80\x02\x1f\xfc", ADTS},
		{"an audio book", "\x00\x00\x00\x1cftypM4B \x00\x00\x02\x00", M4A},
		{"MP4", "\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", ""},
		{"Theora", "OggS\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x2a\x80theora", ""},
		{"one sync word", "\xff\xfb\x90\x64" + strings.Repeat("\x00", 600), ""},
		{"AVI", "RIFF\x24\x00\x00\x00AVI LIST", ""},
		{"WebP", "RIFF\x24\x00\x00\x00WEBPVP8 ", ""},
		{"UTF-16 text", "\xff\xfe\x41\x00\x42\x00", ""},
		{"JPEG", "\xff\xd8\xff\xe0\x00\x10JFIF\x00", ""},
		{"HLS", "#EXTM3U\n#EXT-X-VERSION:3\n", ""},
		{"nothing", "", ""},
	} {
		if got, ok := Sniff([]byte(c.head)); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
	}
}

// encodeADTS makes half a second of AAC at a rate.
func encodeADTS(tb testing.TB, rate int) bytesSource {
	tb.Helper()
	b, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-bitexact", "-f", "lavfi", "-i", "sine=r="+strconv.Itoa(rate)+":d=0.5",
		"-ac", "2", "-c:a", "aac", "-f", "adts", "-").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func seeds(f *testing.F, most int) {
	f.Helper()
	files, err := os.ReadDir(sounds)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range files {
		if b := load(f, e.Name()); !strings.HasSuffix(e.Name(), ".sh") && len(b) < 30_000 {
			f.Add([]byte(b[:min(most, len(b))]), containerOf(e.Name()))
		}
	}
}

func FuzzSniff(f *testing.F) {
	seeds(f, 1024)
	f.Fuzz(func(t *testing.T, head []byte, container string) {
		got, ok := Sniff(head)
		if _, known := demuxers[got]; ok && !known {
			t.Errorf("%q", got)
		}
		cut(bytesSource(head), container)
	})
}

// Whatever the bytes are: an end or a fault with a code, no leak, and no more sound than
// the limit.
func FuzzOpen(f *testing.F) {
	seeds(f, 20_000)
	f.Fuzz(func(t *testing.T, b []byte, container string) {
		lim := codecs.DefaultLimits()
		lim.MaxDuration = 5
		s, err := Open(context.Background(), bytesSource(b), container, Rules{Rate: 16000}, lim)
		if err == nil {
			total := 0
			for at := s.Info().Start; err == nil; {
				var sp *codecs.Sound
				next := at.Add(codecs.NewRational(1, 1))
				if sp, err = s.Span(at, next); err == nil {
					total += len(sp.Samples)
				}
				at = next
			}
			if total > 7*16000 {
				t.Errorf("%d samples", total)
			}
			s.Close()
		}
		if err.Error() != "EOF" && codecs.AsError(err) == nil {
			t.Errorf("ended with %v, which has no code", err)
		}
		if n := LiveObjects(); n != 0 {
			t.Fatalf("%d C objects are alive", n)
		}
	})
}
