package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"mime"
	"net/http"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
	"github.com/millrace/millrace/pipeline/store"
)

// order is one job that a request asks for, with the media that came beside it.
type order struct {
	job   pipeline.Job
	named bool            // the sender has chosen the id
	large map[int]*medium // by the medium's index: those that go to the store
}

func (o *order) close() {
	for _, m := range o.large {
		m.close()
	}
}

// printer gathers a request's fingerprint: what must be equal for two requests to be the
// same.
type printer struct{ h hash.Hash }

func newPrinter(r *http.Request) *printer {
	p := &printer{sha256.New()}
	p.add(r.Method, r.URL.Path)
	return p
}

func (p *printer) add(texts ...string) {
	for _, t := range texts {
		fmt.Fprintf(p.h, "%d:%s", len(t), t)
	}
}

func (p *printer) addParams(ps params) {
	for _, name := range paramNames() {
		p.add(name, ps[name])
	}
}

func (p *printer) sum() (s [sha256.Size]byte) {
	p.h.Sum(s[:0])
	return s
}

// ingest serves POST /v1/ingest.
func (g *Gateway) ingest(w http.ResponseWriter, r *http.Request, c caller) error {
	ps, err := readParams(r)
	if err != nil {
		return err
	}
	print := newPrinter(r)
	print.addParams(ps)
	mt, args, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return unsupported(r.Header.Get("Content-Type"))
	}
	var orders []*order
	switch {
	case mt == "multipart/form-data":
		orders, err = g.form(w, r, c, ps, args["boundary"], print)
	case isMedia(mt):
		orders, err = g.raw(w, r, c, ps, print)
	case mt == "application/json" || mt == "application/cloudevents+json":
		orders, err = g.document(w, r, c, ps, mt, print)
	default:
		return unsupported(mt)
	}
	defer func() {
		for _, o := range orders {
			o.close()
		}
	}()
	if err != nil {
		return err
	}
	return g.once(w, r, c, print.sum(), func(key string) (int, any, error) {
		placed, errs := g.publish(r, c, orders, key)
		for _, err := range errs {
			if err != nil {
				return 0, nil, err
			}
		}
		return http.StatusAccepted, Accepted{Jobs: placed}, nil
	})
}

func isMedia(mt string) bool {
	return strings.HasPrefix(mt, "video/") || strings.HasPrefix(mt, "image/") || strings.HasPrefix(mt, "audio/")
}

func unsupported(contentType string) error {
	return &problem{status: http.StatusUnsupportedMediaType, code: pipeline.CodeMsgType,
		detail: fmt.Sprintf("Content-Type %.80q is not taken here; send application/json, multipart/form-data, video/*, image/* or audio/*", contentType)}
}

// document reads a job as JSON.
func (g *Gateway) document(w http.ResponseWriter, r *http.Request, c caller, ps params, mt string, print *printer) ([]*order, error) {
	body, err := readAll(g.paced(w, r), r.ContentLength, message.MaxValue)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	print.add(mt, string(sum[:]))
	return g.parse(c, message.Record{Value: body, Headers: ps.headers(mt)})
}

// raw reads a medium that is the body itself.
func (g *Gateway) raw(w http.ResponseWriter, r *http.Request, c caller, ps params, print *printer) ([]*order, error) {
	m, err := receive(g.paced(w, r), g.parts.Dir, r.ContentLength, g.inline(), min(c.MaxBytes, g.cfg.Limits.MaxBytes))
	if err != nil {
		return nil, err
	}
	print.add(r.Header.Get("Content-Type"), string(m.SHA256[:]))
	o, err := g.ofMedium(c, r.Header.Get("Content-Type"), ps, m)
	if err != nil {
		m.close()
		return nil, err
	}
	return []*order{o}, nil
}

// ofMedium is the order of a single medium.
func (g *Gateway) ofMedium(c caller, contentType string, ps params, m *medium) (*order, error) {
	value := m.data
	if value == nil {
		value = []byte{0} // the parser wants one; it does not look at it
	}
	orders, err := g.parse(c, message.Record{Value: value, Headers: ps.headers(contentType)})
	if err != nil {
		return nil, err
	}
	o := orders[0]
	o.named = ps["id"] != ""
	if m.data == nil {
		o.setLarge(0, m)
	}
	return o, nil
}

func (o *order) setLarge(i int, m *medium) {
	if o.large == nil {
		o.large = map[int]*medium{}
	}
	o.large[i] = m
	o.job.Media[i].Data = nil
	if !o.named {
		o.job.ID = "" // it was of the bytes that stood for these
	}
}

// parse reads a record as a worker will.
func (g *Gateway) parse(c caller, rec message.Record) ([]*order, error) {
	dataset := c.defaultDataset()
	if dataset == "" {
		dataset = g.parts.Dataset
	}
	parts, err := message.Parse(rec, message.Options{Dataset: dataset})
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, codecs.Errorf(pipeline.CodeMsgEmpty, codecs.StageTake, "the message asks for no job")
	}
	var orders []*order
	for i := range parts {
		if parts[i].Fault != nil {
			return nil, parts[i].Fault
		}
		orders = append(orders, &order{job: parts[i].Job, named: namesItself(rec)})
	}
	return orders, nil
}

// namesItself reports whether a record says the id of its job.
func namesItself(rec message.Record) bool {
	for _, h := range rec.Headers {
		if h.Key == "id" {
			return true
		}
	}
	var j struct {
		ID   string `json:"id"`
		Type string `json:"specversion"` // of an event, whose id is its job's
	}
	return json.Unmarshal(rec.Value, &j) == nil && j.ID != "" || j.Type != ""
}

// inline is the largest medium that travels in a record.
func (g *Gateway) inline() int64 {
	return max(min(g.cfg.Limits.Inline, g.topic.maxRecord()-message.MaxHeaderBytes), 1)
}

// verify holds a large medium against the digest that its sender announced.
func verify(m pipeline.Media, b store.Body) error {
	if m.SHA256 != "" && m.SHA256 != hex.EncodeToString(b.SHA256[:]) {
		return &problem{status: http.StatusUnprocessableEntity, code: codeDigest, detail: fmt.Sprintf("the medium's sha256 is %x; %s was announced", b.SHA256, m.SHA256)}
	}
	return nil
}
