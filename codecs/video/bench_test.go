package video

import (
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace/millrace/codecs"
)

// BenchmarkDecode reports seconds of film decoded in a second of CPU time, for 1080p30
// H.264 of about 5 Mbit/s with x264's defaults, beside FFmpeg decoding all of it to
// nothing. CPU time, since wall time means little on a shared machine.
func BenchmarkDecode(b *testing.B) {
	const length = 12
	dir := b.TempDir()
	film := filepath.Join(dir, "film.mp4")
	out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=12",
		"-vf", "noise=alls=8:all_seed=1:allf=t", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-b:v", "5M", film).CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	b.Run("ffmpeg", func(b *testing.B) {
		start := cpuSeconds(b, syscall.RUSAGE_CHILDREN)
		for b.Loop() {
			if err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-i", film, "-f", "null", "-").Run(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(length*float64(b.N)/(cpuSeconds(b, syscall.RUSAGE_CHILDREN)-start), "video-s/cpu-s")
	})
	src := loadFile(b, film)
	for _, c := range []struct {
		name string
		pick codecs.Pick
		opt  Options
	}{
		{"fps2", codecs.Pick{Rule: codecs.PickFPS, Rate: codecs.Rational{Num: 2, Den: 1}}, Options{}},
		{"fps2-decode-all", codecs.Pick{Rule: codecs.PickFPS, Rate: codecs.Rational{Num: 2, Den: 1}}, Options{DecodeAll: true}},
		{"fps0.2", codecs.Pick{Rule: codecs.PickFPS, Rate: codecs.Rational{Num: 1, Den: 5}}, Options{}},
		{"keyframes", codecs.Pick{Rule: codecs.PickKeyframes}, Options{}},
		{"all", codecs.Pick{Rule: codecs.PickAll}, Options{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			start := cpuSeconds(b, syscall.RUSAGE_SELF)
			for b.Loop() {
				f, err := open(b, src, c.pick, c.opt)
				if err != nil {
					b.Fatal(err)
				}
				for {
					if _, err = f.Next(); err != nil {
						break
					}
				}
				f.Close()
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			b.ReportMetric(length*float64(b.N)/(cpuSeconds(b, syscall.RUSAGE_SELF)-start), "video-s/cpu-s")
		})
	}
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
