package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/services/gateway/upload"
)

// sweepEach is how often uploads that nobody goes on with are looked for.
const sweepEach = time.Hour

// sweep removes uploads of all tenants that have expired, and settles those whose process
// was killed between the last byte and the job. Each gateway does so; they do no harm to
// each other. The first time is soon: a gateway may not live for an hour.
func (g *Gateway) sweep(ctx context.Context) {
	for wait := sweepEach / 60; ; wait = sweepEach {
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return
		}
		g.sweepOnce(ctx, time.Now().Add(-g.cfg.Limits.Expire))
	}
}

func (g *Gateway) sweepOnce(ctx context.Context, before time.Time) {
	n, err := g.uploads.Sweep(ctx, before, g.settleOrForget)
	g.metrics.uploads.WithLabelValues("expired").Add(float64(n.Expired))
	g.metrics.uploads.WithLabelValues("damaged").Add(float64(n.Damaged))
	if err != nil && ctx.Err() == nil {
		g.log.Warn("sweeping the uploads", "error", err)
	}
	if n != (upload.Swept{}) {
		g.log.Info("swept the uploads", "expired", n.Expired, "settled", n.Settled, "old", n.Old, "damaged", n.Damaged, "loose", n.Loose)
	}
}

// settleOrForget settles an upload whose sender asks no more. One that can not be a job,
// as its tenant is no more or may not write to its dataset, is forgotten.
func (g *Gateway) settleOrForget(ctx context.Context, u *upload.Upload) error {
	err := g.settle(ctx, u)
	var p *problem
	if err == nil || !errors.As(err, &p) {
		return err
	}
	switch p.status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return err
	}
	if p.status < http.StatusBadRequest || p.status >= http.StatusInternalServerError {
		return err
	}
	g.log.Warn("an upload that is complete can not be a job, and is forgotten", "upload", u.ID, "tenant", u.Tenant, "code", p.code)
	return u.Forget(ctx)
}

func oneMessage(r message.Record, tenant string) []queue.Message {
	return []queue.Message{queueMessage(r, tenant, "")}
}
