package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/catalog"
)

// program is the real binary, built once for all tests of this package.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "millrace-test-*")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "millrace")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// built is the folder of the program, once there is one.
var built string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "mill" || os.Args[1] == "racer") { // commands that are called, not run, start this binary's mills
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	kafkatest.StopShared()
	os.RemoveAll(built)
	os.Exit(code)
}

// command is the binary with arguments and an environment of its own.
func command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the whole program; not with -short")
	}
	p, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(p, args...)
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

// background starts c. It is killed at the end of the test, and what it said is shown if
// that failed.
func background(t testing.TB, c *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("%s (process %d) said:\n%s", c.Args[1], c.Process.Pid, b)
		}
	})
}

// output runs the binary to its end and returns what it printed.
func output(t testing.TB, want int, env []string, args ...string) string {
	t.Helper()
	c := command(t, env, args...)
	var errOut strings.Builder
	c.Stderr = &errOut
	out, err := c.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := c.ProcessState.ExitCode(); code != want {
		t.Fatalf("millrace %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, errOut.String())
	}
	return string(out)
}

// place is a store that a test writes to: its URL, the environment that reaches it, and
// the store itself to look into.
type place struct {
	url string
	env []string
	store.Store
}

func folder(t testing.TB) place {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), dir, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return place{dir, nil, s}
}

// media makes small files: stills, and clips where there is a number of them. The same
// arguments make the same files.
func media(t testing.TB, stills, clips int) string {
	t.Helper()
	dir := t.TempDir()
	ffmpeg := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ffmpeg", append([]string{"-v", "error", "-y"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
	}
	if stills > 0 {
		ffmpeg("-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=96x64:r=25:d=%g", float64(stills)/25), "-frames:v", fmt.Sprint(stills), "-q:v", "4", filepath.Join(dir, "still-%04d.jpg"))
	}
	for i := range clips {
		ffmpeg("-f", "lavfi", "-i", fmt.Sprintf("mandelbrot=s=64x48:r=10:start_scale=%g", 3/float64(i+1)), "-t", "2",
			"-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", filepath.Join(dir, fmt.Sprintf("clip-%04d.mp4", i)))
	}
	return dir
}

// archive packs a folder as a tar.
func archive(t testing.TB, path, dir string) {
	t.Helper()
	if out, err := exec.Command("tar", "-C", dir, "-cf", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
}

// recipeFile writes a recipe whose shards are small and young, so that there are many.
func recipeFile(t testing.TB, dataset string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), dataset+".yaml")
	text := fmt.Sprintf(`dataset: %s
video: {pick: {fps: 2}}
tokens: [{preset: vit-base-patch16-224, dtype: uint8}, {preset: siglip2-base-patch16-naflex, max_patches: 64, dtype: float32}]
keep: {frame: jpeg, quality: 80}
outputs: [{format: webdataset, shard_bytes: 2MiB, shard_age: 200ms}]
`, dataset)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keys are the keys of all samples that the ledgers name, each as often as it is there.
func keys(t testing.TB, p place) []string {
	t.Helper()
	shards, err := catalog.Shards(t.Context(), p, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, sh := range shards {
		all = append(all, shardKeys(t, p, sh)...)
	}
	slices.Sort(all)
	return all
}

func shardKeys(t testing.TB, p place, sh ledger.Shard) []string {
	t.Helper()
	rc, _, err := p.Get(t.Context(), sh.Key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := shard.Open(sh.Format, strings.NewReader(string(data)), int64(len(data)), shard.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatalf("shard %s: %v", sh.Key, err)
		}
		keys = append(keys, e.Key)
	}
}

// same fails unless got is want, key by key, none twice.
func same(t testing.TB, got, want []string) {
	t.Helper()
	if n := len(slices.Compact(slices.Clone(got))); n != len(got) {
		t.Errorf("%d of %d samples are there twice", len(got)-n, len(got))
	}
	if !slices.Equal(slices.Compact(slices.Clone(got)), want) {
		t.Errorf("%d samples, want %d", len(got), len(want))
	}
}

// allOutcomes are those of all streams, in order.
func allOutcomes(t testing.TB, p place) []ledger.Outcome {
	t.Helper()
	var all []ledger.Outcome
	for item, err := range ledger.Records(t.Context(), store.Plain{Store: p}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		list, err := ledger.Outcomes(t.Context(), store.Plain{Store: p}, item.Record)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
	}
	return all
}

// outcomes gives the end of every job, by id; a job that ended as samples twice fails
// the test. A message without an id goes by its offset.
func outcomes(t testing.TB, p place) map[string]ledger.Outcome {
	t.Helper()
	ended := map[string]ledger.Outcome{}
	for _, o := range allOutcomes(t, p) {
		id := o.ID
		if id == "" {
			id = fmt.Sprint("offset ", o.Offset, " ", o.Detail)
		}
		before, twice := ended[id]
		if twice && before.Status == ledger.OK && o.Status == ledger.OK {
			t.Errorf("job %s ended twice as samples, at %d and %d", id, before.Offset, o.Offset)
		}
		if !twice || o.Status == ledger.OK {
			ended[id] = o
		}
	}
	return ended
}

// records counts the data records of all streams.
func records(t testing.TB, p place) (n int) {
	t.Helper()
	for item, err := range ledger.Records(t.Context(), store.Plain{Store: p}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Record.Kind == ledger.Data {
			n++
		}
	}
	return n
}

// expected are the keys of what media made, for the dataset of TestFleet: of a still one,
// of a clip of two seconds one each half second.
func expected(stills, clips int) []string {
	var all []string
	for i := range stills {
		all = append(all, pipeline.SampleKey("fleet", fmt.Sprintf("still-%04d.jpg", i+1), 0, 0, codecs.NewRational(0, 1)))
	}
	for i := range clips {
		for k := range int64(4) {
			all = append(all, pipeline.SampleKey("fleet", fmt.Sprintf("clip-%04d.mp4", i), 0, 0, codecs.NewRational(k, 2)))
		}
	}
	slices.Sort(all)
	return all
}

func base64of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// until polls; tests that wait for something wait no longer than they must.
func until(t testing.TB, what string, most time.Duration, done func() bool) {
	t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not within %v", what, most)
}
