package store

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
)

// List implements Store. It reads one directory at a time, and only those that can
// hold keys of the prefix after startAfter.
func (d *Dir) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Info{}, &Error{Op: "list", Key: prefix, Kind: ErrInvalid, Err: err})
			return
		}
		dir := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir = prefix[:i]
		}
		l := dirLister{d: d, ctx: ctx, prefix: prefix, after: startAfter, yield: yield}
		l.walk(dir)
	}
}

type dirLister struct {
	d             *Dir
	ctx           context.Context
	prefix, after string
	yield         func(Info, error) bool
}

// walk lists dir and what is under it. It returns false when the listing is over.
func (l *dirLister) walk(dir string) bool {
	names, err := l.read(dir)
	if err != nil {
		l.yield(Info{}, dirError(l.ctx, "list", l.prefix, err))
		return false
	}
	for _, name := range names {
		if err := l.ctx.Err(); err != nil {
			l.yield(Info{}, err)
			return false
		}
		if sub, ok := strings.CutSuffix(name, "/"); ok {
			if !l.walk(sub) {
				return false
			}
			continue
		}
		st, err := l.d.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			l.yield(Info{}, dirError(l.ctx, "list", l.prefix, err))
			return false
		}
		if !l.yield(dirInfo(name, st), nil) {
			return false
		}
	}
	return true
}

// read gives the paths in dir that the listing may need, in the order of keys: a
// directory sorts as its name with a slash, since that is how the keys in it begin.
func (l *dirLister) read(dir string) ([]string, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.d.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err != nil || !st.IsDir() {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case CheckKey(name) != nil:
			continue
		case e.IsDir():
			name += "/"
			// Keys in it begin with name: some may be after l.after unless name
			// sorts before it and is not its beginning.
			if name <= l.after && !strings.HasPrefix(l.after, name) {
				continue
			}
			if !strings.HasPrefix(name, l.prefix) && !strings.HasPrefix(l.prefix, name) {
				continue
			}
		case !e.Type().IsRegular() || name <= l.after || !strings.HasPrefix(name, l.prefix):
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
