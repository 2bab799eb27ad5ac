package store_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/s3"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/pipeline/store/s3test"
)

// crewEnv makes this test's program a process with racers: the store's location. The
// endpoint and the keys are in the variables below it.
const (
	crewEnv     = "STORE_TEST_CREW"
	endpointEnv = "STORE_TEST_ENDPOINT"
	secretEnv   = "STORE_TEST_SECRET"
	lockedEnv   = "STORE_TEST_LOCKED"
)

func serveCrew() error {
	s, err := store.Open(context.Background(), os.Getenv(crewEnv), crewConfig(os.Getenv(endpointEnv), os.Getenv(secretEnv)))
	if err != nil {
		return err
	}
	if os.Getenv(lockedEnv) != "" {
		s = &locked{Store: s}
	}
	return store.ServeCrew(context.Background(), s, os.Stdin, os.Stdout)
}

func crewConfig(endpoint, secret string) store.Config {
	return store.Config{Access: s3.Access{Endpoint: endpoint, Region: "us-east-1", PathStyle: true, AccessKey: "tests", SecretKey: pipeline.NewSecret(secret)}}
}

// crew starts another process with racers.
func crew(t *testing.T, location string, env ...string) store.Crew {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(append(os.Environ(), crewEnv+"="+location), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return store.RemoteCrew(in, out)
}

// TestProbeFromTwoProcesses: real servers, good and bad.
func TestProbeFromTwoProcesses(t *testing.T) {
	server := s3test.Start(t)
	careless, racy := server.Careless(t), server.Racy(t)
	for _, c := range []struct {
		name string
		cfg  store.Config
		want string
	}{
		{"versitygw", server.Config, ""},
		{"one that ignores the header", careless, "ignores If-None-Match"},
		{"one that looks, then puts", racy, "conditional writes are not exclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			location := server.URL()
			s, err := store.Open(t.Context(), location, c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.(*store.S3).Close() }()
			remote := []string{endpointEnv + "=" + c.cfg.Endpoint, secretEnv + "=" + c.cfg.SecretKey.Reveal()}
			report, err := store.Probe(t.Context(), s, 0, 0, store.LocalCrew(s), crew(t, location, remote...), crew(t, location, remote...))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "store.claim_log.topic") {
					t.Errorf("got %v, want one with %q that says what to do", err, c.want)
				}
				return
			}
			if err != nil || report.Rounds != store.ProbeRounds || report.Racers != store.ProbeRacers || report.Crews != 3 {
				t.Fatalf("got %+v, %v", report, err)
			}
			t.Logf("%+v", report)
		})
	}
}

// locked looks exclusive within a process, and is not.
type locked struct {
	store.Store
	mu sync.Mutex
}

func (l *locked) Create(ctx context.Context, key string, data []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.Stat(ctx, key); err == nil {
		return &store.Error{Op: "create", Key: key, Kind: store.ErrExists}
	}
	return l.Put(ctx, key, store.BytesBody(data))
}

// TestOneProcessIsNotEnough: what only a lock of the process makes exclusive is found
// out by two.
func TestOneProcessIsNotEnough(t *testing.T) {
	dir := t.TempDir()
	d, err := store.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	s := &locked{Store: d}
	if _, err := store.Probe(t.Context(), s, 4, 8); err != nil {
		t.Fatalf("one process found out: %v", err)
	}
	_, err = store.Probe(t.Context(), s, 200, 0, store.LocalCrew(s), crew(t, dir, lockedEnv+"=1"))
	if err == nil || !strings.Contains(err.Error(), "not exclusive") {
		t.Errorf("two processes found: %v", err)
	}
}

func TestCrewOrders(t *testing.T) {
	s := store.NewMemory()
	for orders, want := range map[string]string{
		"{\"go\":true}\n":                    "makes no sense",
		"{\"key\":\"k\",\"racers\":5000}\n":  "makes no sense",
		"nonsense\n":                         "invalid character",
		"{\"key\":\"k\",\"racers\":2}\n{}\n": "makes no sense",
	} {
		var out bytes.Buffer
		if err := store.ServeCrew(t.Context(), s, strings.NewReader(orders), &out); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("to %q it answers %q, %v", orders, out.String(), err)
		}
	}
	var out bytes.Buffer
	orders := "{\"key\":\"k\",\"racers\":2,\"first\":4}\n{\"go\":true}\n"
	if err := store.ServeCrew(t.Context(), s, strings.NewReader(orders), &out); err != nil || strings.Count(out.String(), "won") != 1 || strings.Count(out.String(), "lost") != 1 {
		t.Errorf("a race of two gave %q, %v", out.String(), err)
	}
	if _, err := store.Probe(t.Context(), s, 1, 2, store.RemoteCrew(&out, strings.NewReader(""))); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("a process that died gave %v", err)
	}
}
