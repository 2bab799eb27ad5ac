package source

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
)

func fileFetcher(t *testing.T, root string) *Fetcher {
	cfg := local(t)
	cfg.AllowFiles, cfg.Root = true, root
	return newFetcher(t, cfg)
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "a b?.mp4"), "film")
	f := fileFetcher(t, "")
	id := wantBytes(t, f, pipeline.Media{URI: path}, "film")
	if id.URI != FileURI(path) || !strings.HasPrefix(id.Version, "4-") {
		t.Errorf("the identity is %+v", id)
	}
	if again := wantBytes(t, f, pipeline.Media{URI: FileURI(path), Version: id.Version, SHA256: strings.ToUpper(id.SHA256)}, "film"); again != id {
		t.Errorf("by URI the identity is %+v, by path %+v", again, id)
	}
	head, err := f.Peek(t.Context(), pipeline.Media{URI: path}, 2)
	if err != nil || string(head) != "fi" {
		t.Errorf("peeked %q, %v", head, err)
	}
	if head, err = f.Peek(t.Context(), pipeline.Media{URI: path}, 99); err != nil || string(head) != "film" {
		t.Errorf("peeked %q, %v", head, err)
	}

	wantFault(t, f, pipeline.Media{URI: path, SHA256: strings.Repeat("0", 64)}, pipeline.CodeSourceChanged)
	wantFault(t, f, pipeline.Media{URI: path + "x"}, pipeline.CodeSourceGone)
	wantFault(t, f, pipeline.Media{URI: path + "/x"}, pipeline.CodeSourceGone)
	wantFault(t, f, pipeline.Media{URI: dir}, pipeline.CodeSourceDenied)
	wantFault(t, f, pipeline.Media{URI: "/dev/zero"}, pipeline.CodeSourceDenied)
	wantFault(t, f, pipeline.Media{URI: write(t, filepath.Join(dir, "empty"), "")}, pipeline.CodeSourceEmpty)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFault(t, f, pipeline.Media{URI: pipe}, pipeline.CodeSourceDenied)

	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	wantFault(t, f, pipeline.Media{URI: path, Version: id.Version}, pipeline.CodeSourceChanged)
	wantFault(t, newFetcher(t, local(t)), pipeline.Media{URI: path}, pipeline.CodeSourceDenied)
}

func TestFileTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 11); err != nil {
		t.Fatal(err)
	}
	cfg := local(t)
	cfg.AllowFiles, cfg.MaxFileBytes = true, 10
	wantFault(t, newFetcher(t, cfg), pipeline.Media{URI: path}, pipeline.CodeSourceLimit)
}

func TestRoot(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	inside := write(t, filepath.Join(root, "sub", "a.mp4"), "in")
	outside := write(t, filepath.Join(dir, "secret"), "out")
	for name, target := range map[string]string{"leak": outside, "up": "../../secret", "fine": "a.mp4"} {
		if err := os.Symlink(target, filepath.Join(root, "sub", name)); err != nil {
			t.Fatal(err)
		}
	}
	f := fileFetcher(t, root)
	for _, uri := range []string{inside, FileURI(inside), "sub/a.mp4", filepath.Join(root, "sub", "fine")} {
		wantBytes(t, f, pipeline.Media{URI: uri}, "in")
	}
	for _, uri := range []string{outside, "../secret", "sub/leak", "sub/up", "sub/../../secret", FileURI(outside), root + "/../secret", root + "x"} {
		wantFault(t, f, pipeline.Media{URI: uri}, pipeline.CodeSourceDenied)
	}
}

func TestInline(t *testing.T) {
	cfg := local(t)
	cfg.MaxBytes = 8
	f := newFetcher(t, cfg)
	id := wantBytes(t, f, pipeline.Media{Data: []byte("bytes")}, "bytes")
	if id.URI != "" || id.Version != "" {
		t.Errorf("the identity is %+v", id)
	}
	wantBytes(t, f, pipeline.Media{Data: []byte("bytes"), SHA256: id.SHA256}, "bytes")
	wantFault(t, f, pipeline.Media{Data: []byte("other"), SHA256: id.SHA256}, pipeline.CodeSourceChanged)
	wantFault(t, f, pipeline.Media{Data: []byte("bytes"), SHA256: "abc"}, pipeline.CodeMsgInvalid)
	wantFault(t, f, pipeline.Media{Data: []byte("too large")}, pipeline.CodeSourceLimit)
	wantFault(t, f, pipeline.Media{}, pipeline.CodeSourceEmpty)
	wantFault(t, f, pipeline.Media{URI: "s3://b/k", Data: []byte("x")}, pipeline.CodeMsgInvalid)
}

func TestDiskIsNotTheMediumsFault(t *testing.T) {
	cfg := local(t)
	f := newFetcher(t, cfg)
	f.cfg.Dir = filepath.Join(cfg.Dir, "vanished")
	_, err := f.Fetch(t.Context(), pipeline.Media{Data: []byte("x")})
	wantPlain(t, err, "source.dir")
	_, err = New(Config{})
	wantPlain(t, err, "source.max_bytes")
}
