package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

func inDir(t *testing.T) (*store.Dir, string) {
	t.Helper()
	path := t.TempDir()
	d, err := store.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, path
}

// TestDirConfined: links that lead out of the directory lead nowhere.
func TestDirConfined(t *testing.T) {
	d, path := inDir(t)
	outside := t.TempDir()
	if err := os.WriteFile(outside+"/secret", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"file": outside + "/secret", "dir": outside, "up": "..", "dangling": outside + "/new"} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"file", "dir/secret", "up/" + filepath.Base(outside) + "/secret"} {
		if rc, _, err := d.Get(t.Context(), key, 0, -1); err == nil {
			_ = rc.Close()
			t.Errorf("%s was read", key)
		}
	}
	for _, key := range []string{"dir/new", "up/new", "dangling"} {
		_ = d.Put(t.Context(), key, store.BytesBody([]byte("x")))
		_ = d.Create(t.Context(), key, []byte("x"))
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside are now %v, %v", entries, err)
	}
	for info, err := range d.List(t.Context(), "", "") {
		if err != nil || info.Key != "dangling" { // the put replaced that link by a file
			t.Errorf("listed %q, %v", info.Key, err)
		}
	}
}

// TestDirStrangers: what is no object is not listed, read, or waited for.
func TestDirStrangers(t *testing.T) {
	d, path := inDir(t)
	if err := syscall.Mkfifo(path+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".hidden", ".tmp-old", `back\slash`} {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(path+"/.git/objects", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Get(t.Context(), "fifo", 0, -1); !store.IsNotFound(err) {
		t.Errorf("a FIFO: %v", err)
	}
	if _, err := d.Stat(t.Context(), "fifo"); !store.IsNotFound(err) {
		t.Errorf("a FIFO: %v", err)
	}
	for info, err := range d.List(t.Context(), "", "") {
		t.Errorf("listed %q, %v", info.Key, err)
	}
}

func TestDirFileInTheWay(t *testing.T) {
	d, _ := inDir(t)
	if err := d.Create(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a/b/c", "a"} {
		if err := d.Create(t.Context(), key, nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("create %s: %v", key, err)
		}
		if err := d.Put(t.Context(), key, store.BytesBody(nil)); err == nil {
			t.Errorf("put %s succeeded", key)
		}
	}
}

// TestDirSweep: no operation leaves a temporary file, and what a killed process left
// is swept.
func TestDirSweep(t *testing.T) {
	d, path := inDir(t)
	bad := store.BytesBody([]byte("x"))
	bad.CRC32C++
	_ = d.Put(t.Context(), "a/x", bad)
	_ = d.Create(t.Context(), "a/y", nil)
	_ = d.Create(t.Context(), "a/y", nil)
	if names, err := filepath.Glob(path + "/a/.tmp-*"); err != nil || len(names) != 0 {
		t.Errorf("left are %v, %v", names, err)
	}
	now := time.Now()
	for name, age := range map[string]time.Duration{"a/.tmp-old": 48 * time.Hour, "a/.tmp-new": time.Minute} {
		if err := errors.Join(os.WriteFile(filepath.Join(path, name), nil, 0o600), os.Chtimes(filepath.Join(path, name), now.Add(-age), now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	n, err := d.Sweep(t.Context(), now.Add(-24*time.Hour))
	if err != nil || n != 1 {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err := d.Stat(t.Context(), "a/y"); err != nil {
		t.Errorf("the object is gone: %v", err)
	}
	if names, _ := filepath.Glob(path + "/a/.tmp-*"); len(names) != 1 || !strings.HasSuffix(names[0], "new") {
		t.Errorf("left are %v", names)
	}
}

// TestDirRemovedBelow: directories that vanish are made again.
func TestDirRemovedBelow(t *testing.T) {
	d, path := inDir(t)
	for range 2 {
		if err := d.Put(t.Context(), "a/b/c", store.BytesBody([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(path + "/a"); err != nil {
			t.Fatal(err)
		}
	}
}
