package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
)

const (
	jobsPath    = "/v1/jobs/"
	uploadsPath = "/v1/uploads/"
)

// job serves GET /v1/jobs/{job}.
func (g *Gateway) job(w http.ResponseWriter, r *http.Request, c caller) error {
	handle := r.PathValue("job")
	at, ok := g.handles.open(c.tenant.Name, handle)
	if !ok {
		return &problem{status: http.StatusNotFound, code: codeNotFound, detail: "there is no such job of this tenant; ask with the handle that the gateway gave as \"job\""}
	}
	if err := g.topic.learn(r.Context()); err != nil {
		return queueAway(err)
	}
	j, err := g.fates.of(r.Context(), g.topic.stream(at.Partition), at)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return &problem{status: http.StatusServiceUnavailable, code: codeStore, wait: problemWait, detail: "the ledger can not be read now; ask again", cause: err}
	}
	j.Job, j.Topic, j.Partition, j.Offset = handle, g.topic.name, at.Partition, at.Offset
	if j.Status == JobQueued || j.Status == JobInFlight {
		w.Header().Set("Retry-After", "1")
	}
	reply(w, http.StatusOK, j)
	return nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
