package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// call runs the program in this process and returns its exit code and what it printed.
func call(args ...string) (code int, out, errOut string) {
	var o, e strings.Builder
	code = run(args, &o, &e)
	return code, o.String(), e.String()
}

func TestHelp(t *testing.T) {
	code, out, _ := call("--help")
	if code != exitDone || !strings.Contains(out, "backfill") || strings.Contains(out, "The child process that decodes") {
		t.Errorf("--help exits %d and prints\n%s", code, out)
	}
	for _, command := range []string{"up", "push", "backfill", "worker", "inspect", "verify", "publish", "recipe validate", "recipe show", "recipe schema", "recipe diff", "diff-recipe", "doctor", "version"} {
		code, out, _ := call(append(strings.Fields(command), "--help")...)
		if code != exitDone || !strings.Contains(out, "Example") {
			t.Errorf("%s --help exits %d and has no example:\n%s", command, code, out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("dataset: x\ntokenz: y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", exitUsage, "millrace --help"},
		{"nonsense", exitUsage, "nonsense"},
		{"backfill x --to y", exitUsage, "--recipe"},
		{"backfill no-such-file --dataset d --to " + t.TempDir(), exitFailed, "no-such-file"},
		{"backfill x --dataset d", exitUsage, "store.url"},
		{"worker --to y", exitUsage, "queue.brokers"},
		{"recipe validate " + bad, exitFaults, "bad.yaml:2:1"},
		{"recipe show " + bad, exitFaults, "tokens"},
		{"verify " + t.TempDir(), exitFaults, "no ledger"},
		{"inspect " + t.TempDir(), exitFaults, "no shards"},
		{"mill", exitUsage, "not by people"},
		{"--config no-such-file doctor", exitUsage, "no-such-file"},
	} {
		code, out, errOut := call(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errOut, c.says) {
			t.Errorf("millrace %s: exit code %d, want %d, with %q in:\n%s%s", c.args, code, c.code, c.says, out, errOut)
		}
	}
}

func TestRecipeCommands(t *testing.T) {
	const demo = "../../testdata/recipes/demo.yaml"
	code, out, errOut := call("--json", "recipe", "validate", demo)
	var v struct{ Dataset, Digest string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitDone || v.Dataset != "demo" || len(v.Digest) != 64 {
		t.Errorf("validate exits %d and says %s%s (%v)", code, out, errOut, err)
	}
	shown := filepath.Join(t.TempDir(), "shown.yaml")
	code, out, _ = call("recipe", "show", demo)
	if err := os.WriteFile(shown, []byte(out), 0o600); err != nil || code != exitDone {
		t.Fatal(code, err)
	}
	_, again, _ := call("--json", "recipe", "validate", shown)
	if !strings.Contains(again, v.Digest) {
		t.Errorf("what show prints has another digest: %s", again)
	}
	for _, of := range []string{"recipe", "message"} {
		if code, out, _ := call("recipe", "schema", of); code != exitDone || !json.Valid([]byte(out)) {
			t.Errorf("the schema of %s is no JSON, exit code %d", of, code)
		}
	}
}

func TestDoctor(t *testing.T) {
	code, out, errOut := call("--json", "doctor", "--to", t.TempDir())
	var findings []struct{ Level, What string }
	if err := json.Unmarshal([]byte(out), &findings); err != nil || code != exitDone {
		t.Fatalf("doctor exits %d: %s%s (%v)", code, out, errOut, err)
	}
	level := map[string]string{}
	for _, f := range findings {
		level[f.What] = f.Level
	}
	if level["store"] != "ok" || level["FFmpeg"] != "ok" || level["mill"] != "ok" || level["broker"] != "warn" {
		t.Errorf("levels are %v", level)
	}
	code, out, _ = call("doctor", "--to", "/proc/no-such-place", "--brokers", "127.0.0.1:1")
	if code != exitFaults || !strings.Contains(out, "fail  store") || !strings.Contains(out, "->") {
		t.Errorf("with a store and a broker that are not there it exits %d:\n%s", code, out)
	}
	if code, out, _ := call("doctor", "--settings"); code != exitDone || !strings.Contains(out, "MILLRACE_STORE_URL\n") {
		t.Errorf("--settings exits %d and prints %s", code, out)
	}
}

func TestDryRun(t *testing.T) {
	to := filepath.Join(t.TempDir(), "never")
	code, out, errOut := call("--json", "backfill", "--dry-run", "--dataset", "d", "--to", to, "../../testdata/images/golden")
	var sum struct {
		Jobs  int
		Bytes int64
	}
	if err := json.Unmarshal([]byte(out), &sum); err != nil || code != exitDone || sum.Jobs != 35 || sum.Bytes < 1<<20 {
		t.Errorf("a dry run exits %d and says %s%s (%v)", code, out, errOut, err)
	}
	if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Errorf("a dry run made its store: %v", err)
	}
}

// Jobs of a backfill go through the topic to a worker, archives' members included.
func TestBackfillViaKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real Kafka; not with -short")
	}
	p, recipe, src := folder(t), recipeFile(t, "via"), media(t, 10, 0)
	_, cfg := topic(t, 1)
	tarball := filepath.Join(t.TempDir(), "more.tar")
	archive(t, tarball, media(t, 3, 1))
	output(t, exitDone, nil, "backfill", "--via", "kafka", "--brokers", cfg.Brokers[0], "--topic", cfg.Topic, "--recipe", recipe, src, tarball)
	w := startWorker(t, p, cfg, recipe, "MILLRACE_SOURCE_ALLOW_FILES=true")
	until(t, "all outcomes", time.Minute, func() bool { return len(outcomes(t, p)) >= 14 })
	w.Process.Signal(syscall.SIGTERM)
	if err := w.Wait(); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	if n := len(keys(t, p)); n != 10+3+4 {
		t.Errorf("%d samples, want 17", n)
	}
	output(t, exitDone, nil, "verify", p.url, "--deep")
}
