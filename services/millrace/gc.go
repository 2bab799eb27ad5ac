package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/services/keeper"
)

type gcCmd struct {
	storeArg
	DryRun bool          `help:"Delete nothing; say what would be."`
	MinAge time.Duration `help:"Keep what was written more recently, by the store's clock." default:"24h"`
}

func (gcCmd) Help() string {
	return `Examples:  millrace gc s3://bucket/set --dry-run
           millrace gc s3://bucket/set

Deletes what writers that died have left: shards, their indexes and outcome tables under data/
that no record names and none ever will, since their stream has gone on to a later epoch. No
loader knows of them. It may run beside workers: what a writer of the current epoch has
uploaded is kept, as is all outside data/. After a last writer that died, its left-overs are
kept until another takes the stream (a worker, or the same backfill again).

Uploads in parts that were never completed are no objects, and are not seen here: let a rule
of the bucket abort them after 48 hours (AbortIncompleteMultipartUpload).`
}

func (c gcCmd) Run(a *app) error {
	if c.MinAge < 0 {
		return usageError{errors.New("--min-age is below zero")}
	}
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	swept, err := keeper.Sweep(a.ctx, s, keeper.SweepOptions{DryRun: c.DryRun, MinAge: c.MinAge})
	if err == nil && swept.Streams == 0 {
		return faultsError{fmt.Errorf("%s holds no ledger: nothing was written there, or it is another place", c.URL)}
	}
	if a.json { // also of a sweep that broke off: what is gone is gone
		return errors.Join(a.printJSON(swept), err)
	}
	c.print(a.out, swept)
	return err
}

// print ends with one line that says it all.
func (c gcCmd) print(w io.Writer, swept *keeper.Swept) {
	for _, o := range swept.Orphans {
		fmt.Fprintf(w, "%-9s %10s  %s  %s\n", o.Verdict, size(o.Bytes), o.Modified.UTC().Format(time.RFC3339), o.Key)
	}
	sum := func(v keeper.Verdict) string {
		n, bytes := swept.Sum(v)
		return fmt.Sprintf("%d objects (%s)", n, size(bytes))
	}
	did, v := "deleted", keeper.Deleted
	if swept.DryRun {
		did, v = "would delete", keeper.Deletable
	}
	fmt.Fprintf(w, "%s %s; kept %s written within %v and %s of writers' current epochs\n", did, sum(v), sum(keeper.Young), c.MinAge, sum(keeper.Open))
}
