package message

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// job reads form 1, a scanned JSON object, and adds it as the record's one part.
func (p *parser) job(raw []byte, doc map[string]json.RawMessage) error {
	j, err := decodeJob(raw, doc)
	if err != nil {
		return err
	}
	return p.finish(j)
}

// decodeJob checks a scanned object against the version, the schema and the limits
// that count bytes, then decodes it.
func decodeJob(raw []byte, doc map[string]json.RawMessage) (*pipeline.Job, error) {
	if err := checkVersion(doc); err != nil {
		return nil, err
	}
	if err := checkSchema(skeleton(raw, "")); err != nil {
		return nil, err
	}
	j := new(pipeline.Job)
	if err := json.Unmarshal(raw, j); err != nil {
		return nil, whyNot(err, doc)
	}
	if err := checkBytes(j); err != nil {
		return nil, err
	}
	return j, nil
}

// whyNot turns what encoding/json says of a job that the schema let pass into a
// fault that names the place.
func whyNot(err error, doc map[string]json.RawMessage) error {
	if te := (*json.UnmarshalTypeError)(nil); errors.As(err, &te) {
		return fault(pipeline.CodeMsgInvalid, "%s is %s, which does not fit its type: %w", place("/"+strings.ReplaceAll(te.Field, ".", "/")), te.Value, err)
	}
	items, _ := array(doc["media"], MaxMedia)
	for i, item := range items {
		if e := json.Unmarshal(item, new(pipeline.Media)); e != nil {
			return fault(pipeline.CodeMsgInvalid, "%s is not base64 as RFC 4648 section 4 has it: %w", place("/media/"+strconv.Itoa(i)+"/data"), e)
		}
	}
	return fault(pipeline.CodeMsgInvalid, "the job can not be decoded: %w", err)
}

// checkBytes holds a job against limits in bytes, which the schema, counting
// characters, can only approach.
func checkBytes(j *pipeline.Job) error {
	over := func(ptr, s string, most int) error {
		if len(s) > most {
			return fault(pipeline.CodeMsgLimit, "%s has %d bytes, over the limit of %d", place(ptr), len(s), most)
		}
		return nil
	}
	errs := []error{over("/id", j.ID, MaxID), over("/text", j.Text, MaxText)}
	for i, m := range j.Media {
		errs = append(errs, over("/media/"+strconv.Itoa(i)+"/uri", m.URI, MaxURI))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// finish fills in what the job leaves to its record and adds it. Dataset: the job's
// own, the header's, the event's, the default. Id: the job's own, the header's, the
// event's source and id, the record key, the content. The key of a CloudEvent is
// its partition key by the Kafka binding, so it is not an id.
func (p *parser) finish(j *pipeline.Job) error {
	if j.Dataset == "" {
		j.Dataset = first(p.headers["dataset"], p.event.extension("dataset"), p.opts.Dataset)
	}
	if j.Dataset == "" {
		return fault(pipeline.CodeMsgInvalid, "the job names no dataset and the consumer has no default; write \"dataset\": \"NAME\" in it or send the header dataset")
	}
	if !isDataset(j.Dataset) {
		return fault(pipeline.CodeMsgInvalid, "the dataset %s is not a name of 1 to 64 letters, digits, dots, underscores and dashes, the first a letter or digit", shown(j.Dataset))
	}
	if j.ID == "" {
		id, err := p.id()
		if err != nil {
			return err
		}
		j.ID = id
		j.DeriveID()
	}
	if j.TraceParent == "" {
		j.TraceParent = first(traceParent(p.headers["traceparent"]), traceParent(p.event.extension("traceparent")))
	}
	j.ReplayOf = p.replayOf()
	return p.add(pipeline.Part{Job: *j})
}

// id is what the record offers as the job's id; "" where that is nothing.
func (p *parser) id() (string, error) {
	if id, ok := p.headers["id"]; ok {
		if idOfKey([]byte(id)) == "" {
			return "", fault(pipeline.CodeMsgInvalid, "the header id is %s; it should be 1 to %d bytes without control characters", shown(id), MaxID)
		}
		return id, nil
	}
	if p.event != nil {
		return p.event.jobID(), nil
	}
	if p.envelopes > 0 {
		return "", nil // the key is the envelope's
	}
	return p.key, nil
}

// isDataset holds a name that came from outside a job's JSON against the schema's rule.
func isDataset(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
