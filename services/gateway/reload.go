package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// reloadEach is how often files of credentials are looked at. They are read, not only
// looked at from outside: tools may keep a file's time.
const reloadEach = 3 * time.Second

// maxReloaded bounds a file of credentials.
const maxReloaded = 4 << 20

// reloaded is what was read from files, and is read anew when they have changed. What can
// not be used changes nothing: what was read before counts on.
type reloaded struct {
	setting string // as people know it
	paths   []string
	use     func([][]byte) error

	mu   sync.Mutex
	seen [sha256.Size]byte // of what was tried last
	err  error             // what became of it
}

// look reads the files, and uses them if they are others than the last time. changed says
// that there is news: they were taken, or can not be, or no more for the same reason.
func (f *reloaded) look() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var files [][]byte
	h := sha256.New()
	for _, p := range f.paths {
		b, err := readBounded(p)
		if err != nil {
			changed = f.err == nil || f.err.Error() != err.Error()
			f.err, f.seen = err, [sha256.Size]byte{}
			return changed, err
		}
		fmt.Fprintf(h, "%d:", len(b))
		_, _ = h.Write(b)
		files = append(files, b)
	}
	if sum := [sha256.Size]byte(h.Sum(nil)); sum != f.seen {
		changed, f.seen = true, sum
		f.err = f.use(files)
	}
	return changed, f.err
}

// failed is why what is in the files does not count, or nil.
func (f *reloaded) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, maxReloaded+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxReloaded:
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxReloaded)
	case len(strings.TrimSpace(string(b))) == 0:
		return nil, fmt.Errorf("%s is empty", path) // perhaps about to be written
	}
	return b, nil
}

// open reads files for the first time, where there are any. A mistake is an error then.
func (g *Gateway) open(setting string, paths []string, use func([][]byte) error) error {
	if len(paths) == 0 {
		return nil
	}
	f := &reloaded{setting: setting, paths: paths, use: use}
	if _, err := f.look(); err != nil {
		return fmt.Errorf("%s: %w", setting, err)
	}
	g.files = append(g.files, f)
	g.metrics.stale.WithLabelValues(setting).Set(0)
	return nil
}

// reload looks at the files until the gateway ends.
func (g *Gateway) reload(ctx context.Context) {
	tick := time.NewTicker(reloadEach)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.reloadOnce()
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) reloadOnce() {
	for _, f := range g.files {
		changed, err := f.look()
		switch {
		case err != nil && changed:
			g.metrics.stale.WithLabelValues(f.setting).Set(1)
			g.log.Error("credentials have changed and can not be used; what was read before counts on", "setting", f.setting, "error", err)
		case changed:
			g.metrics.stale.WithLabelValues(f.setting).Set(0)
			g.log.Warn("credentials have changed and are used", "setting", f.setting)
		}
	}
}

// stale names the settings whose files can not be used as they are. It has no paths in
// it: everybody may ask.
func (g *Gateway) stale() string {
	var list []string
	for _, f := range g.files {
		if f.failed() != nil {
			list = append(list, f.setting)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "can not be read anew, what was read before counts: " + strings.Join(list, ", ")
}

var errNoTokens = errors.New("there is not one token in the file, and no other way to know callers")
