package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/recipe"
	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/backfill"
	"github.com/millrace/millrace/services/settings"
)

type backfillCmd struct {
	storeFlags
	queueFlags
	Recipe      string   `help:"Recipe file; it names the dataset." type:"existingfile" placeholder:"FILE"`
	Dataset     string   `help:"Dataset with the default recipe, where there is no recipe file." placeholder:"NAME"`
	Run_        string   `name:"run" help:"Name of this run. Runs with one name go on where the last one stopped." default:"backfill" placeholder:"NAME"`
	Via         string   `help:"Publish the jobs to the ingest topic for the fleet (kafka), instead of working here." enum:",kafka" default:"" placeholder:"kafka"`
	DryRun      bool     `help:"Say what there is to do, and do nothing."`
	Retry       bool     `help:"Work on jobs again that were quarantined by an earlier run."`
	Strict      bool     `help:"Exit 4 if any job was quarantined."`
	Quiet       bool     `short:"q" help:"No progress."`
	Limit       int64    `help:"List at most so many jobs."`
	URLColumn   string   `help:"Column of a list that holds the URL or path." placeholder:"NAME"`
	TextColumn  string   `help:"Column of a list that holds the caption." placeholder:"NAME"`
	MetaColumns []string `help:"Columns of a list that become meta; all others unless said." placeholder:"NAME"`
	Root        string   `help:"Let local files be read only below this folder." type:"existingdir" placeholder:"DIR"`
	Mills       int      `help:"Child processes; one a core unless said." placeholder:"N"`
	Isolation   string   `help:"process, or none: decode in this process, for debugging." enum:",process,none" default:"" placeholder:"MODE"`
	Src         []string `arg:"" help:"Files, folders, globs, s3://bucket/prefix, http(s):// URLs, lists (txt, csv, tsv, jsonl, parquet), archives (tar, zip)."`
}

func (backfillCmd) Help() string {
	return `Examples:  millrace backfill videos/ --recipe cats.yaml --to ./dataset
           millrace backfill s3://raw/2024/ --recipe cats.yaml --to s3://bucket/set
           millrace backfill urls.parquet --url-column link --text-column caption \
               --recipe cats.yaml --to s3://bucket/set

Stopped by Ctrl-C (finishes what is under way), a second Ctrl-C, or kill -9, the same
command goes on where it was and repeats nothing. New or changed files are picked up.`
}

func (c backfillCmd) Run(a *app) error {
	cfg, r, err := c.configure(a)
	if err != nil {
		return err
	}
	switch {
	case c.DryRun:
		return c.dryRun(a, cfg, r)
	case c.Via == "kafka":
		return c.publish(a, cfg, r)
	}
	return c.work(a, cfg, r)
}

func (c backfillCmd) configure(a *app) (settings.Config, *pipeline.Recipe, error) {
	cfg, err := a.settings()
	if err != nil {
		return cfg, nil, err
	}
	c.storeFlags.apply(&cfg)
	c.queueFlags.apply(&cfg)
	set(&cfg.Mill.Isolation, c.Isolation)
	if c.Mills > 0 {
		cfg.Mill.Count = c.Mills
	}
	cfg.Source.AllowFiles, cfg.Source.AllowPrivate = true, true // the person who names the sources is the one who runs this
	set(&cfg.Source.Root, c.Root)
	var r *pipeline.Recipe
	switch {
	case c.Recipe != "":
		if c.Dataset != "" {
			return cfg, nil, usageError{errors.New("--dataset is for runs without --recipe: a recipe names its dataset")}
		}
		r, err = recipe.Load(c.Recipe)
	case c.Dataset != "":
		r, err = recipe.Default(c.Dataset)
	default:
		err = errors.New("say what to make: --recipe FILE, or --dataset NAME for the default recipe")
	}
	if err == nil {
		err = cfg.CheckLimits(r)
	}
	if err != nil {
		return cfg, nil, usageError{err}
	}
	if !c.DryRun && c.Via == "" {
		if err := cfg.Validate(false); err != nil {
			return cfg, nil, usageError{err}
		}
	}
	return cfg, r, nil
}

