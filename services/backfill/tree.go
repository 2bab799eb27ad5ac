package backfill

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/source"
)

// tree walks a folder in the order of names. It holds the names of one folder a level.
type tree struct {
	glob   []string
	hidden bool // the glob itself names hidden files
	levels []level
}

type level struct {
	dir     string
	parts   []string // of dir, from the tree's root
	entries []fs.DirEntry
	next    int
}

func newTree(v *env, e entry) (reader, error) {
	t := &tree{glob: e.glob}
	t.hidden = slices.ContainsFunc(e.glob, func(s string) bool { return strings.HasPrefix(s, ".") })
	if err := t.enter(e.path, nil); err != nil {
		return nil, err
	}
	return &nested{v: v, find: t}, nil
}

func (t *tree) enter(dir string, parts []string) error {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return err
	}
	t.levels = append(t.levels, level{dir: dir, parts: parts, entries: entries})
	return nil
}

func (t *tree) find(ctx context.Context) (entry, error) {
	for len(t.levels) > 0 {
		if err := ctx.Err(); err != nil {
			return entry{}, err
		}
		l := &t.levels[len(t.levels)-1]
		if l.next == len(l.entries) {
			t.levels = t.levels[:len(t.levels)-1]
			continue
		}
		d := l.entries[l.next]
		l.next++
		if strings.HasPrefix(d.Name(), ".") && !t.hidden {
			continue
		}
		path, parts := filepath.Join(l.dir, d.Name()), append(slices.Clone(l.parts), d.Name())
		if d.IsDir() {
			if t.glob != nil && !matches(t.glob, parts, true) {
				continue
			}
			if err := t.enter(path, parts); err != nil {
				return unreadable(path, err), nil
			}
			continue
		}
		if t.glob != nil && !matches(t.glob, parts, false) || !wanted(t.glob, kindOf(path)) {
			continue
		}
		if e, ok := look(path); ok {
			return e, nil
		}
	}
	return entry{}, io.EOF
}

// look follows links to files; folders that are linked are left alone, since links
// can go round in circles.
func look(path string) (entry, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(path, err), true
	}
	return localEntry(path, info), info.Mode().IsRegular()
}

func unreadable(path string, err error) entry {
	var fault *codecs.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fault = refuse(pipeline.CodeSourceGone, "%s went away while it was listed, or is a link to nothing", path)
	default:
		fault = refuse(pipeline.CodeSourceDenied, "%s can not be listed: %w", path, errors.Unwrap(err))
	}
	return entry{uri: source.FileURI(path), path: path, size: -1, rows: -1, fault: fault}
}

// share counts each level's entries alike: the sizes of folders are not known before
// they are entered.
func (t *tree) share() float64 {
	share, weight := 0.0, 1.0
	for i, l := range t.levels {
		if len(l.entries) == 0 {
			continue
		}
		weight /= float64(len(l.entries))
		done := l.next
		if i < len(t.levels)-1 {
			done-- // the one that was entered
		}
		share += weight * float64(done)
	}
	if len(t.levels) == 0 {
		return 1
	}
	return share
}

func (t *tree) close() error { return nil }
