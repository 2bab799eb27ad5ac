package hostile

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/mill"
)

var kills = flag.Int("kills", 10, "how many mills to kill in the middle of their jobs")

// digest is that of a sample.
type digest [sha256.Size]byte

// digests is a sink that keeps a digest of each sample.
type digests struct {
	list   []digest
	resets int
}

func (d *digests) Add(s *pipeline.Sample) error {
	h := sha256.New()
	put(h, []byte(s.Key))
	for _, f := range s.Fields {
		put(h, []byte(f.Name))
		put(h, f.Data)
	}
	d.list = append(d.list, digest(h.Sum(nil)))
	return nil
}

func put(h hash.Hash, b []byte) {
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
	h.Write(b)
}

func (d *digests) Reset() error {
	d.list = nil
	d.resets++
	return nil
}

// contents is a sink that keeps a digest of what each sample holds of its medium.
type contents struct{ digests }

func (c *contents) Add(s *pipeline.Sample) error {
	c.list = append(c.list, contentOf(s.Fields, func(f pipeline.Field) (string, []byte) { return f.Name, f.Data }))
	return nil
}

// contentOf is the digest of a sample's fields without the one that names its job.
func contentOf[F any](fields []F, each func(F) (name string, data []byte)) digest {
	h := sha256.New()
	for _, f := range fields {
		if name, data := each(f); name != "json" {
			put(h, []byte(name))
			put(h, data)
		}
	}
	return digest(h.Sum(nil))
}

// whole are small media that give samples, opened, and what an undisturbed mill makes of
// each.
type whole struct {
	file *os.File
	list []digest
	took time.Duration
}

func undisturbed(t *testing.T, r *pipeline.Recipe) []whole {
	t.Helper()
	pool := newPool(t, 1, nil)
	defer pool.Close()
	var all []whole
	for _, name := range []string{"videos/h264_bframes.mp4", "videos/vp9.webm", "videos/h264_vfr.mkv", "videos/h264_fragments.mp4",
		"videos/hevc.mp4", "videos/clip16_160x120.mp4", "videos/mjpeg.mov", "videos/h264_resize.mkv", "videos/vp8.webm"} {
		f, err := os.Open(testdata(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		var d digests
		start := time.Now()
		v, err := pool.Do(t.Context(), assign(f, r), &d)
		if err != nil || v.Fault != nil || len(d.list) == 0 || d.resets > 0 {
			t.Fatalf("%s: %d samples, %+v, %v", name, len(d.list), v.Fault, err)
		}
		all = append(all, whole{f, d.list, time.Since(start)})
	}
	return all
}

// Mills that are killed at any moment of their jobs cost nothing: the samples are those of
// mills that nobody disturbed, each once.
func TestKilledMidJob(t *testing.T) {
	r := parse(t, everything)
	media := undisturbed(t, r)
	pool := newPool(t, 1, func(c *mill.Config) { c.Jobs = 1 << 20 })
	rng := rand.New(rand.NewPCG(*seed, 0))
	hit, midway, samples, jobs := 0, 0, 0, 0
	for ; hit < *kills && jobs < 20*(*kills); jobs++ {
		m := media[jobs%len(media)]
		if _, err := pool.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A mill that was killed after its job is found dead by the next one, which is
		// left alone: a job is tried twice.
		pid := liveChild(t)
		var d digests
		killer := time.AfterFunc(time.Duration(rng.Float64()*float64(m.took)), func() {
			if pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		seen := &most{digests: &d, killer: killer}
		v, err := pool.Do(t.Context(), assign(m.file, r), seen)
		killer.Stop()
		if err != nil || v.Fault != nil {
			t.Fatalf("job %d, %s: %+v, %v", jobs, filepath.Base(m.file.Name()), v.Fault, err)
		}
		if !slices.Equal(d.list, m.list) {
			t.Fatalf("job %d, %s: its %d samples are not the %d of a mill that lives", jobs, filepath.Base(m.file.Name()), len(d.list), len(m.list))
		}
		samples += len(d.list)
		if pid != 0 && d.resets > 0 {
			hit++
			if seen.taken > 0 {
				midway++
			}
		}
	}
	t.Logf("%d jobs, %d mills killed while busy (%d of them after their first sample); %d samples equal", jobs, hit, midway, samples)
	if hit < *kills {
		t.Errorf("only %d of %d kills found a busy mill", hit, *kills)
	}
}

// most notes the most samples that were there when they were taken back.
type most struct {
	*digests
	taken  int
	killer *time.Timer // stopped when its mill is dead: the number may become another's
}

func (m *most) Reset() error {
	m.killer.Stop()
	m.taken = max(m.taken, len(m.list))
	return m.digests.Reset()
}

// liveChild is the process of this one's only child, 0 where it is dead.
func liveChild(t *testing.T) int {
	t.Helper()
	switch live := childrenOf(os.Getpid()); len(live) {
	case 0:
		return 0
	case 1:
		return live[0]
	}
	t.Fatal("there are two children")
	return 0
}
