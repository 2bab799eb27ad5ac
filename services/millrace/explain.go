package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/keeper"
)

type explainCmd struct {
	storeArg
	What    string `arg:"" help:"[CLUSTER/]TOPIC/PARTITION/OFFSET, STREAM/OFFSET, a job's id, or a sample's key."`
	By      string `help:"Take WHAT for an offset, id or key, whatever it looks like." enum:",offset,id,key" default:"" placeholder:"KIND"`
	Samples bool   `help:"Look into the shards for the keys and fields of a job's samples. (A key is looked for anyway.)"`
	All     bool   `help:"Do not stop at the first that an id or a key leads to."`
	Quiet   bool   `short:"q" help:"Show no progress."`
}

func (explainCmd) Help() string {
	return `Examples:  millrace explain s3://bucket/set ingest/3/1042
           millrace explain ./dataset backfill/cats/backfill/17
           millrace explain ./dataset images/cat.jpg --samples
           millrace explain ./dataset 9a1f0c2b7d3e4f5061728394-0-0-000000500000000

Says which record accounts for a message and how it ended, with what to do where it was
refused; which bytes were read; the recipe, the shards and the snapshots. A sample's key leads
to its job, and a sequence's to those of its members. Shards that were merged are followed to
what they became, and what was taken down is told with the reason. An offset costs some tens of
requests. An id or a key is looked for from the ends of all streams backwards, up to the first
(--all: up to the last), so it costs as many records as were committed since; a sequence's key
costs the headers of the shards with sequences too.
Exit code 3 if there is no such stream, id or sample here.`
}

func (c explainCmd) Run(a *app) error {
	s, done, err := c.open(a)
	if err != nil {
		return err
	}
	defer done()
	bar := newSteps(a.errOut, "records")
	tell := func(x keeper.Searched) { bar.at(x.Records, x.Of, fmt.Sprintf("in %d streams", x.Streams)) }
	if c.Quiet {
		tell = nil
	}
	answer, err := keeper.Explain(a.ctx, store.Plain{Store: s}, c.What, keeper.Options{
		By: c.By, Samples: c.Samples, All: c.All, Progress: tell,
		Open: func(ctx context.Context, sh ledger.Shard) (shard.Reader, error) {
			src := sourceOf(s, sh)
			return src.Open(ctx)
		},
	})
	bar.end()
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(answer); err != nil {
			return err
		}
	} else {
		for i := range answer.Fates {
			printFate(a.out, &answer.Fates[i])
		}
	}
	if !answer.Found {
		return faultsError{fmt.Errorf("%s %s: %w", answer.By, c.What, errors.New(answer.Note))}
	}
	return nil
}

func printFate(w io.Writer, f *keeper.Fate) {
	fmt.Fprintf(w, "%s offset %d", f.Stream, f.Offset)
	if f.Part > 0 {
		fmt.Fprintf(w, ", part %d", f.Part)
	}
	fmt.Fprintf(w, ": %s\n", f.Status)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	if f.ID != "" {
		line("job", "%q of dataset %q", f.ID, f.Dataset)
	}
	if f.Code != "" {
		line("code", "%s, in %s: %s", f.Code, f.Stage, f.Detail)
		if f.Attempts > 1 {
			line("attempts", "%d", f.Attempts)
		}
	}
	line("means", "%s", f.Means)
	for _, s := range f.Sources {
		line("source", "%s", sourceText(s))
	}
	if r := f.Record; r != nil {
		line("record", "%s: offsets %d to %d, epoch %d, writer %s, %s", r.Key, r.From, r.To-1, r.Epoch, r.Writer, r.Time.Format(time.RFC3339))
	}
	for _, r := range f.Recipes {
		line("recipe", "%s", r)
	}
	for i := range f.Shards {
		printShard(w, &f.Shards[i])
	}
	switch {
	case f.Snapshots != nil:
		line("snapshots", "%d to %d", f.Snapshots.First, f.Snapshots.Last)
	case f.Record != nil:
		line("snapshots", "none yet: millrace publish makes one")
	}
}

func sourceText(s ledger.Source) string {
	text := s.URI
	if text == "" {
		text = "in the message"
	}
	text += ", " + size(s.Bytes)
	if s.Version != "" {
		text += ", version " + s.Version
	}
	if s.SHA256 != "" {
		text += ", SHA-256 " + s.SHA256
	}
	return text
}

func printShard(w io.Writer, s *keeper.Shard) {
	fmt.Fprintf(w, "  %-9s %s (%s): %d samples, %s", "shard", s.Key, s.Format, s.Samples, size(s.Bytes))
	if s.To > 0 {
		fmt.Fprintf(w, ", of offsets %d to %d", s.From, s.To-1)
	}
	fmt.Fprintln(w)
	if c := s.Gone; c != nil {
		did := map[ledger.EditKind]string{ledger.Compact: "merged", ledger.Takedown: "replaced by a takedown"}[c.Kind]
		fmt.Fprintf(w, "            %s on %s, since snapshot %d: %s\n", did, c.Time.Format(time.DateOnly), c.Snapshot, c.Reason)
		for _, key := range c.Became {
			fmt.Fprintf(w, "            became %s\n", key)
		}
	}
	if s.Fault != "" {
		fmt.Fprintf(w, "            CAN NOT BE READ: %s (verify says more)\n", s.Fault)
	}
	for _, x := range s.Holds {
		where := ""
		if x.Sequence != "" {
			where = fmt.Sprintf(", place %d in sequence %s", x.Place, x.Sequence)
		}
		fields := make([]string, len(x.Fields))
		for i, f := range x.Fields {
			fields[i] = fmt.Sprintf("%s %s", f.Name, size(f.Bytes))
		}
		fmt.Fprintf(w, "            %s%s: %s\n", x.Key, where, strings.Join(fields, ", "))
	}
}
