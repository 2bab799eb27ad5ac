package gateway

import (
	"context"
	"time"

	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/gateway/upload"
)

// sweepEach is how often uploads that nobody goes on with are looked for.
const sweepEach = time.Hour

// sweep removes uploads that have expired, and settles those whose process was killed
// between the last byte and the job. Each gateway does so; they do no harm to each other.
func (g *Gateway) sweep(ctx context.Context) {
	for {
		select {
		case <-time.After(sweepEach):
		case <-ctx.Done():
			return
		}
		g.sweepOnce(ctx, time.Now().Add(-g.cfg.Limits.Expire))
	}
}

func (g *Gateway) sweepOnce(ctx context.Context, before time.Time) {
	n, err := g.uploads.Sweep(ctx, before, func(ctx context.Context, u *upload.Upload) error { return g.settle(ctx, u) })
	g.metrics.uploads.WithLabelValues("expired").Add(float64(n.Expired))
	g.metrics.uploads.WithLabelValues("damaged").Add(float64(n.Damaged))
	if err != nil && ctx.Err() == nil {
		g.log.Warn("sweeping the uploads", "error", err)
	}
	if n != (upload.Swept{}) {
		g.log.Info("swept the uploads", "expired", n.Expired, "settled", n.Settled, "old", n.Old, "damaged", n.Damaged, "loose", n.Loose)
	}
}

func oneMessage(r message.Record, tenant string) []queue.Message {
	return []queue.Message{queueMessage(r, tenant, "")}
}
