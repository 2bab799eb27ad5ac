package keeper

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// marksPrefix is what the names of attempts at offsets begin with: a worker leaves
// _attempt/<stream>/<offset>/<n> before it begins a job, so that one that kills it is told
// from the others.
const marksPrefix = "_attempt/"

// SweepMarks deletes the marks of attempts at offsets that a record accounts for: nobody
// will begin them again. Age does not matter. Those of offsets beyond the end of the chain
// are left, as are those of streams that have none.
func SweepMarks(ctx context.Context, s store.Store, o SweepOptions) ([]Orphan, error) {
	m := &markSweep{s: s, o: o, next: map[string]int64{}}
	err := m.run(ctx)
	if err == nil && !o.DryRun {
		err = remove(ctx, s, m.marks)
	}
	if err != nil {
		err = fmt.Errorf("clear the marks of attempts: %w", err)
	}
	return m.marks, err
}

type markSweep struct {
	s     store.Store
	o     SweepOptions
	next  map[string]int64 // by stream, as Stream.Path: where its chain ends
	marks []Orphan
}

func (m *markSweep) run(ctx context.Context) error {
	m.marks = []Orphan{}
	for info, err := range m.s.List(ctx, marksPrefix, "") {
		if err != nil {
			return err
		}
		path, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, marksPrefix), "/")
		number, _, _ := strings.Cut(rest, "/")
		offset, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			continue // nobody here knows what it is
		}
		end, err := m.end(ctx, path)
		if err != nil {
			return err
		}
		if offset < end {
			m.marks = append(m.marks, Orphan{Key: info.Key, Stream: path, Bytes: info.Size, Modified: info.Modified, Verdict: Deletable})
		}
	}
	return nil
}

// end is where a stream's chain ends: the first offset that no record accounts for.
func (m *markSweep) end(ctx context.Context, path string) (int64, error) {
	if next, known := m.next[path]; known {
		return next, nil
	}
	m.next[path] = 0
	stream, err := ledger.ParseStream(path)
	if err != nil {
		return 0, nil // not a stream's
	}
	found, err := ledger.Find(ctx, store.Plain{Store: m.s}, stream, math.MaxInt64) // beyond the end: no bisection
	if err != nil {
		return 0, err
	}
	m.next[path] = found.Next
	return found.Next, nil
}
