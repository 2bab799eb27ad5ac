package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/millrace/millrace/pipeline/store"
)

// up starts the embedded stack on a state folder, in the background.
func up(t testing.TB, state string) *exec.Cmd {
	t.Helper()
	os.Remove(upFile(state))
	c := command(t, nil, "up", "--state", state, "--listen", "127.0.0.1:0", "--recipe", "../../testdata/recipes/demo.yaml")
	background(t, c)
	return c
}

// The embedded stack from the first push to the real loaders: its state survives a stop
// and a kill, a repeat is known as one, and webdataset and wids read what is published.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole program; not with -short")
	}
	state := t.TempDir()
	push := func(files ...string) {
		t.Helper()
		output(t, exitDone, nil, append([]string{"push", "--state", state, "--dataset", "demo", "--wait", "60s"}, files...)...)
	}
	const videos, images = "../../testdata/videos/", "../../testdata/images/golden/"
	first := up(t, state)
	push(videos+"h264_bframes.mp4", images+"exif6_64x48.jpg")
	first.Process.Signal(syscall.SIGTERM)
	if err := first.Wait(); err != nil {
		t.Fatalf("the stack, told to stop, ended with %v", err)
	}
	second := up(t, state)
	push(images + "baseline420_320x240.jpg")
	second.Process.Kill()
	second.Wait()
	third := up(t, state)
	push(images+"rgba_128x96.png", images+"exif6_64x48.jpg") // the second is a repeat
	third.Process.Signal(syscall.SIGTERM)
	if err := third.Wait(); err != nil {
		t.Fatalf("the stack, told to stop, ended with %v", err)
	}

	url := filepath.Join(state, "store")
	s, err := store.Open(t.Context(), url, store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := place{url, nil, s}
	if n := dups(t, p); n != 1 {
		t.Errorf("%d repeats, want 1", n)
	}
	output(t, exitDone, nil, "verify", url, "--deep")
	var published struct {
		Indexes []struct {
			Samples    int
			List, Wids string
		}
	}
	out := output(t, exitDone, nil, "--json", "publish", url)
	if err := json.Unmarshal([]byte(out), &published); err != nil || len(published.Indexes) != 1 {
		t.Fatalf("publish says %s, %v", out, err)
	}
	index := published.Indexes[0]
	if n := len(keys(t, p)); n != index.Samples || n < 5 {
		t.Errorf("%d samples in the shards, %d in the index", n, index.Samples)
	}
	for script, file := range map[string]string{"read_webdataset.py": index.List, "read_wids.py": index.Wids} {
		readWith(t, script, filepath.Join(url, file), index.Samples)
	}
}

// readWith has a real loader read what an index names, and checks counts, shapes and dtypes.
func readWith(t *testing.T, script, index string, samples int) {
	t.Helper()
	venv := os.Getenv("MILLRACE_READERS")
	if venv == "" {
		venv = "../../.cache/readers"
	}
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-B", filepath.Join("../../testdata/readers", script), index,
		"--samples", strconv.Itoa(samples),
		"--expect", "vit.patches.npy=float32:196,768", "--expect", "vit.grid.npy=int64:2",
		"--expect", "siglip2.patches.npy=uint8:256,768", "--expect", "siglip2.mask.npy=int32:256", "--expect", "siglip2.grid.npy=int64:2")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v (is it installed? make tools)\n%s", script, err, out)
	}
}