func (c backfillCmd) options(cfg settings.Config, r *pipeline.Recipe) backfill.Options {
	o := backfill.DefaultOptions(r.Dataset)
	o.URLColumn, o.TextColumn, o.MetaColumns, o.Limit = c.URLColumn, c.TextColumn, c.MetaColumns, c.Limit
	o.Source, o.Archive = cfg.Source, cfg.Backfill.Archive
	return o
}

func (c backfillCmd) dryRun(a *app, cfg settings.Config, r *pipeline.Recipe) error {
	l, err := backfill.Open(a.ctx, c.Src, c.options(cfg, r))
	if err != nil {
		return err
	}
	defer l.Close()
	sum, err := l.Summarise(a.ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(sum)
	}
	fmt.Fprintf(a.out, "%d jobs for dataset %s (recipe %.12s): %s known, %d of unknown size; %d lists, %d archives\n",
		sum.Jobs, r.Dataset, r.Digest, size(sum.Bytes), sum.Unsized, sum.Lists, sum.Archives)
	for _, line := range counted(sum.ByType, "type unknown from its name") {
		fmt.Fprintln(a.out, "  "+line)
	}
	if sum.Faults > 0 {
		fmt.Fprintf(a.out, "%d bad rows or members would be quarantined: %s\n", sum.Faults, codeCounts(sum.ByCode))
	}
	return nil
}

