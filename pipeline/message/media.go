package message

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// media reads form 2: the value is the medium, and what is known of it stands in
// headers (or in a CloudEvent's extensions) of the names dataset, id, meta,
// provenance, sha256 and role. The rules for these are those of a JSON job.
func (p *parser) media(value []byte, contentType string) error {
	medium := map[string]any{"data": "AA==", "type": contentType}
	job := map[string]any{"media": []any{medium}}
	for _, k := range []string{"sha256", "role"} {
		if v, ok := p.param(k); ok {
			medium[k] = v
		}
	}
	for _, k := range []string{"meta", "provenance"} {
		v, ok := p.param(k)
		if !ok {
			continue
		}
		if err := scan([]byte(v)); err != nil {
			return reword(err, "the header "+k+": ")
		}
		job[k] = json.RawMessage(v)
	}
	raw, doc, err := assemble(job)
	if err != nil {
		return err
	}
	j, err := decodeJob(raw, doc)
	if err != nil {
		return reword(err, "the headers make a bad job: ")
	}
	if v, ok := p.param("meta"); ok {
		j.Meta = json.RawMessage(strings.Trim(v, " \t\r\n")) // as it was sent, not as it was assembled
	}
	j.Media[0].Data = value
	return p.finish(j)
}

// param is a header, or the extension of that name of the CloudEvent around it.
func (p *parser) param(name string) (string, bool) {
	if v, ok := p.headers[name]; ok {
		return v, true
	}
	v := p.event.extension(name)
	return v, v != ""
}

// assemble writes the job that headers describe as JSON.
func assemble(job map[string]any) ([]byte, map[string]json.RawMessage, error) {
	raw, err := json.Marshal(job)
	if err != nil {
		return nil, nil, fault(pipeline.CodeMsgInvalid, "the headers can not be read as a job: %w", err)
	}
	doc, err := document(raw)
	return raw, doc, err
}

// reword puts words before a fault's sentence.
func reword(err error, before string) error {
	var e *codecs.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	c.Detail = before + c.Detail
	return &c
}
