package message

import (
	"bytes"
	"encoding/json"

	"github.com/millrace/millrace/pipeline"
)

// Encode writes a job as a record: as the media bytes with headers where it is one
// inline medium that this form can carry whole, else as JSON. The key is the job's
// id, derived from the content if the job has none.
//
// What Encode returns has been parsed again, so no consumer of the same build
// refuses it; an error says what the job lacks or where it is too large. The record
// refers to the job's bytes.
func Encode(j pipeline.Job) (Record, error) {
	j.DeriveID()
	r, ok := encodeMedia(j)
	if !ok {
		value, err := appendJob(nil, j)
		if err != nil {
			return Record{}, fault(pipeline.CodeMsgInvalid, "the job %s can not be written as JSON: %w", shown(j.ID), err)
		}
		r = Record{Key: []byte(j.ID), Value: value, Headers: []Header{{"content-type", []byte("application/json")}}}
	}
	if _, err := Parse(r, Options{}); err != nil {
		return Record{}, reword(err, "the job "+shown(j.ID)+" can not be sent: ")
	}
	return r, nil
}

// encodeMedia writes form 2; false where the job has more than that form carries.
func encodeMedia(j pipeline.Job) (Record, bool) {
	if len(j.Media) != 1 || j.Text != "" || j.Conversations != nil || j.Events != nil {
		return Record{}, false
	}
	m := j.Media[0]
	mt, err := mediaType(m.Type)
	if err != nil || !isMedia(mt) || len(m.Data) == 0 || len(m.Data) > MaxValue || m.URI != "" || m.Version != "" {
		return Record{}, false
	}
	var provenance []byte
	if j.Provenance != nil {
		if provenance, err = marshal(j.Provenance); err != nil {
			return Record{}, false
		}
	}
	r := Record{Key: []byte(j.ID), Value: m.Data}
	size := 0
	for _, h := range []Header{
		{"content-type", []byte(m.Type)},
		{"id", []byte(j.ID)},
		{"dataset", []byte(j.Dataset)},
		{"meta", j.Meta},
		{"provenance", provenance},
		{"sha256", []byte(m.SHA256)},
		{"role", []byte(m.Role)},
		{"traceparent", []byte(traceParent(j.TraceParent))},
	} {
		if len(h.Value) > 0 {
			r.Headers = append(r.Headers, h)
			size += len(h.Key) + len(h.Value)
		}
	}
	// A trace that a header can not carry on is kept in JSON.
	return r, size <= MaxHeaderBytes && traceParent(j.TraceParent) == j.TraceParent
}

// appendJob writes a job as JSON. Fields that travel untouched are written byte for
// byte, which encoding/json does not do: it compacts them and escapes < and >.
func appendJob(b []byte, j pipeline.Job) ([]byte, error) {
	b = append(b, '{')
	field := func(name string, raw []byte) {
		if len(raw) == 0 {
			return
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, `":`...)
		b = append(b, raw...)
	}
	for _, f := range []struct {
		name string
		text string
	}{{"id", j.ID}, {"dataset", j.Dataset}, {"text", j.Text}, {"traceparent", j.TraceParent}} {
		if f.text == "" {
			continue
		}
		raw, err := marshal(f.text)
		if err != nil {
			return nil, err
		}
		field(f.name, raw)
	}
	if len(j.Media) > 0 {
		raw, err := marshal(j.Media)
		if err != nil {
			return nil, err
		}
		field("media", raw)
	}
	if j.Provenance != nil {
		raw, err := marshal(j.Provenance)
		if err != nil {
			return nil, err
		}
		field("provenance", raw)
	}
	field("conversations", j.Conversations)
	field("events", j.Events)
	field("meta", j.Meta)
	return append(b, '}'), nil
}

// marshal is json.Marshal without the escaping of HTML.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
