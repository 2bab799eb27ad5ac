package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/millrace/millrace/pipeline"
)

// FileVersion tells states of a local file apart, as an ETag does for objects: its
// size and its time of change. A medium with this version is refused once the file
// is another.
func FileVersion(info fs.FileInfo) string {
	return fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
}

// file hashes a local file where it is. It is read twice then (here, and by the
// mill); one that changes in between is caught only if it changes before the end of
// the first reading.
func (f *Fetcher) file(ctx context.Context, path string, m pipeline.Media) (_ *Spooled, err error) {
	file, before, err := f.openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	size, version := before.Size(), FileVersion(before)
	switch {
	case size == 0:
		return nil, refuse(pipeline.CodeSourceEmpty, "the file is empty")
	case size > f.cfg.MaxFileBytes:
		return nil, refuse(pipeline.CodeSourceLimit, "the file has %d bytes; %d are allowed", size, f.cfg.MaxFileBytes)
	case m.Version != "" && m.Version != version:
		return nil, refuse(pipeline.CodeSourceChanged, "the file changed since it was listed (size and time %s, now %s)", m.Version, version)
	}
	hash := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{hash},
		&contextReader{ctx, io.NewSectionReader(file, 0, size+1)}, make([]byte, copyBuffer))
	if err != nil {
		return nil, fileFault(err)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, fileFault(err)
	}
	if n != size || FileVersion(after) != version {
		return nil, refuse(pipeline.CodeSourceChanged, "the file changed while it was read (%d bytes at first, %d were read)", size, n)
	}
	s := &Spooled{File: file, ID: pipeline.SourceID{
		URI: f.fileURI(path), Version: version, SHA256: hex.EncodeToString(hash.Sum(nil)), Bytes: n,
	}}
	return s.expect(m.SHA256)
}

// OpenFile opens a local file read-only, under the settings' rules for files. Errors
// are as Fetch's. The caller closes the file.
func (f *Fetcher) OpenFile(path string) (*os.File, fs.FileInfo, error) {
	file, info, err := f.openFile(path)
	if err != nil {
		return nil, nil, f.about(pipeline.Media{URI: path}, err)
	}
	return file, info, nil
}

// openFile opens a regular file. It never waits for the writer of a pipe, and looks
// before it opens: opening a device may already do something.
func (f *Fetcher) openFile(path string) (*os.File, fs.FileInfo, error) {
	if !f.cfg.AllowFiles {
		return nil, nil, refuse(pipeline.CodeSourceDenied, "local files may not be read here; the setting source.allow_files allows it")
	}
	stat, open := os.Stat, os.OpenFile
	if f.root != nil {
		rel, err := f.inRoot(path)
		if err != nil {
			return nil, nil, err
		}
		path, stat, open = rel, f.root.Stat, f.root.OpenFile
	}
	info, err := stat(path)
	if err != nil {
		return nil, nil, fileFault(err)
	}
	if err := regular(info); err != nil {
		return nil, nil, err
	}
	file, err := open(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fileFault(err)
	}
	info, err = file.Stat()
	if err == nil {
		err = regular(info) // it may have been swapped
	}
	if err != nil {
		file.Close()
		return nil, nil, fileFault(err)
	}
	return file, info, nil
}

func regular(info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	kind := "a device or another special file"
	switch {
	case info.IsDir():
		kind = "a folder"
	case info.Mode()&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case info.Mode()&fs.ModeSocket != 0:
		kind = "a socket"
	}
	return refuse(pipeline.CodeSourceDenied, "it is %s, not a regular file", kind)
}

// inRoot gives a path relative to the root; os.Root then refuses links that escape.
func (f *Fetcher) inRoot(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return path, nil
	}
	root, err := filepath.Abs(f.cfg.Root)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", refuse(pipeline.CodeSourceDenied, "it lies outside the folder source.root")
	}
	return rel, nil
}

func (f *Fetcher) fileURI(path string) string {
	if f.root != nil && !filepath.IsAbs(path) {
		path = filepath.Join(f.cfg.Root, path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return FileURI(abs)
}

// fileFault tells the file's faults from the machine's. What is left, such as a bad
// sector or a network file system that is away, may pass.
func fileFault(err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err // a fault already, or ctx's end
	}
	err = pe.Err
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return refuse(pipeline.CodeSourceGone, "there is no such file")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return refuse(pipeline.CodeSourceDenied, "it may not be opened: %w", err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		return err
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) { // os.Root's own refusal, which has no exported name
		return refuse(pipeline.CodeSourceDenied, "it may not be opened: %w", err)
	}
	return refuse(pipeline.CodeSourceTransient, "reading failed: %w", err)
}

// contextReader ends a long read when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
