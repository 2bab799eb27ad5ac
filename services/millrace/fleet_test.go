package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/queue/kafkatest"
)

// topic makes an ingest topic on a real Kafka, and a client of it.
func topic(t testing.TB, partitions int) (*queue.Client, queue.Config) {
	t.Helper()
	cfg := queue.Default()
	cfg.Brokers, cfg.Topic = []string{kafkatest.Shared(t).Addr()}, kafkatest.Topic(t)
	c, err := queue.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.EnsureTopic(t.Context(), partitions, map[string]string{"max.message.bytes": fmt.Sprint(maxMessage)}); err != nil {
		t.Fatal(err)
	}
	return c, cfg
}

// startWorker runs a worker in the background.
func startWorker(t testing.TB, p place, cfg queue.Config, recipe string, env ...string) *exec.Cmd {
	t.Helper()
	c := command(t, append(env, p.env...), "worker", "--brokers", cfg.Brokers[0], "--topic", cfg.Topic, "--group", cfg.Topic, "--to", p.url, "--recipe", recipe)
	background(t, c)
	return c
}

// Messages of every form go through a real Kafka and three workers of which one is killed
// and one is drained in the middle of the work: every offset ends once, and every sample
// is there once.
func TestFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka; not with -short")
	}
	const stills, clips = 120, 20
	p, recipe := versitygw(t), recipeFile(t, "fleet")
	src := media(t, stills, clips)
	client, cfg := topic(t, 3)
	producer := client.Producer(2)
	send := func(m queue.Message) {
		t.Helper()
		if err := producer.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	header := func(k, v string) queue.Header { return queue.Header{Key: k, Value: []byte(v)} }
	files, err := filepath.Glob(filepath.Join(src, "*"))
	if err != nil || len(files) != stills+clips {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		id := filepath.Base(f)
		typ := map[bool]string{true: "image/jpeg", false: "video/mp4"}[strings.HasSuffix(f, ".jpg")]
		switch i % 3 {
		case 0: // the media itself
			send(queue.Message{Key: []byte(id), Value: b, Headers: []queue.Header{header("content-type", typ), header("dataset", "fleet"), header("id", id)}})
		case 1: // a job
			send(queue.Message{Key: []byte(id), Value: fmt.Appendf(nil, `{"id": %q, "dataset": "fleet", "media": [{"data": %q}], "meta": {"n": %d}}`, id, base64of(b), i)})
		case 2: // a CloudEvent, binary
			send(queue.Message{Key: []byte(id), Value: b, Headers: []queue.Header{header("ce_specversion", "1.0"), header("ce_id", id), header("ce_source", "/test"),
				header("ce_type", "media"), header("content-type", typ), header("dataset", "fleet"), header("id", id)}})
		}
	}
	send(queue.Message{Key: []byte(filepath.Base(files[0])), Value: mustRead(t, files[0]), Headers: []queue.Header{header("content-type", "image/jpeg"), header("dataset", "fleet"), header("id", filepath.Base(files[0]))}})
	send(queue.Message{Value: []byte("not json"), Headers: []queue.Header{header("content-type", "application/json")}})
	send(queue.Message{Value: []byte(`{"id": "nobody", "dataset": "unheard-of", "text": "x"}`)})

	first := startWorker(t, p, cfg, recipe)
	until(t, "the first commits", time.Minute, func() bool { return records(t, p) > 0 })
	time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
	first.Process.Kill()
	before := records(t, p)
	second := startWorker(t, p, cfg, recipe)
	until(t, "commits after the kill", time.Minute, func() bool { return records(t, p) > before })
	third := startWorker(t, p, cfg, recipe)
	time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
	second.Process.Signal(syscall.SIGTERM)
	if err := second.Wait(); err != nil {
		t.Errorf("the drained worker ended with %v", err)
	}
	until(t, "all outcomes", 2*time.Minute, func() bool {
		return len(outcomes(t, p)) >= stills+clips+2
	})
	third.Process.Signal(syscall.SIGTERM)
	if err := third.Wait(); err != nil {
		t.Errorf("the last worker ended with %v", err)
	}
	got := map[string]int{}
	for _, o := range outcomes(t, p) {
		got[string(o.Status)+" "+o.Code]++
	}
	want := map[string]int{"ok ": stills + clips, "quarantined msg.invalid": 1, "quarantined msg.no-recipe": 1}
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s: %d jobs, want %d; all: %v", k, got[k], n, got)
		}
	}
	same(t, keys(t, p), expected(stills, clips))
	output(t, exitDone, p.env, "verify", p.url, "--deep")
	if n := dups(t, p); n != 1 {
		t.Errorf("%d repeats, want 1", n)
	}
}

// dups counts repeats over all streams.
func dups(t testing.TB, p place) (n int) {
	t.Helper()
	for _, o := range allOutcomes(t, p) {
		if o.Status == ledger.DupOf {
			n++
		}
	}
	return n
}
