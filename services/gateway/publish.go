package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/queue"
)

// Accepted is the answer to jobs that the topic has acknowledged.
type Accepted struct {
	Jobs []Placed `json:"jobs"`
}

// Placed is a job and where it stands.
type Placed struct {
	// Job is the handle by which its fate is asked for, at Href.
	Job       string `json:"job"`
	ID        string `json:"id"`
	Dataset   string `json:"dataset"`
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Href      string `json:"href"`
}

// publish sends orders to the topic, in their order, and waits for its acknowledgement.
// Those with an error were not sent, or may have been: the errors say. key is the
// request's Idempotency-Key, or empty.
func (g *Gateway) publish(r *http.Request, c caller, orders []*order, key string) ([]Placed, []error) {
	errs := make([]error, len(orders))
	placed := make([]Placed, len(orders))
	var msgs []queue.Message
	var at []int
	for i, o := range orders {
		rec, err := g.prepare(r, c, o, key, i)
		if err != nil {
			errs[i] = err
			continue
		}
		msgs, at = append(msgs, queueMessage(rec, c.tenant.Name, traceParent(r))), append(at, i)
	}
	if len(msgs) == 0 {
		return placed, errs
	}
	places, failed := g.topic.send(r.Context(), msgs)
	for k, i := range at {
		if failed[k] != nil {
			errs[i] = failed[k]
			continue
		}
		placed[i] = g.placed(c, &orders[i].job, places[k])
	}
	return placed, errs
}

// prepare makes a record of an order: the tenant's rights, the id, the claim checks.
func (g *Gateway) prepare(r *http.Request, c caller, o *order, key string, i int) (rec message.Record, err error) {
	if err := c.check(&o.job); err != nil {
		return rec, err
	}
	if !o.named && key != "" {
		o.job.ID = keyID(c.tenant.Name, key, i)
	}
	if o.job.TraceParent == "" {
		o.job.TraceParent = traceParent(r)
	}
	if rec, err = g.encode(r.Context(), c, o); err != nil {
		return rec, err
	}
	o.job.ID = string(rec.Key)
	return rec, nil
}

func (g *Gateway) placed(c caller, j *pipeline.Job, at queue.Place) Placed {
	g.metrics.jobs.WithLabelValues(c.tenant.Name).Inc()
	handle := g.handles.seal(c.tenant.Name, at)
	return Placed{Job: handle, ID: j.ID, Dataset: j.Dataset, Topic: g.topic.name, Partition: at.Partition, Offset: at.Offset, Href: jobsPath + handle}
}

// keyID is the id of a job whose sender gave an Idempotency-Key and no id. It is the
// same at every gateway and after every restart, so a repeat that no memory knows is a
// duplicate to the worker.
func keyID(tenant, key string, i int) string {
	h := sha256.New()
	fmt.Fprintf(h, "idempotency-key %d:%s%d:%s%d", len(tenant), tenant, len(key), key, i)
	return "idem-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// maxKey bounds an Idempotency-Key.
const maxKey = 255

func checkKey(key string) error {
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return badRequest("Idempotency-Key has 1 to %d visible ASCII characters", maxKey)
	}
	return nil
}

// once answers a request with an Idempotency-Key as the first of its key was answered.
func (g *Gateway) once(w http.ResponseWriter, r *http.Request, c caller, print [sha256.Size]byte, do func(key string) (int, any, error)) error {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		status, v, err := do("")
		if err != nil {
			return err
		}
		reply(w, status, v)
		return nil
	}
	key := values[0]
	if err := checkKey(key); err != nil {
		return err
	}
	before, err := c.keys.begin(key, print)
	if err != nil {
		return err
	}
	if before != nil {
		w.Header().Set("Idempotency-Replayed", "true")
		reply(w, before.status, json.RawMessage(before.body))
		return nil
	}
	defer c.keys.forget(key) // unless it has been kept
	status, v, err := do(key)
	if err != nil {
		return err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.keys.keep(key, status, body)
	reply(w, status, json.RawMessage(body))
	return nil
}

// traceParent is the caller's W3C trace, if it is one that can be continued.
func traceParent(r *http.Request) string {
	t := r.Header.Get("Traceparent")
	parts := strings.Split(t, "-")
	if len(t) != 55 || len(parts) != 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 ||
		strings.Trim(strings.ReplaceAll(t, "-", ""), "0123456789abcdef") != "" || parts[0] == "ff" ||
		strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return ""
	}
	return t
}
