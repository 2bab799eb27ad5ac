package ledger

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
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
	// From is what an earlier Verify has saved. What it has found right is not looked at
	// again. Nil begins at the beginning, and so does a state that was less deep.
	From *State
	// Save, if set, is given how far the check is, every now and then and at the end. It
	// is not called at the same time; what it is given is not changed afterwards.
	Save func(*State) error
	// Beside, if set, looks at what loaders expect beside a shard. body is the shard, to
	// be read from its start as far as is of use, where Deep; else nil. It returns what
	// is wrong, or "". It is called from several goroutines.
	Beside func(ctx context.Context, s Shard, body io.Reader) (fault string, err error)
}

// Report is what Verify found. The chain holds if Faults is empty.
type Report struct {
	Streams   []StreamReport `json:"streams"`
	Snapshots int64          `json:"snapshots"`
	Edits     int64          `json:"edits"` // of the latest snapshot
	// Gone are shards that are not in the store any more, after the latest snapshot's edits
	// have removed them: only earlier snapshots miss them.
	Gone   int64   `json:"gone,omitempty"`
	Faults []Fault `json:"faults"`
	// MoreFaults is how many there are besides; of a wrecked dataset not all are kept.
	MoreFaults int64 `json:"more_faults,omitempty"`
	// Orphans are objects that no record names: remains of writers that died, or what the
	// next record will name. They take space, and are no fault. Streams that an earlier
	// check had begun are not searched for them.
	Orphans     []string `json:"orphans"`
	MoreOrphans int64    `json:"more_orphans,omitempty"`
}

// mostListed bounds the faults and the orphans that a Report lists.
const mostListed = 10_000

// OK reports that nothing is wrong.
func (r *Report) OK() bool { return len(r.Faults) == 0 }

// StreamReport counts a stream, from its first record on.
type StreamReport struct {
	Stream string `json:"stream"`
	// Earlier is how many of the records were verified by an earlier check, and not read.
	Earlier     int64 `json:"earlier,omitempty"`
	Records     int64 `json:"records"`
	Epoch       int64 `json:"epoch"`
	From        int64 `json:"from"` // offsets [From, To) are accounted for
	To          int64 `json:"to"`
	Shards      int64 `json:"shards"`
	Bytes       int64 `json:"bytes"` // of shards
	Samples     int64 `json:"samples"`
	OK          int64 `json:"ok"` // outcomes, by status
	DupOf       int64 `json:"dup_of"`
	Quarantined int64 `json:"quarantined"`
	Gaps        int64 `json:"gaps"`
	None        int64 `json:"none"`
	Skipped     int64 `json:"skipped"` // offsets that hold no messages
}

// Fault is something wrong with one object.
type Fault struct {
	Object string `json:"object"`
	Text   string `json:"text"`
}

// String is for people.
func (f Fault) String() string { return f.Object + ": " + f.Text }

// Progress is how far a Verify is, in all streams.
type Progress struct {
	Stream  string // one of those under way
	Streams int    // that are done
	Known   int64  // records that are known to be there, so far
	Records int64  // of these, checked
	Shards  int64  // checked
	Bytes   int64  // of these
	Faults  int64
}

// streamsTogether is how many streams are checked at a time.
const streamsTogether = 4

// Verify checks a dataset offline: that each stream's records form one chain without
// hole, overlap or change; that each offset is accounted for once; that each shard
// named is there, as large and of the digest that its record says; that snapshots
// point at what is there; and that their edits replace shards by others of as many
// samples. Faults are collected, not returned: an error means that the check could not be
// carried out. progress, if set, is called now and then, never at the same time.
//
// It holds some records for each stream under way, and about 40 bytes for each of its
// shards.
func Verify(ctx context.Context, s Store, o VerifyOptions, progress func(Progress)) (*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := newVerifier(ctx, cancel, s, o, progress)
	streams, err := v.streams()
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if len(o.Streams) == 0 {
		if err := v.loadEdits(); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	var group errgroup.Group
	group.SetLimit(streamsTogether)
	for _, stream := range streams {
		group.Go(func() error {
			err := v.stream(stream)
			if err != nil {
				err = fmt.Errorf("verify the stream %s: %w", stream, err)
				cancel(err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(o.Streams) == 0 {
		if err := v.snapshots(); err != nil {
			return nil, fmt.Errorf("verify the snapshots: %w", err)
		}
	}
	return v.finish()
}

type verifier struct {
	ctx      context.Context
	cancel   context.CancelCauseFunc
	s        Store
	o        VerifyOptions
	progress func(Progress)
	slots    chan struct{} // for shards under way
	from     *State
	edits    editCheck

	mu     sync.Mutex // guards what follows
	report *Report
	now    Progress
	state  *State
	saving sync.Mutex
}

func newVerifier(ctx context.Context, cancel context.CancelCauseFunc, s Store, o VerifyOptions, progress func(Progress)) *verifier {
	if progress == nil {
		progress = func(Progress) {}
	}
	if o.Parallel < 1 {
		o.Parallel = 8
	}
	from := o.From
	if from == nil || from.Version != Version || o.Deep && !from.Deep {
		from = &State{}
	}
	return &verifier{
		ctx: ctx, cancel: cancel, s: s, o: o, progress: progress, slots: make(chan struct{}, o.Parallel),
		from: from, state: from.copy(o.Deep),
		report: &Report{Streams: []StreamReport{}, Faults: []Fault{}, Orphans: []string{}},
	}
}

func (v *verifier) streams() ([]Stream, error) {
	if len(v.o.Streams) > 0 {
		return v.o.Streams, nil
	}
	var streams []Stream
	for stream, err := range Streams(v.ctx, v.s) {
		if err != nil {
			return nil, err
		}
		streams = append(streams, stream)
	}
	return streams, nil
}

func (v *verifier) finish() (*Report, error) {
	if err := v.save(); err != nil {
		return nil, err
	}
	r := v.report
	slices.SortFunc(r.Streams, func(a, b StreamReport) int { return strings.Compare(a.Stream, b.Stream) })
	slices.SortFunc(r.Faults, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Text, b.Text))
	})
	slices.Sort(r.Orphans)
	return r, nil
}

func (v *verifier) fault(object, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now.Faults++
	if len(v.report.Faults) >= mostListed {
		v.report.MoreFaults++
		return
	}
	v.report.Faults = append(v.report.Faults, Fault{Object: object, Text: fmt.Sprintf(format, args...)})
}

// tell reports progress after changing it.
func (v *verifier) tell(change func(*Progress)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.now)
	v.progress(v.now)
}
