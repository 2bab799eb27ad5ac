package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Seed is a valid medium that malformed ones are made from.
type Seed struct {
	Name   string // its file's
	Format string // its file name's extension
	Data   []byte
}

// Seeds reads the media in folders that have at most size bytes, ordered by name. A
// folder's other files are known by their extensions and left out.
func Seeds(size int64, folders ...string) ([]Seed, error) {
	var all []Seed
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("reading seeds: %w", err)
		}
		for _, e := range entries {
			format := strings.TrimPrefix(filepath.Ext(e.Name()), ".")
			st, err := e.Info()
			if err != nil {
				return nil, fmt.Errorf("reading seeds: %w", err)
			}
			if e.IsDir() || st.Size() > size || slices.Contains([]string{"sh", "py", "json", "md", ""}, format) {
				continue
			}
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, fmt.Errorf("reading seeds: %w", err)
			}
			all = append(all, Seed{Name: e.Name(), Format: format, Data: data})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no seed of at most %d bytes in %q", size, folders)
	}
	slices.SortFunc(all, func(a, b Seed) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
