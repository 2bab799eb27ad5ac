package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// mean is the pan filter's text for the mean of n channels.
func mean(n int) string {
	var terms []string
	for i := range n {
		terms = append(terms, fmt.Sprintf("%.17g*c%d", 1/float64(n), i))
	}
	return "aformat=sample_fmts=fltp,pan=mono|c0=" + strings.Join(terms, "+")
}

// ffmpegSays is what the ffmpeg program makes of a track with the same filters. trim is
// a filter between mixing and resampling, or "".
func ffmpegSays(tb testing.TB, name string, track, channels, rate int, trim string) []float32 {
	tb.Helper()
	filter := mean(channels)
	if trim != "" {
		filter += "," + trim + ",asetpts=N/SR/TB"
	}
	filter += fmt.Sprintf(",aresample=%d:resampler=soxr,aformat=sample_fmts=flt", rate)
	cmd := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-i", filepath.Join(sounds, name),
		"-map", fmt.Sprintf("0:%d", track), "-af", filter, "-c:a", "pcm_f32le", "-f", "f32le", "-")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	b, err := cmd.Output()
	if err != nil {
		tb.Fatalf("ffmpeg on %s: %v\n%s", name, err, complaint.String())
	}
	out := make([]float32, len(b)/4)
	if err := binary.Read(bytes.NewReader(b), binary.LittleEndian, out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// ffprobeStart is the time of the first frame that the track's decoder gives.
func ffprobeStart(tb testing.TB, name string, track int) float64 {
	tb.Helper()
	b, err := exec.Command("ffprobe", "-v", "error", "-select_streams", strconv.Itoa(track), "-show_entries", "frame=pts_time",
		"-of", "csv=p=0", filepath.Join(sounds, name)).Output()
	if err != nil {
		tb.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	at, err := strconv.ParseFloat(strings.Trim(line, ", \r"), 64)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return at
}

// distance is the largest difference, and at which sample.
func distance(a, b []float32) (most float64, at int) {
	for i := range min(len(a), len(b)) {
		if d := math.Abs(float64(a[i]) - float64(b[i])); d > most || math.IsNaN(d) {
			most, at = d, i
		}
	}
	return most, at
}

func equal(a, b []float32) bool {
	most, _ := distance(a, b)
	return len(a) == len(b) && most == 0
}

// Whole tracks against the ffmpeg program, which pays no heed to stamps: so these are
// files without gaps.
func TestOracle(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct {
		name, codec    string
		rate, channels int
	}{
		{"stereo.mp3", "mp3", 44100, 2}, {"plain.mp3", "mp3", 44100, 2}, {"cover.mp3", "mp3", 22050, 2},
		{"stereo.flac", "flac", 44100, 2}, {"deep.flac", "flac", 96000, 1}, {"surround.flac", "flac", 48000, 6},
		{"stereo.opus", "opus", 48000, 2}, {"stereo.ogg", "vorbis", 44100, 2}, {"stereo.m4a", "aac", 44100, 2},
		{"edit.m4a", "aac", 44100, 2}, {"lossless.m4a", "alac", 44100, 2}, {"stereo.aac", "aac", 44100, 2},
		{"phone.wav", "pcm_s16le", 8000, 1}, {"mulaw.wav", "pcm_mulaw", 8000, 1}, {"mono16.wav", "pcm_s16le", 16000, 1},
		{"bytes.wav", "pcm_u8", 32000, 2}, {"double.wav", "pcm_f64le", 24000, 2}, {"rf64.wav", "pcm_s24le", 24000, 2},
		{"piped.wav", "pcm_s16le", 16000, 1}, {"late.mp4", "aac", 48000, 2}, {"early.mp4", "aac", 48000, 2},
		{"negative.mkv", "mp2", 48000, 2}, {"jitter.mkv", "opus", 48000, 2}, {"surround.mkv", "ac3", 48000, 6},
		{"broadcast.ts", "aac", 44100, 2},
	} {
		for _, rate := range slices.Compact([]int{16000, c.rate}) {
			info, got := whole(t, c.name, Rules{Rate: rate})
			if info.Codec != c.codec || info.SampleRate != c.rate || info.Channels != c.channels {
				t.Errorf("%s: %s, %d Hz, %d channels", c.name, info.Codec, info.SampleRate, info.Channels)
			}
			want := ffmpegSays(t, c.name, info.Track, info.Channels, rate, "")
			if most, at := distance(got, want); len(got) != len(want) || most > 1e-6 {
				t.Errorf("%s at %d Hz: %d samples, ffmpeg gives %d; sample %d differs by %g", c.name, rate, len(got), len(want), at, most)
			} else if most > 0 {
				t.Logf("%s at %d Hz: up to %g off", c.name, rate, most)
			}
			if rate == 16000 {
				start := ffprobeStart(t, c.name, info.Track)
				if math.Abs(info.Start.Float()-start) > 1e-6 {
					t.Errorf("%s starts at %v s, by ffprobe at %g", c.name, info.Start, start)
				}
				t.Logf("%-14s %-10s from %9.6f s, %5d samples", c.name, c.codec, start, len(got))
			}
		}
	}
}

// A sample does not depend on the spans that were asked for.
func TestSpansJoin(t *testing.T) {
	noLeaks(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"stereo.mp3", "stereo.m4a", "gap.mkv", "overlap.mkv", "jitter.mkv", "late.mp4", "negative.mkv", "mono16.wav", "surround.mkv"} {
		info, want := whole(t, name, Rules{Rate: 16000})
		g := grid{start: info.Start, rate: 16000}
		for range 6 {
			s := open(t, name, Rules{Rate: 16000})
			at := info.Start.Add(codecs.NewRational(-rnd.Int64N(300), 1000))
			for {
				to := at.Add(codecs.NewRational(rnd.Int64N(500_000), 999_983))
				sp, err := s.Span(at, to)
				if err == io.EOF {
					if g.index(at) < int64(len(want)) {
						t.Errorf("%s ends before %v", name, at)
					}
					break
				}
				if err != nil {
					t.Fatalf("%s from %v to %v: %v", name, at, to, err)
				}
				from := max(g.index(at), 0)
				end := min(max(g.index(to), from), int64(len(want)))
				if !equal(sp.Samples, want[from:end]) || sp.Rate != 16000 || sp.PTS != g.time(from) {
					t.Fatalf("%s from %v to %v: %d samples from %v are not %d to %d of all", name, at, to, len(sp.Samples), sp.PTS, from, end)
				}
				at = at.Add(codecs.NewRational(rnd.Int64N(700_000), 999_983)) // overlaps, touches, or leaves out
			}
			s.Close()
		}
	}
}

// Lost packets leave silence of their length. What stands on both sides is resampled by
// itself.
func TestGap(t *testing.T) {
	noLeaks(t)
	// 25 packets of 20 ms, less 312 samples of priming; the next stamp is 0.894 s.
	const before = 25*960 - 312
	info, got := whole(t, "gap.mkv", Rules{Rate: 16000})
	first := ffmpegSays(t, "gap.mkv", info.Track, 2, 16000, fmt.Sprintf("atrim=end_sample=%d", before))
	second := ffmpegSays(t, "gap.mkv", info.Track, 2, 16000, fmt.Sprintf("atrim=start_sample=%d", before))
	const at = 894 * 16
	if len(got) != at+len(second) {
		t.Fatalf("%d samples, want %d", len(got), at+len(second))
	}
	if !equal(got[:len(first)], first) || !equal(got[at:], second) {
		t.Error("the sound beside the gap is another")
	}
	for i, v := range got[len(first):at] {
		if v != 0 {
			t.Fatalf("sample %d of the gap is %g", i, v)
		}
	}
	s := open(t, "gap.mkv", Rules{Rate: 16000})
	sp, err := s.Span(codecs.NewRational(6, 10), codecs.NewRational(8, 10))
	if err != nil || len(sp.Samples) != 3200 || sp.PTS != codecs.NewRational(6, 10) {
		t.Fatalf("within the gap: %v, %v", sp, err)
	}
}

// Stamps that run faster than the sound: what overlaps is cut, and the clock holds.
func TestOverlap(t *testing.T) {
	noLeaks(t)
	info, got := whole(t, "overlap.mkv", Rules{Rate: 16000})
	all := ffmpegSays(t, "overlap.mkv", info.Track, 2, 16000, "")
	const last = 1194 + 20 // ms: the last packet's stamp and length
	if want := last * 16; len(got) < want-160 || len(got) > want+160 || len(all) < want+4000 {
		t.Errorf("%d samples, want %d within 10 ms; without cuts %d", len(got), want, len(all))
	}
	// Three packets are 10 ms over; before, nothing is cut. soxr looks ahead some ms.
	if most, _ := distance(got[:480], all[:480]); most > 1e-4 {
		t.Errorf("the sound before the first cut is %g off", most)
	}
}

func TestLanguages(t *testing.T) {
	noLeaks(t)
	for track, want := range map[string]struct {
		track int
		said  string
		rate  int
	}{
		"": {1, "ger", 48000}, "default": {1, "ger", 48000}, "eng": {0, "eng", 48000}, "ger": {1, "ger", 48000}, "deu": {1, "ger", 48000},
	} {
		info, got := whole(t, "languages.mkv", Rules{Rate: 16000, Track: track})
		if info.Track != want.track || info.Language != want.said || info.Kind != codecs.KindAudio {
			t.Errorf("%q: track %d, %q", track, info.Track, info.Language)
		}
		if !equal(got, ffmpegSays(t, "languages.mkv", want.track, info.Channels, 16000, "")) {
			t.Errorf("%q: the sound is another", track)
		}
	}
}

// Beside a video: both are on one clock.
func TestClock(t *testing.T) {
	noLeaks(t)
	late := open(t, "late.mp4", Rules{Rate: 16000})
	// The track starts at 0.728 s. What lies before is empty; what begins before is short.
	sp, err := late.Span(codecs.NewRational(0, 1), codecs.NewRational(1, 2))
	if err != nil || len(sp.Samples) != 0 {
		t.Fatalf("before the track: %v, %v", sp, err)
	}
	start := late.Info().Start
	if sp, err = late.Span(codecs.NewRational(1, 2), codecs.NewRational(1, 1)); err != nil || sp.PTS != start {
		t.Fatalf("around the start: %v, %v", sp, err)
	}
	if want := int(math.Round((1 - start.Float()) * 16000)); len(sp.Samples) != want {
		t.Errorf("%d samples from %v to 1 s, want %d", len(sp.Samples), start, want)
	}
	if _, err = late.Span(codecs.NewRational(100, 1), codecs.NewRational(101, 1)); err != io.EOF {
		t.Errorf("behind the track: %v", err)
	}
	if _, err = late.Span(codecs.NewRational(100, 1), codecs.NewRational(101, 1)); err != io.EOF {
		t.Errorf("again: %v", err)
	}
}

func TestGrid(t *testing.T) {
	g := grid{start: codecs.NewRational(1, 8), rate: 16000}
	for _, c := range []struct {
		t    codecs.Rational
		want int64
	}{
		{codecs.NewRational(1, 8), 0}, {codecs.NewRational(9, 8), 16000},
		{codecs.NewRational(1, 8).Add(codecs.NewRational(1, 32000)), 1},  // half up
		{codecs.NewRational(1, 8).Add(codecs.NewRational(-1, 32000)), 0}, // half up
		{codecs.NewRational(1, 8).Add(codecs.NewRational(-1, 31999)), -1},
		{codecs.NewRational(0, 1), -2000},
		{codecs.NewRational(math.MaxInt64, 1), far}, {codecs.NewRational(-math.MaxInt64, 1), -far},
	} {
		if got := g.index(c.t); got != c.want {
			t.Errorf("%v is sample %d, want %d", c.t, got, c.want)
		}
	}
	if got := g.time(4000); got != codecs.NewRational(3, 8) {
		t.Errorf("sample 4000 is at %v", got)
	}
}
