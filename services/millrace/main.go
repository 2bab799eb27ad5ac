// Command millrace turns media into training shards: from a Kafka topic, or from
// files, lists, archives and buckets named on the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/willabides/kongplete"

	"github.com/millrace/millrace/pipeline/stream"
	"github.com/millrace/millrace/services/settings"
)

// version is set by the build.
var version = "unknown"

// Exit codes. They are documented in `millrace --help` and never change their meaning.
const (
	exitDone        = 0
	exitFailed      = 1   // it did not work; the error says why
	exitUsage       = 2   // wrong flags, or a configuration that can not work
	exitFaults      = 3   // the check ran, and found faults; or what was asked for is not there
	exitQuarantined = 4   // done, but jobs were quarantined (with --strict)
	exitInterrupted = 130 // stopped by a signal before it was done
)

const description = `Millrace turns media into training shards, every message in exactly one place.

Start here:  millrace up                     the whole stack in one process
             millrace push clip.mp4          media through its ingest topic
             millrace backfill DIR --recipe R.yaml --to s3://bucket/set

Settings come from flags, over the environment (MILLRACE_...), over --config's file.
Exit codes: 0 done; 1 failed; 2 wrong use or settings; 3 a check found faults,
or what was asked for is not there; 4 done with jobs quarantined (--strict); 130 interrupted.`

type cli struct {
	Config string `help:"Configuration file (YAML)." type:"existingfile" env:"MILLRACE_CONFIG" placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Write what a script would read as JSON."`
	Log    string `help:"Least level of log lines: debug, info, warn, error." enum:"debug,info,warn,error" default:"info"`

	Up       upCmd       `cmd:"" help:"Run the whole stack in one process: broker, store, worker, gateway."`
	Push     pushCmd     `cmd:"" help:"Push media to the ingest topic."`
	Backfill backfillCmd `cmd:"" help:"Turn files, folders, lists, archives or buckets into shards."`
	Worker   workerCmd   `cmd:"" help:"Consume the ingest topic, as one of a fleet."`
	Gateway  gatewayCmd  `cmd:"" help:"Take jobs and media over HTTP, and tell what became of them."`
	Inspect  inspectCmd  `cmd:"" help:"Show what is in a dataset, a shard or a sample."`
	Verify   verifyCmd   `cmd:"" help:"Check a dataset's ledger and shards; exit 3 on any fault."`
	Publish  publishCmd  `cmd:"" help:"Write a snapshot and the loaders' indexes."`
	Explain  explainCmd  `cmd:"" help:"Say what became of a message, or where a sample is and came from."`
	Compact  compactCmd  `cmd:"" help:"Merge small shards of a dataset into a new snapshot."`
	Takedown takedownCmd `cmd:"" help:"Make a snapshot without what came from a source, under a licence, or of some ids."`
	GC       gcCmd       `cmd:"" name:"gc" help:"Delete what writers that died have left, and what only old snapshots name."`
	DLQ      dlqCmd      `cmd:"" name:"dlq" help:"List, show and replay refused jobs."`
	Recipe   recipeCmd   `cmd:"" help:"Check, show and describe recipes."`
	Diff     diffCmd     `cmd:"" name:"diff-recipe" help:"The same as recipe diff."`
	Doctor   doctorCmd   `cmd:"" help:"Check broker, store, FFmpeg, disk and limits; say what to do."`
	Version  versionCmd  `cmd:"" help:"Print versions."`
	Mill     millCmd     `cmd:"" hidden:"" help:"The child process that decodes; started by a worker."`
	Racer    racerCmd    `cmd:"" hidden:"" help:"A process that races in the probe of a store; started by others."`

	Completion kongplete.InstallCompletions `cmd:"" help:"Install shell completion."`
}

// app is what every command gets.
type app struct {
	ctx    context.Context // ends at the first signal, or, once drains is set, at the second
	stop   <-chan struct{} // closed at the first: take nothing new, finish, commit
	halt   func()          // closes stop, as the first signal does
	drains atomic.Bool     // set by a command that looks at stop
	alarm  atomic.Pointer[stream.AlarmError]
	out    io.Writer
	errOut io.Writer
	json   bool
	log    *slog.Logger
	config string
}

// raise ends a command that drains, since too many jobs are refused.
func (a *app) raise(e *stream.AlarmError) {
	a.alarm.Store(e)
	a.log.Error("draining: too many jobs are refused", "error", e)
	a.halt()
}

// alarmed is the alarm's error, if there was one.
func (a *app) alarmed() error {
	if e := a.alarm.Load(); e != nil {
		return e
	}
	return nil
}

// settings loads the configuration; flags are applied by the command after it.
func (a *app) settings() (settings.Config, error) {
	c, err := settings.Load(a.config, os.Environ())
	if err != nil {
		return c, usageError{err}
	}
	c.Version, c.Racers = version, a.racers
	return c, nil
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, out, errOut io.Writer) int {
	var c cli
	code := -1
	parser := kong.Must(&c, kong.Name("millrace"), kong.Description(description), kong.Writers(out, errOut),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(n int) { code = n }))
	kongplete.Complete(parser)
	k, err := parser.Parse(args)
	if code >= 0 { // --help, or a completion script
		return code
	}
	if err != nil {
		fmt.Fprintf(errOut, "millrace: %v\nSee millrace --help.\n", err)
		return exitUsage
	}
	a, done := newApp(&c, out, errOut)
	defer done()
	return exitOf(a, k.Run(a))
}

func newApp(c *cli, out, errOut io.Writer) (*app, func()) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log)) // kong has checked it
	ctx, cancel := context.WithCancel(context.Background())
	stop, quit := make(chan struct{}), make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	halt := sync.OnceFunc(func() { close(stop) })
	a := &app{ctx: ctx, stop: stop, halt: halt, out: out, errOut: errOut, json: c.JSON, config: c.Config,
		log: slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))}
	go func() {
		select {
		case <-signals:
			halt()
			if !a.drains.Load() {
				cancel()
			}
		case <-quit:
			return
		}
		select {
		case <-signals:
			cancel()
		case <-quit:
		}
	}()
	return a, func() { signal.Stop(signals); close(quit); cancel() }
}

// Errors that choose an exit code.
type (
	usageError  struct{ error }
	faultsError struct{ error }
	strictError struct{ error }
)

func (e usageError) Unwrap() error  { return e.error }
func (e faultsError) Unwrap() error { return e.error }
func (e strictError) Unwrap() error { return e.error }

var errInterrupted = errors.New("interrupted; run the same command again to go on where it was")

func exitOf(a *app, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(a.errOut, "millrace: %v\n", err)
	var (
		usage  usageError
		faults faultsError
		strict strictError
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &faults):
		return exitFaults
	case errors.As(err, &strict):
		return exitQuarantined
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled) && a.ctx.Err() != nil:
		return exitInterrupted
	}
	return exitFailed
}
