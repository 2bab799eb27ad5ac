package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/keeper"
)

type gcCmd struct {
	storeArg
	DryRun bool          `help:"Delete nothing; say what would be."`
	MinAge time.Duration `help:"Keep what was written more recently, by the store's clock." default:"24h"`
	Older  string        `name:"snapshots-older-than" help:"Forget snapshots of that age, like 30d or 12h, with what they alone name. The latest always stays." placeholder:"AGE"`
	Keep   []int64       `help:"Snapshots that are never forgotten." placeholder:"N"`
}

func (gcCmd) Help() string {
	return `Examples:  millrace gc s3://bucket/set --dry-run
           millrace gc s3://bucket/set
           millrace gc s3://bucket/set --snapshots-older-than 30d --keep 12

Deletes what nobody will ever name: shards, their indexes and outcome tables of writers that
died, once their stream has gone on to a later epoch; what compactions and takedowns that died
have uploaded; marks of attempts at messages that are committed since; and, on S3, uploads of
shards in parts that were begun more than 48 hours ago.

With --snapshots-older-than it also forgets snapshots: shards that compact or takedown have
replaced are deleted once no snapshot that is kept names them, and so are the forgotten
snapshots' indexes. What takedown --erase has left out is deleted by every gc, whatever the age
of the snapshots before it. Records, snapshots and edits themselves are never deleted.

It may run beside workers, compactions and other gcs. After a last writer that died, its
left-overs are kept until another takes the stream (a worker, or the same backfill again).`
}

// collected is all that a gc did.
type collected struct {
	*keeper.Swept
	Edited    []keeper.Orphan   `json:"edited"`
	Marks     []keeper.Orphan   `json:"marks"`
	Uploads   []keeper.Upload   `json:"uploads"`
	Forgotten *keeper.Forgotten `json:"forgotten"`
}

func (c gcCmd) Run(a *app) error {
	older, err := parseAge(c.Older)
	switch {
	case err != nil:
		return usageError{fmt.Errorf("--snapshots-older-than: %w", err)}
	case c.MinAge < 0:
		return usageError{errors.New("--min-age is below zero")}
	}
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	all, err := c.collect(a, s, older)
	if err == nil && all.Streams == 0 {
		return faultsError{fmt.Errorf("%s holds no ledger: nothing was written there, or it is another place", c.URL)}
	}
	if a.json { // also of a gc that broke off: what is gone is gone
		return errors.Join(a.printJSON(all), err)
	}
	c.print(a.out, all)
	return err
}

// collect does each part, also if one before it has failed.
func (c gcCmd) collect(a *app, s store.Store, older time.Duration) (*collected, error) {
	o := keeper.SweepOptions{DryRun: c.DryRun, MinAge: c.MinAge}
	all := new(collected)
	errs := make([]error, 5)
	all.Forgotten, errs[0] = keeper.Forget(a.ctx, s, keeper.ForgetOptions{OlderThan: older, All: c.Older != "" && older == 0, Keep: c.Keep, DryRun: c.DryRun})
	all.Swept, errs[1] = keeper.Sweep(a.ctx, s, o)
	all.Edited, errs[2] = keeper.SweepEdited(a.ctx, s, o)
	all.Marks, errs[3] = keeper.SweepMarks(a.ctx, s, o)
	all.Uploads, errs[4] = keeper.SweepUploads(a.ctx, s, o)
	return all, errors.Join(errs...)
}

// print ends with one line that says it all.
func (c gcCmd) print(w io.Writer, all *collected) {
	did, v := "deleted", keeper.Deleted
	if all.DryRun {
		did, v = "would delete", keeper.Deletable
	}
	if f := all.Forgotten; len(f.Snapshots) > 0 {
		for _, key := range f.Shards {
			fmt.Fprintf(w, "%-9s %10s  %-20s  %s\n", v, "", "of old snapshots", key)
		}
		fmt.Fprintf(w, "forgot %d snapshots, kept %d: %s %d shards that only they named, and %d objects of their indexes\n", len(f.Snapshots), f.Kept, did, len(f.Shards), f.Indexes)
	}
	for _, o := range append(append(all.Orphans[:len(all.Orphans):len(all.Orphans)], all.Edited...), all.Marks...) {
		fmt.Fprintf(w, "%-9s %10s  %s  %s\n", o.Verdict, size(o.Bytes), o.Modified.UTC().Format(time.RFC3339), o.Key)
	}
	aborted := 0
	for _, u := range all.Uploads {
		fmt.Fprintf(w, "%-9s %10s  %s  %s (upload %s)\n", u.Verdict, "in parts", u.Begun.UTC().Format(time.RFC3339), u.Key, u.ID)
		if u.Verdict == v {
			aborted++
		}
	}
	sum := func(v keeper.Verdict) string {
		n, bytes := sumOf(v, all.Orphans, all.Edited)
		return fmt.Sprintf("%d objects (%s)", n, size(bytes))
	}
	marks, _ := sumOf(v, all.Marks)
	fmt.Fprintf(w, "%s %s, %d marks of attempts and %d uploads in parts; kept %s written within %v and %s that may still be named\n",
		did, sum(v), marks, aborted, sum(keeper.Young), c.MinAge, sum(keeper.Open))
}

func sumOf(v keeper.Verdict, lists ...[]keeper.Orphan) (objects int, bytes int64) {
	for _, l := range lists {
		n, b := (&keeper.Swept{Orphans: l}).Sum(v)
		objects, bytes = objects+n, bytes+b
	}
	return objects, bytes
}

// parseAge reads a duration that may be in days.
func parseAge(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	const day = 24 * time.Hour
	var age time.Duration
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n < 1e5) {
			return 0, fmt.Errorf("%q is no age; want one like 30d or 12h", text)
		}
		return time.Duration(n * float64(day)), nil
	}
	age, err := time.ParseDuration(text)
	if err != nil || age < 0 {
		return 0, fmt.Errorf("%q is no age; want one like 30d or 12h", text)
	}
	return age, nil
}
