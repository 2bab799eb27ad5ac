package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wire is a network connection that can be made to suffer.
type wire struct {
	name  string
	proxy *toxiproxy.Proxy
}

// newWire leads listen ("127.0.0.1:0" for any port) to upstream.
func newWire(name, listen, upstream string) (*wire, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, name, listen, upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("the wire %s at %s: %w", name, listen, err)
	}
	return &wire{name, p}, nil
}

func (w *wire) addr() string { return w.proxy.Listen }

func (w *wire) close() { w.proxy.Stop() }

// toxic is a fault of a wire.
type toxic struct{ kind, attributes string }

// toxics are drawn from. A timeout of 0 is a connection that is half open: nothing
// passes, nobody is told.
//
//nolint:gochecknoglobals // a constant
var toxics = []toxic{
	{"latency", `{"latency": 300, "jitter": 300}`},
	{"bandwidth", `{"rate": 8}`},
	{"slicer", `{"average_size": 64, "size_variation": 32, "delay": 2000}`},
	{"reset_peer", `{"timeout": 100}`},
	{"timeout", `{"timeout": 700}`},
	{"half-open", `{"timeout": 0}`},
	{"limit_data", `{"bytes": 2000}`},
	{"slow_close", `{"delay": 1000}`},
	{"down", ""},
}

// suffer puts a random toxic on the wire for a while.
func (w *wire) suffer(ctx context.Context, rng *rand.Rand, c *counts) error {
	t := toxics[rng.IntN(len(toxics))]
	pause := 300*time.Millisecond + time.Duration(rng.Int64N(int64(4*time.Second)))
	c.add(network, w.name+" "+t.kind)
	if t.kind == "down" {
		w.proxy.Stop()
		sleep(ctx, pause)
		return w.proxy.Start()
	}
	direction := []string{"upstream", "downstream"}[rng.IntN(2)]
	kind := strings.Replace(t.kind, "half-open", "timeout", 1)
	spec := fmt.Sprintf(`{"name": "one", "type": %q, "stream": %q, "attributes": %s}`, kind, direction, t.attributes)
	if _, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(spec)); err != nil {
		return fmt.Errorf("the wire %s: %w", w.name, err)
	}
	sleep(ctx, pause)
	return w.proxy.Toxics.RemoveToxic(context.Background(), "one")
}
