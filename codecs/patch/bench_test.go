package patch

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// filmFrames is the length of the film that decoding is measured with.
const filmFrames = 90

// BenchmarkLayout cuts 1080p frames by each preset. It reports the milliseconds of CPU
// that a frame takes, and what share that is of decoding one: by the ffmpeg program, of
// a 1080p H.264 film at 5 Mbit/s, measured right before since machines drift.
func BenchmarkLayout(b *testing.B) {
	film := makeFilm(b)
	frame := noise(1920, 1080, 1)
	for _, name := range slices.Sorted(maps.Keys(Presets())) {
		for _, dtype := range []string{UInt8, Float32} {
			b.Run(name+"/"+dtype, func(b *testing.B) {
				s := Presets()[name]
				s.DType = dtype
				cut, frames := cutFrames(b, s, frame)
				cut() // make the buffers
				decode := 0.0
				if film != "" {
					decode = decodeFrame(b, film)
				}
				b.ReportAllocs()
				start := cpuSeconds(b, syscall.RUSAGE_SELF)
				for b.Loop() {
					cut()
				}
				each := (cpuSeconds(b, syscall.RUSAGE_SELF) - start) / float64(b.N*frames)
				b.ReportMetric(1000*each, "ms/frame")
				if film != "" {
					b.ReportMetric(100*each/decode, "%of-decode")
				}
			})
		}
	}
}

// cutFrames returns what one round of the benchmark does, and of how many frames: a
// clip of 16 where the preset is for video, else a picture.
func cutFrames(b *testing.B, s Spec, frame codecs.Pixels) (cut func(), frames int) {
	b.Helper()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	if l, _ := layoutOf(s.Layout); l.stills && s.Media != "video" {
		c, err := New(s, DefaultLimits())
		check(err)
		return func() {
			_, err := c.Cut(frame)
			check(err)
		}, 1
	}
	c, err := NewClip(s, DefaultLimits())
	check(err)
	clip := slices.Repeat([]codecs.Pixels{frame}, 16)
	return func() {
		_, err := cutClip(c, clip)
		check(err)
	}, len(clip)
}

// makeFilm makes a film that is as hard to decode as a usual one, or returns "" where
// there is no ffmpeg.
func makeFilm(b *testing.B) string {
	b.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		b.Log("there is no ffmpeg to compare with")
		return ""
	}
	film := filepath.Join(b.TempDir(), "film.mp4")
	out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=3",
		"-vf", "noise=alls=8:all_seed=1:allf=t", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-b:v", "5M", film).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return film
}

// decodeFrame is the seconds of CPU that decoding a frame of the film takes.
func decodeFrame(b *testing.B, film string) float64 {
	b.Helper()
	start := cpuSeconds(b, syscall.RUSAGE_CHILDREN)
	if err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", film, "-f", "null", "-").Run(); err != nil {
		b.Fatal(err)
	}
	return (cpuSeconds(b, syscall.RUSAGE_CHILDREN) - start) / filmFrames
}

// cpuSeconds is the CPU time used so far by this process or by its finished children.
func cpuSeconds(b *testing.B, who int) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
