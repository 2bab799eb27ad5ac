// Package s3test starts a real S3 server for tests: versitygw with its posix backend
// in a temporary directory.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/s3"
	"github.com/millrace/millrace/pipeline/store"
)

// Server is a running server.
type Server struct {
	// Config reaches it, and makes buckets that are not there.
	Config store.Config
	// Dir is the directory that it serves: a bucket is a directory in it.
	Dir string
}

// binaryEnv names the server's program, where it is not at .cache/bin/versitygw
// under the module's root.
const binaryEnv = "MILLRACE_VERSITYGW"

// Start starts a server on a free port of the loopback interface; it is killed when
// the test ends. Without the server's program the test fails, since a test that did
// not run proves nothing; with -short it is skipped.
func Start(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real S3 server; not with -short")
	}
	s := &Server{Dir: t.TempDir()}
	addr := freeAddress(t)
	s.Config = store.Config{Access: s3.Access{Endpoint: "http://" + addr, Region: "us-east-1", PathStyle: true, AccessKey: "tests", SecretKey: pipeline.NewSecret(rand.Text())}, CreateBucket: true}
	var log bytes.Buffer
	cmd := exec.Command(binary(t), "--port", addr, "--quiet", "--keep-alive", "posix", s.Dir) //nolint:gosec // our own tool
	cmd.Env = []string{
		"ROOT_ACCESS_KEY=" + s.Config.AccessKey, "ROOT_SECRET_KEY=" + s.Config.SecretKey.Reveal(),
		"HOME=" + s.Dir, "PATH=" + os.Getenv("PATH"),
	}
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start versitygw: %v", err)
	}
	died := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(died)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-died
		if t.Failed() && log.Len() > 0 {
			t.Logf("versitygw said:\n%s", log.String())
		}
	})
	if err := waitHealthy(addr, died); err != nil {
		t.Fatalf("versitygw: %v", err)
	}
	return s
}

// URL is that of a new, empty store on the server.
func (s *Server) URL() string {
	return "s3://test-" + strings.ToLower(rand.Text()) + "/some/prefix"
}

// Open opens a new, empty store on the server.
func (s *Server) Open(t testing.TB) store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), s.URL(), s.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.(*store.S3).Close() })
	return st
}

// binary finds the server's program.
func binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(binaryEnv); path != "" {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("no go.mod above the test's directory; set %s to the versitygw program", binaryEnv)
		}
	}
	path := filepath.Join(dir, ".cache", "bin", "versitygw")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("this test needs versitygw, an S3 server: run `make tools`, or set %s to its program (%v)", binaryEnv, err)
	}
	return path
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// waitHealthy waits until the server answers; any answer will do.
func waitHealthy(addr string, died <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-died:
			return errors.New("it ended at once; see what it said")
		case <-ctx.Done():
			return errors.Join(errors.New("it did not answer within 30 s"), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
