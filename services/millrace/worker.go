package main

import (
	"errors"

	"github.com/millrace/millrace/services/settings"
	"github.com/millrace/millrace/services/worker"
)

type workerCmd struct {
	storeFlags
	queueFlags
	Recipes []string `name:"recipe" help:"Recipe file, or folder of recipes. May be repeated." placeholder:"PATH" sep:"none"`
	Metrics string   `help:"Serve /metrics, /healthz and /readyz at this address." placeholder:"HOST:PORT"`
}

func (workerCmd) Help() string {
	return `Example:  millrace worker --brokers kafka:9092 --to s3://bucket/set --recipe recipes/

Run as many as there are partitions; they share the work. SIGTERM drains: nothing
new is taken, what is under way is committed within 20 s. A second signal stops at once.`
}

func (c workerCmd) Run(a *app) error {
	cfg, err := a.settings()
	if err != nil {
		return err
	}
	c.storeFlags.apply(&cfg)
	c.queueFlags.apply(&cfg)
	if len(c.Recipes) > 0 {
		cfg.Recipes = c.Recipes
	}
	if c.Metrics != "" {
		cfg.Metrics.Listen = c.Metrics
	}
	if err := cfg.Validate(true); err != nil {
		return usageError{err}
	}
	return runWorker(a, cfg)
}

// runWorker builds a worker and runs it until the first signal has drained it.
func runWorker(a *app, cfg settings.Config) error {
	built, err := cfg.OpenWorker(a.ctx, a.log, a.raise)
	if err != nil {
		return err
	}
	a.drains.Store(true)
	err = built.Run(a.ctx, a.stop)
	if errors.Is(err, worker.ErrStalled) {
		return err // what hangs may hold up the closing, too; the process's end is what frees it
	}
	built.Close()
	if err != nil {
		return err
	}
	if a.ctx.Err() != nil {
		return errInterrupted
	}
	return a.alarmed()
}
