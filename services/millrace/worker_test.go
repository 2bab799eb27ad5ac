package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// freeAddress is one that nobody listens on at the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// get is what a worker answers, or "" while it does not.
func get(address, path string) (code int, body string) {
	r, err := http.Get("http://" + address + path)
	if err != nil {
		return 0, ""
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// patient is a recipe that commits by itself only after a long time.
func patient(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patient.yaml")
	text := `dataset: fleet
video: {pick: all}
tokens: [{preset: siglip2-base-patch16-naflex, dtype: float32}]
outputs: [{format: webdataset, shard_age: 10m}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fences counts the ledgers' fences.
func fences(t testing.TB, p place) (n int) {
	t.Helper()
	for item, err := range ledger.Records(t.Context(), store.Plain{Store: p}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Record.Kind == ledger.Fence {
			n++
		}
	}
	return n
}

// One SIGTERM has a worker commit what it has and end well; a second one ends it at once,
// and what was not committed is taken again.
func TestWorkerSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka; not with -short")
	}
	p, recipe := folder(t), patient(t)
	client, cfg := topic(t, 1)
	producer := client.Producer(1)
	send := func(typ string, body []byte, id string) {
		t.Helper()
		m := queue.Message{Key: []byte(id), Value: body}
		for k, v := range map[string]string{"content-type": typ, "dataset": "fleet", "id": id} {
			m.Headers = append(m.Headers, queue.Header{Key: k, Value: []byte(v)})
		}
		if err := producer.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	start := func() (c *exec.Cmd, address string) {
		t.Helper()
		address = freeAddress(t)
		c = command(t, p.env, "worker", "--brokers", cfg.Brokers[0], "--topic", cfg.Topic, "--group", cfg.Topic, "--to", p.url, "--recipe", recipe, "--metrics", address)
		background(t, c)
		until(t, "readiness", 2*time.Minute, func() bool { code, _ := get(address, "/readyz"); return code == http.StatusOK })
		return c, address
	}
	src := media(t, 3, 0)
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("still-%04d.jpg", i)
		send("image/jpeg", mustRead(t, filepath.Join(src, name)), name)
	}
	first, address := start()
	until(t, "three jobs packed", 2*time.Minute, func() bool {
		_, metrics := get(address, "/metrics")
		return strings.Contains(metrics, `millrace_jobs_total{status="ok"} 3`)
	})
	if n := records(t, p); n != 0 {
		t.Fatalf("%d records: nothing was to be committed yet", n)
	}
	first.Process.Signal(syscall.SIGTERM)
	if err := first.Wait(); err != nil {
		t.Errorf("after one signal: %v", err)
	}
	if got := outcomes(t, p); len(got) != 3 {
		t.Errorf("%d jobs are committed, want 3", len(got))
	}

	long := filepath.Join(t.TempDir(), "long.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=gray:s=640x480:r=25:d=320", "-c:v", "libx264",
		"-preset", "ultrafast", "-pix_fmt", "yuv420p", long).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	send("video/mp4", mustRead(t, long), "long")
	second, address := start()
	until(t, "the second fence", time.Minute, func() bool { return fences(t, p) == 2 })
	time.Sleep(time.Second) // to be in the middle of it
	second.Process.Signal(syscall.SIGTERM)
	until(t, "the end of readiness", 15*time.Second, func() bool {
		code, why := get(address, "/readyz")
		return code == http.StatusServiceUnavailable && why == "draining\n"
	})
	if code, _ := get(address, "/healthz"); code != http.StatusOK {
		t.Errorf("a worker that drains is not alive: %d", code)
	}
	second.Process.Signal(syscall.SIGTERM)
	second.Wait()
	if code := second.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("after two signals the exit code is %d, want %d", code, exitInterrupted)
	}
	if got := outcomes(t, p); len(got) != 3 {
		t.Errorf("%d jobs are committed, want 3", len(got))
	}
}
