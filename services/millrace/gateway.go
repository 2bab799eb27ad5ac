package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/services/gateway"
	"github.com/millrace/millrace/services/gateway/identity"
	"github.com/millrace/millrace/services/settings"
)

type gatewayCmd struct {
	Serve   gatewayServeCmd   `cmd:"" default:"withargs" help:"Take jobs and media over HTTP."`
	Token   gatewayTokenCmd   `cmd:"" help:"Make a static token; what is kept of it is a digest."`
	OpenAPI gatewayOpenAPICmd `cmd:"" name:"openapi" help:"Print the description of the API."`
}

type gatewayServeCmd struct {
	storeFlags
	queueFlags
	Listen         string `help:"Address to listen at." placeholder:"HOST:PORT"`
	InsecureNoAuth bool   `name:"insecure-no-auth" help:"Let everybody in who can reach the address, which must be loopback."`
}

func (gatewayServeCmd) Help() string {
	return `Example:  millrace --config gateway.yaml gateway --listen :8443 --brokers kafka:9092 --to s3://bucket/set
          millrace gateway token --tenant acme --scope ingest:write --scope jobs:read --append tokens.yaml

Without a way to know callers (gateway.auth) it does not start. Run as many as there is
load; they share the store and the topic. SIGTERM drains: /readyz says so for
gateway.drain, then requests under way may end within gateway.finish.`
}

func (c gatewayServeCmd) Run(a *app) error {
	cfg, err := a.settings()
	if err != nil {
		return err
	}
	c.storeFlags.apply(&cfg)
	c.queueFlags.apply(&cfg)
	set(&cfg.Gateway.Listen, c.Listen)
	cfg.Gateway.Auth.None = c.InsecureNoAuth
	if err := cfg.Validate(true); err != nil {
		return usageError{err}
	}
	if err := cfg.Gateway.Validate(); err != nil {
		return usageError{err}
	}
	s, done, err := startGateway(a, cfg)
	if err != nil {
		return err
	}
	a.drains.Store(true)
	defer done()
	fmt.Fprintf(a.errOut, "the gateway listens at %s\n", s.Addr())
	select {
	case err := <-s.Failed():
		return err
	case <-a.stop:
	}
	return s.Stop(a.ctx)
}

// startGateway builds a gateway and has it listen. done closes what it was built of.
func startGateway(a *app, cfg settings.Config) (*gateway.Server, func(), error) {
	g, err := cfg.OpenGateway(a.ctx, a.log)
	if err != nil {
		return nil, nil, err
	}
	s, err := g.Serve()
	if err != nil {
		g.Close()
		return nil, nil, err
	}
	return s, g.Close, nil
}

type gatewayTokenCmd struct {
	Tenant  string        `help:"Whose jobs it sends and sees." required:"" placeholder:"NAME"`
	Scopes  []string      `name:"scope" help:"What it may do: ingest:write, jobs:read, dlq:read, dlq:replay, admin. May be repeated." default:"ingest:write,jobs:read" placeholder:"SCOPE"`
	Expires time.Duration `help:"How long it is good for." default:"2160h" placeholder:"DURATION"`
	Append  string        `help:"File of gateway.auth.tokens_file to append it to." placeholder:"FILE"`
}

func (gatewayTokenCmd) Help() string {
	return `Example:  millrace gateway token --tenant acme --append tokens.yaml

The token is printed once and can not be had again. Gateways look at the file every few
seconds: to withdraw a token, take it out.`
}

func (c gatewayTokenCmd) Run(a *app) error {
	scopes, err := identity.ParseScopes(c.Scopes)
	if err != nil {
		return usageError{err}
	}
	secret, t, err := identity.NewToken(c.Tenant, scopes, time.Now().Add(c.Expires))
	if err != nil {
		return usageError{err}
	}
	kept, err := yaml.Marshal([]identity.Token{t})
	if err != nil {
		return err
	}
	if c.Append != "" {
		if err := appendTo(c.Append, kept); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(map[string]any{"token": secret, "kept": t})
	}
	fmt.Fprintln(a.out, secret)
	if c.Append == "" {
		fmt.Fprintf(a.errOut, "Put this into gateway.auth.tokens, or a file of gateway.auth.tokens_file:\n%s", kept)
	}
	return nil
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

type gatewayOpenAPICmd struct{}

func (gatewayOpenAPICmd) Run(a *app) error {
	_, err := a.out.Write(gateway.OpenAPI())
	return err
}

// upGateway starts the gateway of the embedded stack: open, on loopback. A port that is
// taken is no reason for the stack not to start.
func upGateway(a *app, cfg settings.Config, listen string) (url string, done func(), err error) {
	cfg.Gateway.Listen, cfg.Gateway.Auth, cfg.Gateway.TLS = listen, gateway.Auth{None: true}, gateway.TLS{}
	cfg.Gateway.Drain = 0
	s, closed, err := startGateway(a, cfg)
	if err != nil && strings.Contains(err.Error(), "address already in use") {
		a.log.Warn("the gateway's port is taken; it takes any that is free", "address", listen)
		cfg.Gateway.Listen = "127.0.0.1:0"
		s, closed, err = startGateway(a, cfg)
	}
	if err != nil {
		return "", nil, err
	}
	return "http://" + s.Addr(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			a.log.Warn("the gateway", "error", err)
		}
		closed()
	}, nil
}
