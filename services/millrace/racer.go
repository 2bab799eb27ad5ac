package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/settings"
)

// racerCmd is a process that races in the probe of a store, as the one that started it
// says by a pipe.
type racerCmd struct{ storeFlags }

func (c racerCmd) Run(a *app) error {
	cfg, err := a.settings()
	if err != nil {
		return err
	}
	c.apply(&cfg)
	s, done, err := cfg.OpenStore(a.ctx)
	if err != nil {
		return err
	}
	defer done()
	return store.ServeCrew(a.ctx, s, os.Stdin, os.Stdout)
}

// racers starts a racerCmd with the same settings: of flags, those that say where things
// are; all else it finds where this process did. It ends when its pipe does.
func (a *app) racers(ctx context.Context, c settings.Config) (store.Crew, func(), error) {
	args := []string{"racer"}
	for flag, value := range map[string]string{"--to": c.Store.URL, "--endpoint": c.Store.Endpoint, "--region": c.Store.Region, "--config": a.config} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...) //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), settings.EnvPrefix+"QUEUE_BROKERS="+strings.Join(c.Queue.Brokers, ","), settings.EnvPrefix+"STORE_CLAIM_LOG_TOPIC="+c.Store.ClaimLog.Topic)
	cmd.Stderr = a.errOut
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	end := func() {
		_ = in.Close() // it ends by itself then
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
	return store.RemoteCrew(in, out), end, nil
}
