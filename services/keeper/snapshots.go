package keeper

import (
	"errors"

	"github.com/millrace/millrace/pipeline/ledger"
)

// snapshots gives those that include a record. Positions only ever grow from one snapshot
// to the next, so the first is found by bisection.
func (e *explainer) snapshots(stream ledger.Stream, seq int64) (*Snapshots, error) {
	if e.latest == nil {
		latest, err := ledger.Latest(e.ctx, e.s)
		if errors.Is(err, ledger.ErrNoSnapshot) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		e.latest, e.snaps[latest.N] = latest, latest
	}
	if !includes(e.latest, stream, seq) {
		return nil, nil
	}
	low, high := int64(-1), e.latest.N
	for high-low > 1 {
		middle := low + (high-low)/2
		snap := e.snaps[middle]
		if snap == nil {
			var err error
			if snap, err = ledger.ReadSnapshot(e.ctx, e.s, middle); err != nil {
				return nil, err
			}
			e.snaps[middle] = snap
		}
		if includes(snap, stream, seq) {
			high = middle
		} else {
			low = middle
		}
	}
	return &Snapshots{First: high, Last: e.latest.N}, nil
}

func includes(snap *ledger.Snapshot, stream ledger.Stream, seq int64) bool {
	at, there := snap.At(stream)
	return there && seq <= at.Seq
}
