package main

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/services/keeper"
)

type compactCmd struct {
	storeArg
	Dataset string   `help:"Dataset to compact." required:"" placeholder:"NAME"`
	Below   byteSize `help:"Merge shards of fewer bytes than this." default:"64MiB"`
	Target  byteSize `help:"Into shards of at most about so many." default:"256MiB"`
	DryRun  bool     `help:"Change nothing; say what would be merged."`
	Quiet   bool     `short:"q" help:"Show no progress."`
}

func (compactCmd) Help() string {
	return `Examples:  millrace compact s3://bucket/set --dataset cats --dry-run
           millrace compact s3://bucket/set --dataset cats

Copies the samples of small shards, in their order, into larger ones of the same format and
recipe; no medium is decoded. The result is a new snapshot with its indexes. Records, earlier
snapshots and what they name stay as they are: millrace gc --snapshots-older-than clears the
small shards once nobody reads them. It may run beside workers; killed at any time it has
changed nothing but what is whole, and gc clears the rest.`
}

func (c compactCmd) Run(a *app) error {
	o := keeper.CompactOptions{Dataset: c.Dataset, Below: int64(c.Below), Target: int64(c.Target), DryRun: c.DryRun}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	var r *keeper.Compacted
	err := rewritten(a, c.storeArg, c.Dataset, c.Quiet, func(w rewrite) (int64, error) {
		o.Dir, o.Recipes, o.Progress = w.dir, w.recipes, w.progress
		var err error
		if r, err = keeper.Compact(a.ctx, w.store, o); r == nil {
			return -1, err
		}
		return r.Snapshot, err
	})
	if r == nil {
		return err
	}
	if a.json { // also of one that broke off: what is merged is merged
		return errors.Join(a.printJSON(r), err)
	}
	switch {
	case r.DryRun:
		fmt.Fprintf(a.out, "would merge %d shards of %s (%s, %d samples) into about %d\n", r.Merged, c.Dataset, size(r.Bytes), r.Samples, r.Into)
	case r.Merged == 0 && err == nil:
		fmt.Fprintf(a.out, "nothing to merge: dataset %s has no two shards alike below %s\n", c.Dataset, size(int64(c.Below)))
	case r.Merged > 0:
		fmt.Fprintf(a.out, "merged %d shards of %s (%s, %d samples) into %d; snapshot %d\n", r.Merged, c.Dataset, size(r.Bytes), r.Samples, r.Into, r.Snapshot)
	}
	if r.Unlike > 0 {
		fmt.Fprintf(a.out, "%d small shards stay: their samples can not be in one file\n", r.Unlike)
	}
	return err
}
