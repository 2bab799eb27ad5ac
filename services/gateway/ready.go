package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline/store"
)

const (
	problemWait = 5 * time.Second
	readyFor    = 5 * time.Second // a check is good for so long
	readyWithin = 3 * time.Second // or it has failed
)

// readiness is whether the topic and the store answer, checked at most every five
// seconds however often somebody asks.
type readiness struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

func queueAway(err error) error {
	return &problem{status: http.StatusServiceUnavailable, code: codeQueue, wait: problemWait, detail: "the ingest topic does not answer; try again", cause: err}
}

// healthz says that the process serves; it asks nobody.
func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether requests should come here.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	if g.drains.Load() {
		g.refuse(w, r, &problem{status: http.StatusServiceUnavailable, code: codeDraining, detail: "the gateway is about to end", wait: problemWait})
		return
	}
	if err := g.reachable(r.Context()); err != nil {
		g.refuse(w, r, err)
		return
	}
	answer := map[string]string{"status": "ready"}
	if stale := g.stale(); stale != "" {
		answer["detail"] = stale
	}
	reply(w, http.StatusOK, answer)
}

func (g *Gateway) reachable(ctx context.Context) error {
	g.ready.mu.Lock()
	defer g.ready.mu.Unlock()
	if time.Since(g.ready.at) < readyFor {
		return g.ready.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
	defer cancel()
	g.ready.err = nil
	if err := g.topic.answers(ctx); err != nil {
		g.ready.err = queueAway(err)
	} else if _, err := g.parts.Store.Stat(ctx, handleKeyName); err != nil && !store.IsNotFound(err) {
		g.ready.err = storeProblem(err)
	}
	g.ready.at = time.Now()
	return g.ready.err
}

// answers asks the topic's cluster something.
func (t *topic) answers(ctx context.Context) error {
	if err := t.learn(ctx); err != nil {
		return err
	}
	_, err := t.client.Partitions(ctx)
	return err
}
