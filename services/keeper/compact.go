package keeper

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// CompactOptions say what Compact merges.
type CompactOptions struct {
	Dataset string
	// Below is how many bytes a shard has at most, not included, to be merged; Target how
	// many the merged ones have at most. Target is at least twice Below.
	Below, Target int64
	// DryRun changes nothing, and says what would be merged.
	DryRun bool
	// Dir is where shards are spooled: Target bytes or so, twice.
	Dir     string
	Recipes Recipes
	// Progress, if set, hears of each step, never of two at the same time.
	Progress func(Step)
}

// Step is how far a command is that rewrites shards.
type Step struct {
	Done, Of int   // shards read
	Bytes    int64 // read
}

// Compacted is what a compaction did, or would do.
type Compacted struct {
	Dataset string `json:"dataset"`
	DryRun  bool   `json:"dry_run"`
	// Snapshot is the number of the last snapshot that it made; -1 if there was nothing to
	// do.
	Snapshot int64 `json:"snapshot"`
	Merged   int   `json:"merged"` // shards that were replaced,
	Into     int   `json:"into"`   // by so many; of a dry run, about
	Bytes    int64 `json:"bytes"`  // of those that were replaced
	Samples  int64 `json:"samples"`
	// Unlike counts shards that would have given no fewer, since their samples can not be in
	// one file.
	Unlike int `json:"unlike,omitempty"`
	// Again counts the rounds that another edit came before.
	Again int `json:"again,omitempty"`
}

const (
	// roundBins bounds what is done again if another edit comes first, or the process dies.
	roundBins = 64
	// mostAgain is how often in a row another edit may come first.
	mostAgain = 5
)

// Validate names the setting that can not be.
func (o *CompactOptions) Validate() error {
	switch {
	case o.Dataset == "":
		return errors.New("which dataset is to be compacted is not said")
	case o.Below < 1:
		return fmt.Errorf("shards of less than %d bytes are to be merged; there are none", o.Below)
	case o.Target/2 < o.Below:
		return fmt.Errorf("the target, %d bytes, is not twice the least shard, %d: what was merged would be merged again", o.Target, o.Below)
	}
	return nil
}

// Compact merges small shards of a dataset, alike in recipe, format and compression, into
// larger ones, in their order and without decoding media. It publishes a snapshot of all
// that is committed, and then snapshots in which the small shards are replaced. Records and
// earlier snapshots stay as they are, and so do the small shards: a [Forget] deletes them.
//
// It may run beside writers and other compactions: of two that want the same shard one
// comes first, and the other looks again. A process that dies changes nothing for readers;
// what it leaves is a [Sweep]'s. What is returned with an error is what was done before it.
func Compact(ctx context.Context, s store.Store, o CompactOptions) (*Compacted, error) {
	c := &compactor{s: s, o: o, result: &Compacted{Dataset: o.Dataset, DryRun: o.DryRun, Snapshot: -1}, unlike: map[string]bool{}}
	if c.o.Progress == nil {
		c.o.Progress = func(Step) {}
	}
	err := o.Validate()
	if err == nil {
		err = c.run(ctx)
	}
	if err != nil {
		return c.result, fmt.Errorf("compact dataset %s: %w", o.Dataset, err)
	}
	return c.result, nil
}

type compactor struct {
	s      store.Store
	o      CompactOptions
	result *Compacted
	unlike map[string]bool // shards that are not worth another try
	step   Step
}

func (c *compactor) run(ctx context.Context) error {
	for again := 0; ; {
		bins, err := c.bins(ctx)
		if err != nil || len(bins) == 0 {
			return err
		}
		if c.o.DryRun {
			for _, b := range bins {
				c.result.add(b, 1)
			}
			return nil
		}
		c.step.Of = c.step.Done
		for _, b := range bins {
			c.step.Of += len(b)
		}
		err = c.round(ctx, bins[:min(len(bins), roundBins)])
		if !errors.Is(err, ledger.ErrEditConflict) && !errors.Is(err, ErrAbandoned) {
			again = 0
		} else if again++; again <= mostAgain {
			c.result.Again++
			err = nil
		}
		if err != nil {
			return err
		}
	}
}

// bins are what is to be merged, as of a new snapshot.
func (c *compactor) bins(ctx context.Context) ([]bin, error) {
	var snap *ledger.Snapshot
	if !c.o.DryRun {
		var err error
		if snap, err = ledger.Publish(ctx, store.Plain{Store: c.s}); err != nil {
			return nil, err
		}
	}
	var small []ledger.Shard
	for sh, err := range ledger.Shards(ctx, store.Plain{Store: c.s}, snap, c.o.Dataset) {
		if err != nil {
			return nil, err
		}
		if sh.Bytes < c.o.Below && !c.unlike[sh.Key] {
			small = append(small, sh)
		}
	}
	return fill(small, c.o.Below, c.o.Target), nil
}

// round merges some bins, and publishes that.
func (c *compactor) round(ctx context.Context, bins []bin) error {
	a := newAttempt(c.s)
	e := ledger.Edit{Kind: ledger.Compact, Dataset: c.o.Dataset}
	var groups []group
	var done []bin
	for _, b := range bins {
		written, err := c.merge(ctx, a, b)
		if err != nil {
			return err
		}
		if written == nil {
			continue
		}
		g := group{Removes: keysOf(b), Adds: keysOf(written)}
		e.Removes, e.Adds = append(e.Removes, g.Removes...), append(e.Adds, written...)
		groups, done = append(groups, g), append(done, b)
	}
	if len(groups) == 0 {
		return nil
	}
	e.Reason = fmt.Sprintf("shards of less than %d bytes were merged", c.o.Below)
	snap, err := a.commit(ctx, e, groups)
	if err != nil {
		return err
	}
	c.result.Snapshot = snap.N
	for i, b := range done {
		c.result.add(b, len(groups[i].Adds))
	}
	return nil
}

// merge gives what a bin becomes; nil if that would be no fewer shards.
func (c *compactor) merge(ctx context.Context, a attempt, b bin) ([]ledger.Shard, error) {
	o, _, err := outputOf(ctx, c.o.Recipes, b[0])
	if err != nil {
		return nil, err
	}
	w := &rewriter{s: c.s, dir: c.o.Dir, prefix: a.prefix(), keep: everything, fewer: true, read: c.told}
	written, err := w.rewrite(ctx, b, o)
	if err != nil {
		return nil, err
	}
	if len(written) == 0 {
		for _, sh := range b {
			c.unlike[sh.Key] = true
		}
		c.result.Unlike += len(b)
		return nil, nil
	}
	var before, after, members int64
	for _, sh := range b {
		before, members = before+sh.Samples, members+sh.Members
	}
	for _, sh := range written {
		after, members = after+sh.Samples, members-sh.Members
	}
	if before != after || members != 0 {
		return nil, fmt.Errorf("%d samples of %d shards would become %d (and %+d members of sequences): nothing was changed; this is a fault of Millrace's", before, len(b), after, -members)
	}
	return written, nil
}

func (c *compactor) told(sh ledger.Shard) {
	c.step.Done++
	c.step.Bytes += sh.Bytes
	c.o.Progress(c.step)
}

func (r *Compacted) add(b bin, into int) {
	r.Merged += len(b)
	r.Into += into
	for _, sh := range b {
		r.Bytes += sh.Bytes
		r.Samples += sh.Samples
	}
}

func keysOf(shards []ledger.Shard) []string {
	keys := make([]string, len(shards))
	for i, sh := range shards {
		keys[i] = sh.Key
	}
	return keys
}