// work runs the line here, as a stream named after the run.
func (c backfillCmd) work(a *app, cfg settings.Config, r *pipeline.Recipe) error {
	b, err := cfg.OpenBackfill(a.ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	chain, known, err := stream.Take(a.ctx, b.Store, ledger.NamedStream("backfill/"+r.Dataset+"/"+c.Run_), stream.Options{
		Ledger: ledger.Options{Report: func(what string, err error) { a.log.Warn(what, "error", err) }},
	})
	if err != nil {
		return err
	}
	o := c.options(cfg, r)
	o.Source.Dir = b.Scratch
	done := int64(0)
	o.Skip = func(id string) bool {
		_, status, found := known.Find(&pipeline.Job{Dataset: r.Dataset, ID: id})
		skip := found && (status == ledger.OK || !c.Retry)
		if skip {
			atomic.AddInt64(&done, 1)
		}
		return skip
	}
	l, err := backfill.Open(a.ctx, c.Src, o)
	if err != nil {
		return err
	}
	defer l.Close()
	f := &listed{listing: l, next: chain.Next(), stop: a.stop}
	tally := &stream.Tally{}
	p := &progress{}
	start := time.Now()
	if !c.Quiet {
		p = startProgress(a.errOut, tally, func() (int64, bool) { return f.jobs.Load() - atomic.LoadInt64(&done), f.final.Load() })
	}
	a.drains.Store(true)
	window := b.Window
	window.Steady = r.Packs()
	err = stream.New(window, stream.Parts{
		Recipes: func(string) *pipeline.Recipe { return r }, Fetch: b.Fetch, Mills: b.Mills,
		Chain: chain, Store: b.Store, Known: known, Tools: cfg.Tools(), Ahead: b.Ahead, Keep: b.Keep,
		Observe: stream.NewAlarm(tally, cfg.Alarm, a.raise),
	}).Run(a.ctx, f)
	if !c.Quiet {
		p.end()
	}
	if err != nil {
		if a.ctx.Err() != nil {
			return errInterrupted
		}
		return err
	}
	return cmp.Or(a.alarmed(), c.report(a, tally.Counts(), atomic.LoadInt64(&done), time.Since(start), f.stopped))
}

func (c backfillCmd) report(a *app, n stream.Counts, before int64, took time.Duration, stopped bool) error {
	if a.json {
		if err := a.printJSON(struct {
			stream.Counts
			Before  int64   `json:"done_before"`
			Seconds float64 `json:"seconds"`
			Stopped bool    `json:"stopped"`
		}{n, before, took.Seconds(), stopped}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%d jobs in %v (%d were done before): %d ok, %d dup-of, %d quarantined%s\n%d frames, %d samples in %d shards, %s; %v of media, %s read\n",
			n.Jobs, took.Round(10*time.Millisecond), before, n.OK, n.Duplicates, n.Quarantined, inBrackets(codeCounts(n.Codes)),
			n.Frames, n.Samples, n.Shards, size(n.ShardBytes), time.Duration(n.MediaSeconds*1e9).Round(time.Second), size(n.SourceBytes))
	}
	if f := n.Packing; f.Packs > 0 && !a.json {
		fmt.Fprintf(a.out, "packed %d samples into %d sequences, %.1f %% full\n", f.Samples, f.Packs, 100*f.Rate())
	}
	switch {
	case stopped:
		return errInterrupted
	case c.Strict && n.Quarantined > 0:
		return strictError{fmt.Errorf("%d jobs were quarantined", n.Quarantined)}
	}
	return nil
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// listed is a listing as a feed: its jobs get the offsets that follow what is committed.
type listed struct {
	listing *backfill.Listing
	next    int64
	stop    <-chan struct{}
	stopped bool
	jobs    atomic.Int64 // known so far
	final   atomic.Bool
}

// Next gives the next job, or io.EOF at the end of the listing and after a stop.
func (f *listed) Next(ctx context.Context) (*pipeline.Delivery, error) {
	select {
	case <-f.stop:
		f.stopped = true
		return nil, io.EOF
	default:
	}
	part, err := f.listing.Next(ctx)
	e := f.listing.Estimate()
	f.jobs.Store(e.Jobs)
	f.final.Store(e.Final || err == io.EOF)
	if err != nil {
		return nil, err
	}
	d := &pipeline.Delivery{Offset: f.next, Parts: []pipeline.Part{part}}
	f.next++
	return d, nil
}

// publish sends the listing's jobs to the ingest topic.
func (c backfillCmd) publish(a *app, cfg settings.Config, r *pipeline.Recipe) error {
	client, err := queue.Open(cfg.Queue)
	if err != nil {
		return usageError{err}
	}
	defer client.Close()
	l, err := backfill.Open(a.ctx, c.Src, c.options(cfg, r))
	if err != nil {
		return err
	}
	defer l.Close()
	p := client.Producer(4)
	sent, refused := 0, 0
	for {
		part, err := l.Next(a.ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		m, err := encodePart(&part)
		if err != nil {
			refused++
			fmt.Fprintf(a.errOut, "not published: %s: %v\n", part.Job.ID, err)
			continue
		}
		if err := p.Publish(a.ctx, toQueue(m)); err != nil {
			return fmt.Errorf("after %d jobs: %w", sent, err)
		}
		sent++
	}
	fmt.Fprintf(a.out, "published %d jobs to %s; %d could not be\n", sent, cfg.Queue.Topic, refused)
	if refused > 0 {
		return fmt.Errorf("%d jobs were not published; each is named above", refused)
	}
	return nil
}

// encodePart makes a message of a job; members of archives travel by their bytes.
func encodePart(p *pipeline.Part) (message.Record, error) {
	defer func() {
		for _, f := range p.Files {
			if f != nil {
				f.Close()
			}
		}
	}()
	if p.Fault != nil {
		return message.Record{}, p.Fault
	}
	for i, f := range p.Files {
		if f == nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, message.MaxValue+1), message.MaxValue+1))
		if err != nil {
			return message.Record{}, err
		}
		m := &p.Job.Media[i]
		m.Data, m.URI, m.Version = b, "", ""
	}
	return message.Encode(p.Job)
}
