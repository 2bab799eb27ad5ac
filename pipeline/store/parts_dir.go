package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

// partFile is the temporary file that collects an upload's parts, beside its key's
// place. Sweep removes it when nobody has written to it for long.
func partFile(key, upload string) (string, error) {
	if upload == "" || strings.Trim(upload, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return "", &Error{Op: "put a part of", Key: key, Kind: ErrInvalid, Err: errors.New("the upload's name is malformed")}
	}
	return path.Join(path.Dir(key), tempPrefix+upload), nil
}

// BeginParts implements Parted.
func (d *Dir) BeginParts(ctx context.Context, key string) (string, error) {
	if err := begin(ctx, "begin", key); err != nil {
		return "", err
	}
	upload := rand.Text()
	name, err := partFile(key, upload)
	if err == nil {
		err = d.mkdir(path.Dir(key))
	}
	if err != nil {
		return "", dirError(ctx, "put", key, err)
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err == nil {
		err = errors.Join(f.Close(), d.sync(path.Dir(key)))
	}
	if err != nil {
		return "", dirError(ctx, "put", key, err)
	}
	return upload, nil
}

// PutPart implements Parted.
func (d *Dir) PutPart(ctx context.Context, key, upload string, p Part) error {
	if err := begin(ctx, "put a part of", key); err != nil {
		return err
	}
	if err := checkNumber("put a part of", key, p); err != nil {
		return err
	}
	f, err := d.openParts(key, upload)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p.Data, p.Offset)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return dirError(ctx, "put", key, err)
	}
	return nil
}

func (d *Dir) openParts(key, upload string) (*os.File, error) {
	name, err := partFile(key, upload)
	if err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Op: "put a part of", Key: key, Kind: ErrNotFound, Err: errNoUpload}
	}
	return f, err
}

// CompleteParts implements Parted. The file is read once, to see that it is what was
// announced, before it gets the key's name.
func (d *Dir) CompleteParts(ctx context.Context, key, upload string, _ int, whole Body) error {
	if err := begin(ctx, "complete", key); err != nil {
		return err
	}
	f, err := d.openParts(key, upload)
	if IsNotFound(err) && complete(ctx, d, key, whole) {
		return nil
	}
	if err != nil {
		return err
	}
	err = f.Truncate(whole.Size)
	if err == nil {
		err = f.Sync()
	}
	var got Body
	if err == nil {
		got, err = DigestBody(ctx, f, whole.Size)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return dirError(ctx, "put", key, err)
	}
	if got.SHA256 != whole.SHA256 {
		return &Error{Op: "complete", Key: key, Kind: ErrCorrupt, Err: errors.New("its parts are not those that were announced")}
	}
	name, err := partFile(key, upload)
	if err != nil {
		return err
	}
	if err := d.root.Rename(name, key); err != nil {
		return dirError(ctx, "put", key, err)
	}
	if err := d.sync(path.Dir(key)); err != nil {
		return dirError(ctx, "put", key, err)
	}
	return nil
}

// AbortParts implements Parted.
func (d *Dir) AbortParts(ctx context.Context, key, upload string) error {
	if err := begin(ctx, "abort", key); err != nil {
		return err
	}
	name, err := partFile(key, upload)
	if err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dirError(ctx, "abort", key, err)
	}
	return nil
}
