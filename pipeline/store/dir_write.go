package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// tempPrefix begins the names of files that are not yet objects. CheckKey allows no
// such key, so they can neither be listed nor read.
const tempPrefix = ".tmp-"

// Put implements Store.
func (d *Dir) Put(ctx context.Context, key string, body Body) error {
	if err := begin(ctx, "put", key); err != nil {
		return err
	}
	temp, err := d.write(key, func(w io.Writer) error { return copyBody(ctx, w, body) })
	if err != nil {
		return d.writeError(ctx, "put", key, err)
	}
	if err := d.root.Rename(temp, key); err != nil {
		_ = d.root.Remove(temp)
		return dirError(ctx, "put", key, err)
	}
	if err := d.sync(path.Dir(key)); err != nil {
		return dirError(ctx, "put", key, err)
	}
	return nil
}

// Create implements Store. The file is complete and durable under a name of its own
// before link(2) gives it the key's name, which fails if there is one.
func (d *Dir) Create(ctx context.Context, key string, data []byte) error {
	if err := begin(ctx, "create", key); err != nil {
		return err
	}
	temp, err := d.write(key, func(w io.Writer) error { _, err := w.Write(data); return err })
	if err != nil {
		return d.writeError(ctx, "create", key, err)
	}
	err = d.root.Link(temp, key)
	_ = d.root.Remove(temp)
	switch {
	case errors.Is(err, fs.ErrExist):
		if st, err := d.root.Lstat(key); err == nil && st.IsDir() {
			return &Error{Op: "create", Key: key, Kind: ErrInvalid, Err: errors.New("there is a directory of that name")}
		}
		// The other's link may be younger than its fsync of the directory. Who is
		// told that an object exists will act on it, so it must be there to stay.
		if err := d.sync(path.Dir(key)); err != nil {
			return &Error{Op: "create", Key: key, Kind: ErrUnknown, Err: err}
		}
		return &Error{Op: "create", Key: key, Kind: ErrExists}
	case err != nil:
		return dirError(ctx, "create", key, err)
	}
	if err := d.sync(path.Dir(key)); err != nil {
		return &Error{Op: "create", Key: key, Kind: ErrUnknown, Err: err}
	}
	return nil
}

// writeError tells a body that was not what it announced from a failing disk.
func (d *Dir) writeError(ctx context.Context, op, key string, err error) error {
	var p *fs.PathError
	var l *os.LinkError
	if errors.As(err, &p) || errors.As(err, &l) {
		return dirError(ctx, op, key, err)
	}
	return fail(ctx, op, key, ErrCorrupt, err)
}

// write makes a durable temporary file beside the key's place.
func (d *Dir) write(key string, fill func(io.Writer) error) (temp string, err error) {
	dir := path.Dir(key)
	if err := d.mkdir(dir); err != nil {
		return "", err
	}
	temp = path.Join(dir, tempPrefix+rand.Text())
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", err
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = d.root.Remove(temp)
		return "", err
	}
	return temp, nil
}

// mkdir makes dir and its parents, each of them durable.
func (d *Dir) mkdir(dir string) error {
	if dir == "." {
		return nil
	}
	parent := path.Dir(dir)
	if err := d.mkdir(parent); err != nil {
		return err
	}
	if err := d.root.Mkdir(dir, 0o777); err == nil || !errors.Is(err, fs.ErrExist) {
		if err != nil {
			return err
		}
		d.synced.Delete(dir)
	}
	// That it exists does not say that whoever made it got as far as the fsync.
	if _, ok := d.synced.Load(dir); ok {
		return nil
	}
	if err := d.sync(parent); err != nil {
		return err
	}
	d.synced.Store(dir, true)
	return nil
}

// sync makes the entries of a directory durable.
func (d *Dir) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return fmt.Errorf("fsync the directory: %w", err)
	}
	return f.Close()
}

// Sweep removes temporary files that a killed process left behind: those last
// written to before the given time. It returns how many there were.
func (d *Dir) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	err = fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil || e.IsDir() || !strings.HasPrefix(e.Name(), tempPrefix) {
			return errors.Join(err, ctx.Err())
		}
		st, err := e.Info()
		if err != nil || !st.ModTime().Before(before) {
			return nil // gone meanwhile, or young
		}
		if err := d.root.Remove(name); err != nil {
			return err
		}
		removed++
		return nil
	})
	if err != nil {
		return removed, fmt.Errorf("sweep %s: %w", d, err)
	}
	return removed, nil
}
