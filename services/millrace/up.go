package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millrace/millrace/services/broker"
	"github.com/millrace/millrace/services/settings"
)

type upCmd struct {
	State      string   `help:"Folder for all state: broker, store, scratch. Survives restarts." default:".millrace" env:"MILLRACE_STATE"`
	Recipes    []string `name:"recipe" help:"Recipe file, or folder of recipes. May be repeated. Datasets without one get the default recipe." placeholder:"PATH" sep:"none"`
	Listen     string   `help:"Address of the embedded broker." default:"127.0.0.1:9092"`
	Partitions int      `help:"Partitions of the ingest topic, at its first start." default:"1"`
	Gateway    string   `help:"Address of the HTTP gateway, on loopback; \"off\" for none." default:"127.0.0.1:8080"`
	Metrics    string   `help:"Serve /metrics and /healthz at this address." placeholder:"HOST:PORT"`
}

func (upCmd) Help() string {
	return `Example:  millrace up            then, in another terminal:
          millrace push clip.mp4
          millrace inspect .millrace/store --sheet sheet.png

Everything is on this machine and for one person: the broker is embedded and open, and
messages may name local files. For a fleet see 'millrace worker'.`
}

// maxMessage lets a job with 8 MiB of media pass, headers and base64 included.
const maxMessage = 12 << 20

// upState is what a running stack tells other commands of the same person.
type upState struct {
	Broker string `json:"broker"`
	Topic  string `json:"topic"`
	Store  string `json:"store"`
	// Gateway is its URL; empty where there is none.
	Gateway string `json:"gateway,omitempty"`
	PID     int    `json:"pid"`
}

func upFile(state string) string { return filepath.Join(state, "up.json") }

func readUp(state string) (upState, error) {
	var u upState
	b, err := os.ReadFile(upFile(state))
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal(b, &u)
}

// startsWithin is how long a stack that was just started may take until it is found.
const startsWithin = 15 * time.Second

// awaitUp finds the stack that runs on a state folder, or is about to. A stack that was
// killed leaves its file behind: what counts is that its broker answers.
func awaitUp(a *app, state string) (upState, error) {
	for end := time.Now().Add(startsWithin); ; {
		u, err := readUp(state)
		switch {
		case err == nil && answers(u.Broker):
			return u, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return u, err
		}
		if time.Now().After(end) {
			return u, usageError{fmt.Errorf("no broker: start 'millrace up' (looked in %s for %v), or give --brokers", state, startsWithin)}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-a.stop:
			return u, errInterrupted
		}
	}
}

func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func (c upCmd) Run(a *app) error {
	cfg, err := a.settings()
	if err != nil {
		return err
	}
	state, err := filepath.Abs(c.State)
	if err != nil {
		return err
	}
	c.configure(&cfg, state)
	unlock, err := lock(state)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := broker.Start(a.ctx, broker.Config{
		Dir: filepath.Join(state, "broker"), Listen: c.Listen,
		Log:    a.log,
		Topics: []broker.Topic{{Name: cfg.Queue.Topic, Partitions: c.Partitions, Settings: map[string]string{"max.message.bytes": strconv.Itoa(maxMessage)}}},
	})
	if err != nil {
		return err
	}
	defer b.Close()
	cfg.Queue.Brokers = []string{b.Addr()}
	if err := cfg.Validate(true); err != nil {
		return usageError{err}
	}
	u := upState{Broker: b.Addr(), Topic: cfg.Queue.Topic, Store: cfg.Store.URL, PID: os.Getpid()}
	if c.Gateway != "off" {
		url, done, err := upGateway(a, cfg, c.Gateway)
		if err != nil {
			return err
		}
		defer done()
		u.Gateway = url
	}
	if err := writeUp(state, u); err != nil {
		return err
	}
	defer os.Remove(upFile(state))
	fmt.Fprintf(a.errOut, "millrace is up: broker %s, topic %s, store %s\nPush something:  millrace push --state %s FILE\n", b.Addr(), cfg.Queue.Topic, cfg.Store.URL, c.State)
	if u.Gateway != "" {
		fmt.Fprintf(a.errOut, "By HTTP:         curl -H 'Content-Type: video/mp4' --data-binary @FILE %s/v1/ingest\n", u.Gateway)
	}
	return runWorker(a, cfg)
}

// configure puts everything under one folder. What the configuration file says goes
// first where it makes sense for one machine.
func (c upCmd) configure(cfg *settings.Config, state string) {
	if cfg.Store.URL == "" {
		cfg.Store.URL = filepath.Join(state, "store")
	}
	if cfg.Scratch == "" {
		cfg.Scratch = filepath.Join(state, "scratch")
	}
	if len(c.Recipes) > 0 {
		cfg.Recipes = c.Recipes
	}
	cfg.Ingest.AnyDataset = true
	if cfg.Ingest.Dataset == "" {
		cfg.Ingest.Dataset = "default"
	}
	cfg.Source.AllowFiles = true
	if cfg.Window.Idle == 0 {
		cfg.Window.Idle = time.Second // a person is waiting
	}
	set(&cfg.Metrics.Listen, c.Metrics)
}

func writeUp(state string, u upState) error {
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	tmp := upFile(state) + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("the state folder: %w", err)
	}
	return os.Rename(tmp, upFile(state))
}

// lock keeps two stacks out of one state folder.
func lock(state string) (unlock func(), err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("the state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the state folder: %w", err)
	}
	if err := flock(f); err != nil {
		f.Close()
		return nil, errors.Join(fmt.Errorf("another millrace is up on %s: stop it, or choose another --state", state), err)
	}
	return func() { f.Close() }, nil
}
