package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

var errNothing = errors.New("nothing there is a medium or an archive, by its extension")

// resolve finds out what an argument is and checks its beginning.
func resolve(ctx context.Context, v *env, src string) (entry, error) {
	switch scheme, rest := source.Scheme(src); scheme {
	case "":
		return resolveLocal(ctx, v, src)
	case "file":
		p, err := source.FilePath(src)
		if err != nil {
			return entry{}, err
		}
		return resolveLocal(ctx, v, p)
	case "s3":
		return resolveS3(ctx, v, strings.TrimPrefix(rest, "//"))
	case "http", "https":
		e := entry{uri: src, size: -1, rows: -1}
		e.kind = kindOf(e.name())
		return e.checkRemote(ctx, v)
	default:
		return entry{}, fmt.Errorf("nothing here reads %.20q URIs; known are file, http, https and s3", scheme)
	}
}

func resolveLocal(ctx context.Context, v *env, p string) (entry, error) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return entry{}, err
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist) && hasGlob(p):
		base, glob := splitGlob(abs)
		e := entry{way: folder, path: base, glob: glob, uri: source.FileURI(abs), size: -1, rows: -1}
		return e, e.checkAny(ctx, v)
	case errors.Is(err, fs.ErrNotExist):
		return entry{}, errors.New("there is no such file or folder")
	case err != nil:
		return entry{}, err
	case info.IsDir():
		e := entry{way: folder, path: abs, uri: source.FileURI(abs), size: -1, rows: -1}
		return e, e.checkAny(ctx, v)
	case !info.Mode().IsRegular():
		return entry{}, errors.New("it is neither a regular file nor a folder")
	}
	e := localEntry(abs, info)
	return e.checkStart(ctx, v)
}

func localEntry(abs string, info fs.FileInfo) entry {
	return entry{
		kind: kindOf(abs), uri: source.FileURI(abs), path: abs,
		version: source.FileVersion(info), size: info.Size(), rows: -1,
	}
}

func objectEntry(bucket string, o source.Object) entry {
	e := entry{kind: kindOf(o.Key), uri: "s3://" + bucket + "/" + o.Key, size: o.Size, rows: -1}
	if o.ETag != "" {
		e.version = `"` + o.ETag + `"` // in quotes it can not be taken for a version id
	}
	return e
}

// resolveS3 takes a key for an object if there is one of just that name, and else for
// a glob or a prefix.
func resolveS3(ctx context.Context, v *env, location string) (entry, error) {
	bucket, key, _ := strings.Cut(location, "/")
	uri := "s3://" + location
	if key != "" && !strings.HasSuffix(key, "/") {
		for o, err := range v.far.List(ctx, bucket, key) {
			if err != nil {
				return entry{}, err
			}
			if o.Key == key {
				return objectEntry(bucket, o).checkRemote(ctx, v)
			}
			break // the key itself would be the first
		}
	}
	e := entry{way: prefix, uri: uri, size: -1, rows: -1}
	if hasGlob(key) {
		e.glob = strings.Split(key, "/")
	}
	return e, e.checkAny(ctx, v)
}

// checkAny finds the first medium or archive.
func (e entry) checkAny(ctx context.Context, v *env) error {
	r, err := e.open(ctx, v)
	if err != nil {
		return err
	}
	n := r.(*nested)
	first, err := n.find.find(ctx)
	if err == io.EOF {
		err = errNothing
		if e.glob != nil {
			err = errors.New("nothing matches the glob")
		}
	}
	if err == nil && first.fault != nil && first.uri == e.uri {
		err = first.fault
	}
	return errors.Join(err, r.close())
}

// checkStart opens a local list or archive, which reads its beginning, and closes it.
func (e entry) checkStart(ctx context.Context, v *env) (entry, error) {
	if !e.kind.isList() && !e.kind.isArchive() {
		return e, nil
	}
	r, err := e.open(ctx, v)
	if err != nil {
		return entry{}, err
	}
	e.rows = r.progress().left
	return e, r.close()
}

// peek is enough for the first member of a compressed tar.
const peek = 1 << 20

// checkRemote fetches a list, since it is needed anyway, and looks at an archive's
// first bytes.
func (e entry) checkRemote(ctx context.Context, v *env) (entry, error) {
	m := pipeline.Media{URI: e.uri, Version: e.version}
	switch {
	case e.kind.isList():
		s, err := v.far.Fetch(ctx, m)
		if err != nil {
			return entry{}, err
		}
		e.fetched = s
		checked, err := e.checkStart(ctx, v)
		if err != nil {
			return entry{}, errors.Join(err, s.Close())
		}
		return checked, nil
	case e.kind.isArchive():
		head, err := v.far.Peek(ctx, m, peek)
		if err == nil {
			err = checkArchiveHead(e.kind, head, len(head) == peek, v.opt.Archive)
		}
		return e, err
	}
	return e, nil
}

// splitGlob divides a path before its first part with a glob in it.
func splitGlob(p string) (base string, glob []string) {
	parts := strings.Split(filepath.ToSlash(p), "/")
	for i, part := range parts {
		if hasGlob(part) {
			return filepath.FromSlash(strings.Join(parts[:i], "/") + "/"), parts[i:]
		}
	}
	return p, nil
}

// matches tells whether a path fits a glob, part by part; ** fits any number of them.
// With partial it tells whether something below the path might.
func matches(glob, parts []string, partial bool) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			if partial {
				return true
			}
			for i := range len(parts) + 1 {
				if matches(glob[1:], parts[i:], false) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 {
			return partial
		}
		if ok, err := path.Match(glob[0], parts[0]); err != nil || !ok {
			return false
		}
		glob, parts = glob[1:], parts[1:]
	}
	return len(parts) == 0
}

// wanted tells whether a folder, or a glob, takes a file of this kind. A glob that
// names an extension means what it says; any other takes what a folder would, and so
// does not read a captions file beside the pictures as a list.
func wanted(glob []string, k kind) bool {
	if len(glob) > 0 && strings.Contains(glob[len(glob)-1], ".") {
		return true
	}
	return k == medium || k.isArchive()
}
