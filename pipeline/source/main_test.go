package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// local is a configuration for servers on this machine, quick to retry.
func local(t *testing.T) Config {
	cfg := DefaultConfig()
	cfg.Dir, cfg.AllowPrivate, cfg.Backoff, cfg.Tries = t.TempDir(), true, time.Millisecond, 3
	cfg.OutagePatience, cfg.HTTP.PerHost.PerSecond = 20*time.Millisecond, 0
	return cfg
}

func newFetcher(t *testing.T, cfg Config) *Fetcher {
	t.Helper()
	f, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(cfg.Dir); err != nil || len(left) > 0 {
			t.Errorf("the spool folder holds %v (%v)", left, err)
		}
	})
	return f
}

// wantBytes fetches and compares the handle's bytes and identity.
func wantBytes(t *testing.T, f *Fetcher, m pipeline.Media, want string) pipeline.SourceID {
	t.Helper()
	s, err := f.Fetch(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := io.ReadAll(io.NewSectionReader(s.File, 0, 1<<30))
	if err != nil || string(got) != want {
		t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(want))
	}
	sum := sha256.Sum256([]byte(want))
	if s.ID.SHA256 != hex.EncodeToString(sum[:]) || s.ID.Bytes != int64(len(want)) {
		t.Errorf("the identity is %+v", s.ID)
	}
	if _, err := s.File.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the handle can be written to")
	}
	return s.ID
}

// wantFault fetches and compares the code.
func wantFault(t *testing.T, f *Fetcher, m pipeline.Media, want codecs.Code) *codecs.Error {
	t.Helper()
	return wantFaultIn(t.Context(), t, f, m, want)
}

func wantFaultIn(ctx context.Context, t *testing.T, f *Fetcher, m pipeline.Media, want codecs.Code) *codecs.Error {
	t.Helper()
	s, err := f.Fetch(ctx, m)
	if s != nil {
		s.Close()
	}
	e := codecs.AsError(err)
	if e == nil || e.Code != want || e.Stage != codecs.StageFetch {
		t.Fatalf("%.100s: %v; want %s", m.URI, err, want)
	}
	return e
}
