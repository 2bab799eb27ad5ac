package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// VerifyOptions says what to verify. The zero value checks every stream and, by what
// the store says of them, every object.
type VerifyOptions struct {
	// Deep reads every shard and compares its SHA-256.
	Deep bool
	// Streams narrows the check down; empty means all. Snapshots are checked only
	// with all.
	Streams []Stream
	// Parallel is how many objects are checked at a time; 0 means 8.
	Parallel int
}

// Report is what Verify found. The chain holds if Faults is empty.
type Report struct {
	Streams   []StreamReport `json:"streams"`
	Snapshots int64          `json:"snapshots"`
	Faults    []Fault        `json:"faults"`
	// Orphans are objects that no record names: remains of writers that died. They
	// take space, and are no fault.
	Orphans []string `json:"orphans"`
}

// OK reports that nothing is wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

// StreamReport counts a stream.
type StreamReport struct {
	Stream      string `json:"stream"`
	Records     int64  `json:"records"`
	Epoch       int64  `json:"epoch"`
	From        int64  `json:"from"` // offsets [From, To) are accounted for
	To          int64  `json:"to"`
	Shards      int64  `json:"shards"`
	Bytes       int64  `json:"bytes"` // of shards
	Samples     int64  `json:"samples"`
	OK          int64  `json:"ok"` // outcomes, by status
	DupOf       int64  `json:"dup_of"`
	Quarantined int64  `json:"quarantined"`
	Gaps        int64  `json:"gaps"`
	None        int64  `json:"none"`
	Skipped     int64  `json:"skipped"` // offsets that hold no messages
}

// Fault is something wrong with one object.
type Fault struct {
	Object string `json:"object"`
	Text   string `json:"text"`
}

// String is for people.
func (f Fault) String() string { return f.Object + ": " + f.Text }

// Progress is how far a Verify is.
type Progress struct {
	Stream  string
	Records int64 // of this stream
	Shards  int64 // of this stream, checked
	Bytes   int64 // of these
	Faults  int   // in all
}

// Verify checks a dataset offline: that each stream's records form one chain without
// hole, overlap or change; that each offset is accounted for once; that each shard
// named is there, as large and of the digest that its record says; and that snapshots
// point at what is there. Faults are collected, not returned: an error means that the
// check could not be carried out. progress, if set, is called now and then, never at
// the same time.
func Verify(ctx context.Context, s Store, o VerifyOptions, progress func(Progress)) (*Report, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	if o.Parallel < 1 {
		o.Parallel = 8
	}
	v := &verifier{ctx: ctx, s: s, o: o, progress: progress, report: &Report{Streams: []StreamReport{}, Faults: []Fault{}, Orphans: []string{}}}
	streams := o.Streams
	if len(streams) == 0 {
		var err error
		if streams, err = v.allStreams(); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	for _, stream := range streams {
		if err := v.stream(stream); err != nil {
			return nil, fmt.Errorf("verify the stream %s: %w", stream, err)
		}
	}
	if len(o.Streams) == 0 {
		if err := v.snapshots(); err != nil {
			return nil, fmt.Errorf("verify the snapshots: %w", err)
		}
	}
	slices.SortFunc(v.report.Faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Text, b.Text))
	})
	return v.report, nil
}

func (v *verifier) allStreams() ([]Stream, error) {
	var streams []Stream
	for stream, err := range Streams(v.ctx, v.s) {
		if err != nil {
			return nil, err
		}
		streams = append(streams, stream)
	}
	return streams, nil
}

// snapshots checks every snapshot against the records.
func (v *verifier) snapshots() error {
	last, err := lastNumber(v.ctx, v.s, SnapshotKey, -1)
	if err != nil {
		return err
	}
	previous := ""
	for n := int64(0); n <= last; n++ {
		snap, data, err := loadSnapshot(v.ctx, v.s, n)
		if err != nil {
			if err := v.unreadable(SnapshotKey(n), err); err != nil {
				return err
			}
			previous = ""
			continue
		}
		if n > 0 && previous != "" && snap.Previous != previous {
			v.fault(snap.Key(), "it follows a snapshot of SHA-256 %s, but the one before has %s", snap.Previous, previous)
		}
		previous = digest(data)
		v.report.Snapshots++
		for _, p := range snap.Streams {
			if err := v.pinned(snap, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) pinned(snap *Snapshot, p Pinned) error {
	stream, err := ParseStream(p.Stream)
	if err != nil {
		v.fault(snap.Key(), "%v", err)
		return nil
	}
	data, err := load(v.ctx, v.s, RecordKey(stream, p.Seq), MaxRecord)
	switch {
	case notFound(err):
		v.fault(snap.Key(), "it names record %d of stream %s, which is not there", p.Seq, stream)
	case err != nil:
		return err
	case digest(data) != p.SHA256:
		v.fault(snap.Key(), "it names record %d of stream %s by SHA-256 %s, but that has %s", p.Seq, stream, p.SHA256, digest(data))
	}
	return nil
}

// unreadable makes a fault of an object that is missing or malformed, and hands on an
// error of the store's.
func (v *verifier) unreadable(key string, err error) error {
	if v.ctx.Err() != nil {
		return v.ctx.Err()
	}
	var storeErr interface{ Permanent() bool }
	switch {
	case notFound(err):
		v.fault(key, "it is missing")
	case errors.As(err, &storeErr):
		return err
	default:
		v.fault(key, "%v", err)
	}
	return nil
}
