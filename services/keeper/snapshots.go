package keeper

import (
	"errors"
	"strconv"

	"github.com/millrace/millrace/pipeline/ledger"
)

// loadLatest reads the latest snapshot once; there may be none.
func (e *explainer) loadLatest() error {
	if e.latest != nil {
		return nil
	}
	latest, err := ledger.Latest(e.ctx, e.s)
	if errors.Is(err, ledger.ErrNoSnapshot) {
		return nil
	}
	if err != nil {
		return err
	}
	e.latest, e.snaps[latest.N] = latest, latest
	return nil
}

// snapshots gives those that include a record.
func (e *explainer) snapshots(stream ledger.Stream, seq int64) (*Snapshots, error) {
	if err := e.loadLatest(); err != nil || e.latest == nil || !includes(e.latest, stream, seq) {
		return nil, err
	}
	first, err := e.firstWith(func(s *ledger.Snapshot) bool { return includes(s, stream, seq) })
	return &Snapshots{First: first, Last: e.latest.N}, err
}

// firstWith finds the first snapshot with something that the latest has, and that all have
// after the first: by bisection.
func (e *explainer) firstWith(has func(*ledger.Snapshot) bool) (int64, error) {
	low, high := int64(-1), e.latest.N
	for high-low > 1 {
		middle := low + (high-low)/2
		snap := e.snaps[middle]
		if snap == nil {
			var err error
			if snap, err = ledger.ReadSnapshot(e.ctx, e.s, middle); err != nil {
				return 0, err
			}
			e.snaps[middle] = snap
		}
		if has(snap) {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

func includes(snap *ledger.Snapshot, stream ledger.Stream, seq int64) bool {
	at, there := snap.At(stream)
	return there && seq <= at.Seq
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
