package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The campaigns. They run together, against one fleet, but takeover, which is measured
// undisturbed afterwards.
//
//nolint:gochecknoglobals // a constant
var campaigns = []string{"kills", "stalls", "rebalances", "store", "kafka", "credentials", "disk", "offsets", "takeover", "naive"}

// options are what a run does. It attacks until every goal is reached and everything is
// produced, or for as long as faults may last.
type options struct {
	seed      uint64
	messages  int
	campaigns []string

	faults   time.Duration // how long it attacks, at least
	most     time.Duration // and at most, where goals are slow to come
	settle   time.Duration // how long the fleet may take to finish afterwards
	workers  int           // that run from the beginning
	extra    int           // that join and leave besides
	parts    int           // partitions at first
	grown    int           // partitions that are added
	killGap  time.Duration // between kills, on average, of each of two killers
	rate     float64       // of faults of writes to the store
	takeover int           // kills, and as many drains, that are timed
	goals    map[string]int

	binary string // millrace; "": built
	report string
	dir    string // "": a temporary one
	wires  bool   // toxiproxy before Kafka and the store
}

// long is the form of releases: at most 35 minutes on two cores.
func long() options {
	return options{
		messages: 20_000, faults: 24 * time.Minute, most: 34 * time.Minute, settle: 6 * time.Minute,
		workers: 4, extra: 2, parts: 5, grown: 3, killGap: 7 * time.Second, rate: 0.2, takeover: 10, wires: true,
		goals: map[string]int{kills: 300, stalls: 50, rebalances: 100, storeFaults: 5000},
	}
}

// short is the form of an evening: about ten minutes.
func short() options {
	o := long()
	o.messages, o.faults, o.most, o.settle, o.takeover = 4000, 5*time.Minute, 7*time.Minute, 5*time.Minute, 3
	o.grown = 2
	o.goals = map[string]int{kills: 60, stalls: 10, rebalances: 20, storeFaults: 1000}
	return o
}

// tiny is the form of make test: under a minute.
func tiny() options {
	return options{
		seed: 1, messages: 300, campaigns: []string{"kills", "stalls", "rebalances", "store"},
		faults: 20 * time.Second, most: time.Minute, settle: 4 * time.Minute,
		workers: 2, extra: 1, parts: 2, killGap: 6 * time.Second, rate: 0.2,
		goals: map[string]int{kills: 4, stalls: 1, rebalances: 2, storeFaults: 20},
	}
}

// parse reads the command line.
func parse(args []string, out io.Writer) (options, error) {
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.SetOutput(out)
	seed := f.Uint64("seed", 1, "seed of all that is drawn")
	messages := f.Int("messages", 0, "messages to produce (20000, or 4000 with -short)")
	isShort := f.Bool("short", false, "about ten minutes instead of 35")
	names := f.String("campaign", "all", "all, or some of "+strings.Join(campaigns, ","))
	report := f.String("report", "", "file for the JSON report")
	binary := f.String("binary", "", "the millrace program (built from this checkout if not given)")
	dir := f.String("dir", "", "folder for the servers' data and the logs, kept (a temporary one, removed after success)")
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	o := long()
	if *isShort {
		o = short()
	}
	if *messages > 0 {
		o.messages = *messages
	}
	o.seed, o.report, o.binary, o.dir = *seed, *report, *binary, *dir
	o.campaigns = strings.Split(*names, ",")
	if *names == "all" {
		o.campaigns = campaigns
	}
	return o, o.check()
}

func (o *options) check() error {
	for _, c := range o.campaigns {
		if !slices.Contains(campaigns, c) {
			return fmt.Errorf("-campaign: %q is none of all, %s", c, strings.Join(campaigns, ", "))
		}
	}
	if o.messages < 1 {
		return errors.New("-messages: at least one is needed")
	}
	return nil
}

func (o *options) has(campaign string) bool { return slices.Contains(o.campaigns, campaign) }

// attacks reports whether there is more to do than to time takeovers.
func (o *options) attacks() bool {
	return slices.ContainsFunc(o.campaigns, func(c string) bool { return c != "takeover" })
}

// goal is how many of a group there are to be; 0 where its campaign does not run.
func (o *options) goal(group string) int {
	if !o.has(group) {
		return 0
	}
	return o.goals[group]
}
