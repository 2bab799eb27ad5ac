package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/millrace/millrace/services/keeper"
)

type takedownCmd struct {
	Do   takedownDoCmd   `cmd:"" name:"do" default:"withargs" help:"Make a snapshot without what came from a source, under a licence, or of some ids."`
	List takedownListCmd `cmd:"" help:"List what was taken down: when, by whom, why and how much."`
}

type takedownDoCmd struct {
	storeArg
	Dataset string   `help:"Dataset to take from." required:"" placeholder:"NAME"`
	Source  []string `help:"URI of a medium; with / or * at its end, of all that begin so." placeholder:"URI" sep:"none"`
	Licence []string `help:"Licence as the jobs' provenance has it. Every shard of the dataset is read." placeholder:"NAME" sep:"none"`
	IDs     string   `name:"ids" help:"File of jobs' ids, one a line; - is standard input." placeholder:"FILE"`
	Reason  string   `help:"Why; it is kept for ever." required:"" placeholder:"TEXT"`
	By      string   `help:"Who does it; it is kept. The user's name and the host's, if empty." placeholder:"WHO"`
	Erase   bool     `help:"Have the next gc delete the old shards, whatever the age of the snapshots that name them."`
	Quiet   bool     `short:"q" help:"Show no progress."`
}

func (takedownDoCmd) Help() string {
	return `Examples:  millrace takedown s3://bucket/set --dataset cats --source https://example.org/ --reason "ticket 17" --erase
           millrace takedown s3://bucket/set --dataset cats --ids ids.txt --reason "asked for"
           millrace takedown list s3://bucket/set

Makes a new snapshot, with its indexes, without the samples of those jobs, of all that is
committed so far. Later snapshots stay without them; the same media sent again are new samples,
and need a takedown of their own. Sequences are packed again without their members. Records keep
the ids and sources of what there was, and a record of the takedown is kept: no content, no ids.
The old shards stay for the readers of earlier snapshots until millrace gc forgets those:
with --snapshots-older-than, or at once with --erase.`
}

func (c takedownDoCmd) Run(a *app) error {
	ids, err := c.ids()
	if err != nil {
		return err
	}
	o := keeper.TakedownOptions{Dataset: c.Dataset, Selection: keeper.Selection{Sources: c.Source, Licences: c.Licence, IDs: ids},
		Reason: c.Reason, By: c.By, Erase: c.Erase}
	if o.By == "" {
		o.By = whoami()
	}
	if err := o.Validate(); err != nil {
		return usageError{err}
	}
	var d *keeper.Deed
	err = rewritten(a, c.storeArg, c.Dataset, c.Quiet, func(w rewrite) (int64, error) {
		o.Dir, o.Recipes, o.Progress = w.dir, w.recipes, w.progress
		var err error
		if d, err = keeper.Takedown(a.ctx, w.store, o); d == nil {
			return -1, err
		}
		return d.Snapshot, err
	})
	if d == nil { // it did not begin
		return err
	}
	if a.json {
		return errors.Join(a.printJSON(d), err)
	}
	printDeed(a.out, d)
	if err != nil {
		return fmt.Errorf("%w; run it again to go on where it was", err)
	}
	return nil
}

// mostIDs bounds a list of ids in memory.
const mostIDs = 10_000_000

func (c takedownDoCmd) ids() ([]string, error) {
	if c.IDs == "" {
		return nil, nil
	}
	r := io.Reader(os.Stdin)
	if c.IDs != "-" {
		f, err := os.Open(c.IDs)
		if err != nil {
			return nil, usageError{err}
		}
		defer f.Close()
		r = f
	}
	var ids []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if id := strings.TrimSpace(lines.Text()); id != "" {
			ids = append(ids, id)
		}
		if len(ids) > mostIDs {
			return nil, usageError{fmt.Errorf("%s has more than %d ids: split it", c.IDs, mostIDs)}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", c.IDs, err)}
	}
	if len(ids) == 0 {
		return nil, usageError{fmt.Errorf("%s has no ids", c.IDs)}
	}
	return ids, nil
}

// whoami is the user and the host, as far as they are known.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

func printDeed(w io.Writer, d *keeper.Deed) {
	fmt.Fprintf(w, "takedown %s of dataset %s, %s by %s: %s\n", d.ID, d.Dataset, d.Begun.Format(time.RFC3339), d.By, d.Reason)
	var what []string
	if len(d.Sources) > 0 {
		what = append(what, "sources "+strings.Join(d.Sources, ", "))
	}
	if len(d.Licences) > 0 {
		what = append(what, "licences "+strings.Join(d.Licences, ", "))
	}
	if d.IDs > 0 {
		what = append(what, fmt.Sprintf("%d ids (SHA-256 %.12s)", d.IDs, d.IDsSHA256))
	}
	fmt.Fprintf(w, "  selected  %s\n", strings.Join(what, "; "))
	switch {
	case d.Done.IsZero():
		fmt.Fprintln(w, "  NOT DONE: it was broken off; run it again")
		return
	case d.Snapshot < 0:
		fmt.Fprintf(w, "  nothing of it was in snapshot %d\n", d.Base)
		return
	}
	fmt.Fprintf(w, "  gone      %d samples of %d jobs, from snapshot %d on; %d shards were left out, %d written in their place\n", d.Samples, d.Jobs, d.Snapshot, d.Shards, d.Written)
	if d.Lost > 0 {
		fmt.Fprintf(w, "  with them %d samples of other jobs, in sequences that could not be packed again without their recipe\n", d.Lost)
	}
	if d.Erase {
		fmt.Fprintln(w, "  erase     the next gc deletes the old shards, and forgets the snapshots before")
	}
}

type takedownListCmd struct {
	storeArg
	Dataset string `help:"Only of this dataset." placeholder:"NAME"`
}

func (c takedownListCmd) Run(a *app) error {
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	deeds, err := keeper.Deeds(a.ctx, s, c.Dataset)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(deeds)
	}
	for _, d := range deeds {
		printDeed(a.out, d)
	}
	fmt.Fprintf(a.out, "%d takedowns\n", len(deeds))
	return nil
}
