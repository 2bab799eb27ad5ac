package settings

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/gateway"
)

// Gateway is a gateway with all that it works with.
type Gateway struct {
	*gateway.Gateway
	closed []func()
}

// Close ends what OpenGateway opened, last first.
func (g *Gateway) Close() {
	for _, c := range slices.Backward(g.closed) {
		c()
	}
}

// OpenGateway builds a gateway: store, topic, the gateway itself.
func (c Config) OpenGateway(ctx context.Context, log *slog.Logger) (g *Gateway, err error) {
	g = &Gateway{}
	defer func() {
		if err != nil {
			g.Close()
		}
	}()
	s, closeStore, err := c.OpenStore(ctx)
	if err != nil {
		return g, err
	}
	g.closed = append(g.closed, closeStore)
	client, err := queue.Open(c.Queue)
	if err != nil {
		return g, err
	}
	g.closed = append(g.closed, func() { client.Close() })
	dir, err := c.ScratchDir()
	if err != nil {
		return g, err
	}
	g.Gateway, err = gateway.New(ctx, gateway.Parts{
		Config: c.Gateway, Queue: client, Topic: c.Queue.Topic, Store: s, Dataset: c.Ingest.Dataset, Dir: dir, Log: log,
	})
	if err != nil {
		return g, fmt.Errorf("the gateway: %w", err)
	}
	g.closed = append(g.closed, g.Gateway.Close)
	return g, nil
}
