package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
)

// Dir is a Store in a directory: an object is a file, a key its path. It keeps the
// promises of the package through power loss too, on file systems that honour
// fsync, and between processes on one machine. On NFS, link(2) is exclusive where
// the server makes it so: [Probe] tells.
//
// Nothing outside the directory can be reached, not even through symbolic links
// that somebody puts into it. Names that begin with a dot are not objects.
type Dir struct {
	root   *os.Root
	path   string
	synced sync.Map // directories whose own entry is known to be durable
}

// OpenDir opens the store in the directory at path, which is made if need be. Close
// it after use.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, fmt.Errorf("open the directory store: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the directory store: %w", err)
	}
	return &Dir{root: root, path: path}, nil
}

// Close releases the directory.
func (d *Dir) Close() error { return d.root.Close() }

// String names the store, as a URL.
func (d *Dir) String() string { return "file://" + d.path }

// Get implements Store.
func (d *Dir) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	if err := begin(ctx, "get", key); err != nil {
		return nil, Info{}, err
	}
	// Not blocking: somebody may have put a FIFO where an object was looked for.
	f, err := d.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, Info{}, dirError(ctx, "get", key, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, Info{}, dirError(ctx, "get", key, err)
	}
	length, err = span(st.Size(), offset, length)
	if err != nil {
		_ = f.Close()
		return nil, Info{}, &Error{Op: "get", Key: key, Kind: ErrRange, Err: err}
	}
	r := readerOf(ctx, io.NewSectionReader(f, offset, length))
	return &exactReader{r: r, c: f, key: key, left: length}, dirInfo(key, st), nil
}

// Stat implements Store.
func (d *Dir) Stat(ctx context.Context, key string) (Info, error) {
	if err := begin(ctx, "stat", key); err != nil {
		return Info{}, err
	}
	st, err := d.root.Lstat(key)
	if err == nil && !st.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Info{}, dirError(ctx, "stat", key, err)
	}
	return dirInfo(key, st), nil
}

// Delete implements Store.
func (d *Dir) Delete(ctx context.Context, key string) error {
	if err := begin(ctx, "delete", key); err != nil {
		return err
	}
	if _, err := d.Stat(ctx, key); IsNotFound(err) {
		return nil
	}
	if err := d.root.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dirError(ctx, "delete", key, err)
	}
	if err := d.sync(path.Dir(key)); err != nil {
		return dirError(ctx, "delete", key, err)
	}
	return nil
}

func dirInfo(key string, st fs.FileInfo) Info {
	etag := fmt.Sprintf("%x-%x", st.ModTime().UnixNano(), st.Size())
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		etag = fmt.Sprintf("%x-%s", sys.Ino, etag)
	}
	return Info{Key: key, Size: st.Size(), ETag: etag, Modified: st.ModTime()}
}

// dirError gives a file system's error its kind.
func dirError(ctx context.Context, op, key string, err error) error {
	var kind error
	writing := op == "put" || op == "create"
	switch {
	case !writing && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
		kind, err = ErrNotFound, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		kind = ErrDenied
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP):
		kind = ErrInvalid
	}
	return fail(ctx, op, key, kind, err)
}
