package gateway

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	"github.com/millrace/millrace/pipeline/message"
)

// Batch is the answer to a batch: one result for each item, in their order.
type Batch struct {
	Accepted int          `json:"accepted"`
	Refused  int          `json:"refused"`
	Results  []ItemResult `json:"results"`
}

// ItemResult is what became of one item: it has a Placed or a Problem.
type ItemResult struct {
	Status  int      `json:"status"`
	Job     *Placed  `json:"job,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// batch serves POST /v1/ingest/batch.
func (g *Gateway) batch(w http.ResponseWriter, r *http.Request, c caller) error {
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mt != "application/json" && mt != "application/x-ndjson" {
		return &problem{status: http.StatusUnsupportedMediaType, code: "msg.type", detail: "a batch is application/x-ndjson, one job a line, or application/json, an array of jobs"}
	}
	ps, err := readParams(r)
	if err != nil {
		return err
	}
	if len(ps) > 1 || len(ps) == 1 && ps["dataset"] == "" {
		return badRequest("of a batch only the dataset can be said beside its items")
	}
	body, err := readAll(g.paced(w, r), r.ContentLength, g.cfg.Limits.BatchBytes)
	if err != nil {
		return err
	}
	items, err := split(body, mt, g.cfg.Limits.Batch)
	if err != nil {
		return err
	}
	if wait, ok := c.allow(len(items) - 1); !ok {
		return &problem{status: http.StatusTooManyRequests, code: codeRate, wait: wait, detail: "each item of a batch counts as a request; the tenant makes more than its rate allows"}
	}
	sum := sha256.Sum256(body)
	print := newPrinter(r)
	print.addParams(ps)
	print.add(mt, string(sum[:]))
	return g.once(w, r, c, print.sum(), func(key string) (int, any, error) { return g.runBatch(r, c, ps, items, key) })
}

func (g *Gateway) runBatch(r *http.Request, c caller, ps params, items [][]byte, key string) (int, any, error) {
	b := Batch{Results: make([]ItemResult, len(items))}
	id := requestOf(r.Context()).id
	fail := func(i int, err error) {
		p := problemOf(err)
		body := p.body(id)
		b.Results[i] = ItemResult{Status: p.status, Problem: &body}
		b.Refused++
	}
	var orders []*order
	var at []int
	for i, item := range items {
		os, err := g.parse(c, message.Record{Value: item, Headers: ps.headers("application/json")})
		if err == nil && len(os) != 1 {
			err = badRequest("the item asks for %d jobs; it may ask for one", len(os))
		}
		if err != nil {
			fail(i, err)
			continue
		}
		orders, at = append(orders, os[0]), append(at, i)
	}
	placed, errs := g.publish(r, c, orders, key)
	transient := len(orders) > 0
	for k, i := range at {
		if errs[k] != nil {
			fail(i, errs[k])
			transient = transient && problemOf(errs[k]).status >= http.StatusInternalServerError
			continue
		}
		b.Results[i] = ItemResult{Status: http.StatusAccepted, Job: &placed[k]}
		b.Accepted++
		transient = false
	}
	switch {
	case transient: // nothing was taken and nothing is wrong with it: the request as a whole
		return 0, nil, errs[0]
	case b.Refused > 0:
		return http.StatusMultiStatus, b, nil
	}
	return http.StatusAccepted, b, nil
}

// split takes a batch apart, without looking into its items.
func split(body []byte, mt string, most int) ([][]byte, error) {
	var items [][]byte
	over := &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: fmt.Sprintf("a batch has %d items at most", most)}
	if mt == "application/x-ndjson" {
		for line := range bytes.Lines(body) {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			if len(items) == most {
				return nil, over
			}
			items = append(items, line)
		}
	} else {
		d := json.NewDecoder(bytes.NewReader(body))
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return nil, badRequest("a batch as application/json is an array of jobs")
		}
		for d.More() {
			var item json.RawMessage
			if err := d.Decode(&item); err != nil {
				return nil, badRequest("item %d of the batch is not JSON", len(items))
			}
			if len(items) == most {
				return nil, over
			}
			items = append(items, item)
		}
		if t, err := d.Token(); err != nil || t != json.Delim(']') || len(bytes.TrimSpace(body[d.InputOffset():])) > 0 {
			return nil, badRequest("the batch does not end as an array")
		}
	}
	if len(items) == 0 {
		return nil, badRequest("the batch has no items")
	}
	return items, nil
}
