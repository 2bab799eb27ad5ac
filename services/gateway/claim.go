package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/store"
	"github.com/millrace/millrace/services/gateway/upload"
)

// StoreURI is the URI of a medium in the datasets' own store, by its key: what a job
// says of media that the gateway has put there. A worker resolves it through its store.
func StoreURI(key string) string { return storeScheme + key }

const storeScheme = "store://"

// encode writes an order as a record that the topic takes. What does not fit goes to the
// store, the large media first, then the largest of those that would be inline.
func (g *Gateway) encode(ctx context.Context, c caller, o *order) (message.Record, error) {
	for i, m := range o.large {
		if err := verify(o.job.Media[i], m.Body); err != nil {
			return message.Record{}, err
		}
		if err := g.check(ctx, c, o, i, m.Body); err != nil {
			return message.Record{}, err
		}
	}
	for {
		rec, err := message.Encode(o.job)
		fits := err == nil && size(rec) <= g.topic.maxRecord()
		if fits {
			return rec, nil
		}
		if e := codecs.AsError(err); err != nil && (e == nil || e.Code != pipeline.CodeMsgLimit) {
			return rec, err
		}
		i := o.largestInline()
		if i < 0 {
			if err == nil {
				err = &problem{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: "the job is larger than a record of the topic may be, even without its media"}
			}
			return rec, err
		}
		o.job.DeriveID() // of the bytes, as a worker would
		body := store.BytesBody(o.job.Media[i].Data)
		if err := verify(o.job.Media[i], body); err != nil {
			return rec, err
		}
		if err := g.check(ctx, c, o, i, body); err != nil {
			return rec, err
		}
	}
}

func size(r message.Record) (n int64) {
	n = int64(len(r.Key) + len(r.Value))
	for _, h := range r.Headers {
		n += int64(len(h.Key) + len(h.Value))
	}
	return n
}

// largestInline is the index of the largest medium whose bytes are in the job, or -1.
func (o *order) largestInline() int {
	at, n := -1, 0
	for i, m := range o.job.Media {
		if len(m.Data) > n {
			at, n = i, len(m.Data)
		}
	}
	return at
}

// check puts a medium into the store, under the name of its digest, and its URI into the
// job: a claim check. The same bytes always have the same name, so nothing is there
// twice, and a repeated request finds it done. The digest stays in the job: a worker
// gives bytes of the store only to who knows what they are.
func (g *Gateway) check(ctx context.Context, c caller, o *order, i int, body store.Body) error {
	digest := hex.EncodeToString(body.SHA256[:])
	key := upload.Prefix + c.tenant.Name + "/" + digest
	if err := g.parts.Store.Put(ctx, key, body); err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return storeProblem(err)
	}
	g.metrics.stored.Add(float64(body.Size))
	m := &o.job.Media[i]
	m.URI, m.Data, m.SHA256, m.Version = StoreURI(key), nil, digest, ""
	return nil
}

func storeProblem(err error) error {
	return &problem{status: http.StatusServiceUnavailable, code: codeStore, wait: 5 * time.Second, detail: "the store did not take it; try again", cause: err}
}
