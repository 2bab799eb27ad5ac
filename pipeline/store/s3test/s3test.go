// Package s3test starts a real S3 server for tests: versitygw with its posix backend
// in a temporary directory.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
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

	cmd  *exec.Cmd
	log  *bytes.Buffer // to be read once died is closed
	died chan struct{}
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
	s, err := Launch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() && s.log.Len() > 0 {
			t.Logf("versitygw said:\n%s", s.log.String())
		}
	})
	return s
}

// Launch starts a server outside of tests, on a free port of the loopback interface,
// that serves the folder dir. args are further flags of the program. The caller closes
// the server.
func Launch(dir string, args ...string) (*Server, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, log: new(bytes.Buffer), died: make(chan struct{})}
	s.Config = store.Config{Access: s3.Access{Endpoint: "http://" + addr, Region: "us-east-1", PathStyle: true, AccessKey: "tests", SecretKey: pipeline.NewSecret(rand.Text())}, CreateBucket: true}
	s.cmd = exec.Command(path, append(append([]string{"--port", addr, "--quiet", "--keep-alive"}, args...), "posix", s.Dir)...) //nolint:gosec // our own tool
	s.cmd.Env = []string{
		"ROOT_ACCESS_KEY=" + s.Config.AccessKey, "ROOT_SECRET_KEY=" + s.Config.SecretKey.Reveal(),
		"HOME=" + s.Dir, "PATH=" + os.Getenv("PATH"),
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("start versitygw: %w", err)
	}
	if err := waitHealthy(addr, s.died); err != nil {
		s.Close()
		return nil, fmt.Errorf("versitygw: %w; it said:\n%s", err, s.log)
	}
	return s, nil
}

// start starts the program, which dies with this one. The kernel kills it with the
// thread that started it, so that thread is kept.
func (s *Server) start() error {
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
			close(s.died)
		}
	}()
	return <-started
}

// Close kills the server.
func (s *Server) Close() {
	_ = s.cmd.Process.Kill()
	<-s.died
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
func binary() (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod above the working directory; set %s to the versitygw program", binaryEnv)
		}
	}
	path := filepath.Join(dir, ".cache", "bin", "versitygw")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("this needs versitygw, an S3 server: run `make tools`, or set %s to its program (%w)", binaryEnv, err)
	}
	return path, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
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
