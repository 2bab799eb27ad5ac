package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/source"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/settings"
)

// The first signal ends a command that has nothing to finish; one that drains, the second.
func TestSignals(t *testing.T) {
	for _, drains := range []bool{false, true} {
		a, done := newApp(&cli{Log: "info"}, io.Discard, io.Discard)
		a.drains.Store(drains)
		syscall.Kill(os.Getpid(), syscall.SIGTERM)
		<-a.stop
		if drains {
			if a.ctx.Err() != nil {
				t.Error("a command that drains is ended by the first signal")
			}
			syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
		<-a.ctx.Done()
		done()
	}
}

// What a killed stack left in its folder is not taken for a running one.
func TestAwaitUp(t *testing.T) {
	state := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	if err := writeUp(state, upState{Broker: dead.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { writeUp(state, upState{Broker: l.Addr().String()}) })
	a, done := newApp(&cli{Log: "info"}, io.Discard, io.Discard)
	defer done()
	if u, err := awaitUp(a, state); err != nil || u.Broker != l.Addr().String() {
		t.Errorf("the stack that is found is %+v, %v; want the one at %v", u, err, l.Addr())
	}
}

// A file too large for a message is named so that its path comes back.
func TestLargeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "50% of a #1?.mp4")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, message.MaxValue+1); err != nil {
		t.Fatal(err)
	}
	m, err := medium(path)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := source.FilePath(m.URI); err != nil || back != path {
		t.Errorf("%s comes back as %q, %v", m.URI, back, err)
	}
}

// A file that is too large with what goes with it is named by its path.
func TestLargeFileWithText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.mp4")
	if err := os.WriteFile(path, make([]byte, 7<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	jobs, err := pushCmd{Dataset: "d", Text: "a caption", Sources: []string{path}}.jobs(nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := jobs[0].Media[0]; m.URI != source.FileURI(path) || m.Data != nil {
		t.Errorf("it travels as %d bytes and %q", len(m.Data), m.URI)
	}
	if _, err := message.Encode(*jobs[0]); err != nil {
		t.Error(err)
	}
}

// How an id ended before it was pushed again is not what --wait waits for.
func TestWaitForThisTime(t *testing.T) {
	cfg := settings.Default()
	cfg.Store.URL = t.TempDir()
	s, closed, err := cfg.OpenStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closed()
	end := func(status ledger.Outcome) {
		t.Helper()
		ctx := context.Background()
		c, err := ledger.Open(ctx, store.Plain{Store: s}, ledger.NamedStream("s"), ledger.Options{})
		if err == nil {
			err = c.Begin(ctx, 0)
		}
		if err == nil {
			err = c.Fence(ctx)
		}
		if err == nil {
			status.Offset, status.ID, status.Dataset = c.Next(), "again", "d"
			err = c.Commit(ctx, ledger.Entry{To: c.Next() + 1, Outcomes: []ledger.Outcome{status}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a, done := newApp(&cli{Log: "info"}, io.Discard, io.Discard)
	defer done()
	end(ledger.Outcome{Status: ledger.Quarantined, Code: "decode.invalid"})
	w, closeWatch, err := startWatch(a, cfg, []*pipeline.Job{{ID: "again", Dataset: "d"}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeWatch()
	if err := w.look(t.Context()); err != nil || len(w.open) != 1 {
		t.Fatalf("it has ended before it was pushed: %v, %v", w.ended, err)
	}
	end(ledger.Outcome{Status: ledger.OK})
	if err := w.wait(a, time.Minute); err != nil || w.ended[ledger.OK] != 1 {
		t.Errorf("it ended as %v, %v", w.ended, err)
	}
}

// Reading makes nothing: a mistyped path is said to be one.
func TestMistypedPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mistyped")
	for _, command := range []string{"verify", "inspect", "publish"} {
		for _, url := range []string{path, source.FileURI(path)} {
			if code, _, errOut := call(command, url); code != exitFaults {
				t.Errorf("%s %s exits %d: %s", command, url, code, errOut)
			}
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
}

// A flag that is not given leaves the setting alone.
func TestUpKeepsSettings(t *testing.T) {
	cfg := settings.Default()
	cfg.Metrics.Listen = "127.0.0.1:9100"
	upCmd{}.configure(&cfg, t.TempDir())
	if cfg.Metrics.Listen != "127.0.0.1:9100" {
		t.Errorf("metrics.listen has become %q", cfg.Metrics.Listen)
	}
}
