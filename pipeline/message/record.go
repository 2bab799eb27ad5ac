package message

import (
	"mime"
	"strings"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// Record is what matters of a Kafka record. A nil Value is a tombstone.
type Record struct {
	Key     []byte
	Value   []byte
	Headers []Header
}

// Header is one header of a record. Names are compared without regard to case.
type Header struct {
	Key   string
	Value []byte
}

// Options say what a record leaves out. The zero value is usable: jobs must then
// name their dataset, and no bucket is known.
type Options struct {
	// Dataset is used for jobs that name none.
	Dataset string
	// Buckets choose the dataset of a bucket notification's objects. They do not
	// fall back on Dataset: a bucket that nobody listed is refused.
	Buckets []BucketRule
	// Ignored, if set, is told of each event that asks for no job (a bucket's test
	// event, a deletion, a folder marker), by its event name.
	Ignored func(event string)
}

// BucketRule gives the objects of a bucket under a key prefix to a dataset. Of the
// rules that match, the one with the longest prefix counts.
type BucketRule struct {
	Bucket  string
	Prefix  string
	Dataset string
}

// Parse turns a record into the parts of a delivery: one for a job, several for a
// bucket notification of several objects, none for events that ask for nothing.
//
// An error refuses the whole record; it is a *[codecs.Error] of stage take with a
// code msg.*. A fault of one object of a notification is in its part instead. The
// jobs refer to r.Value and to header values; the caller must not change these.
func Parse(r Record, o Options) ([]pipeline.Part, error) {
	h, err := readHeaders(r.Headers)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Value == nil:
		return nil, fault(pipeline.CodeMsgEmpty, "the record has no value (a tombstone); a job needs one")
	case len(r.Value) == 0:
		return nil, fault(pipeline.CodeMsgEmpty, "the record's value has no bytes; a job needs some")
	case len(r.Value) > MaxValue:
		return nil, fault(pipeline.CodeMsgLimit, "the record's value has %d bytes, over the limit of %d; put the media in storage and send its URI", len(r.Value), MaxValue)
	}
	p := &parser{opts: o, headers: h, key: idOfKey(r.Key)}
	if err := p.record(r.Value); err != nil {
		return nil, err
	}
	return p.parts, nil
}

// parser holds what one record says beside the job itself.
type parser struct {
	opts      Options
	headers   map[string]string
	key       string // the record key where it can serve as an id
	event     *eventParams
	envelopes int
	parts     []pipeline.Part
}

// record chooses the form by the headers.
func (p *parser) record(value []byte) error {
	if _, ok := p.headers["ce_specversion"]; ok {
		return p.binaryEvent(value)
	}
	return p.body(value, p.headers["content-type"])
}

// body chooses the form by a content type, which may be empty, and then by shape.
func (p *parser) body(value []byte, contentType string) error {
	mt, err := mediaType(contentType)
	if err != nil {
		return err
	}
	switch {
	case mt == "application/cloudevents+json":
		doc, err := document(value)
		if err != nil {
			return err
		}
		return p.structuredEvent(doc)
	case strings.HasPrefix(mt, "application/cloudevents"):
		return fault(pipeline.CodeMsgType, "content-type %s is not read here; send CloudEvents one a record, as application/cloudevents+json or in binary mode", mt)
	case isMedia(mt):
		return p.media(value, contentType)
	case isJSON(mt):
		return p.json(value)
	case mt == "" || mt == "application/octet-stream":
		if !looksJSON(value) {
			return fault(pipeline.CodeMsgType, "the value is not a JSON object and the content-type header does not say what it is; for media bytes send content-type: video/mp4 (or image/..., audio/...)")
		}
		return p.json(value)
	}
	return fault(pipeline.CodeMsgType, "content-type %s is not read here; it may be application/json, application/cloudevents+json, video/*, image/* or audio/*", shown(mt))
}

// json reads a JSON value and chooses the form by its members.
func (p *parser) json(value []byte) error {
	doc, err := document(value)
	if err != nil {
		return err
	}
	has := func(k string) bool { _, ok := doc[k]; return ok }
	switch {
	case has("Records"):
		return p.records(doc)
	case has("Event") && has("Bucket"):
		return p.testEvent(doc)
	case has("detail-type"):
		return p.eventBridge(doc)
	case has("TopicArn"):
		return p.unwrap(doc, "Message", "an SNS envelope")
	case has("ReceiptHandle"):
		return p.unwrap(doc, "Body", "an SQS envelope")
	case has("specversion"):
		return p.structuredEvent(doc)
	}
	return p.job(value, doc)
}

// add appends a part, under the limit of parts.
func (p *parser) add(part pipeline.Part) error {
	if len(p.parts) == MaxRecords {
		return fault(pipeline.CodeMsgLimit, "the notification lists more than %d objects", MaxRecords)
	}
	p.parts = append(p.parts, part)
	return nil
}

// ignore counts an event that asks for no job.
func (p *parser) ignore(event string) {
	if p.opts.Ignored != nil {
		p.opts.Ignored(event)
	}
}

// mediaType returns the lower-case type without parameters; "" for "".
func mediaType(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	mt, _, err := mime.ParseMediaType(s)
	if err != nil {
		return "", fault(pipeline.CodeMsgType, "the content-type %s is not a media type such as video/mp4: %w", shown(s), err)
	}
	return mt, nil
}

func isMedia(mt string) bool {
	return strings.HasPrefix(mt, "video/") || strings.HasPrefix(mt, "image/") || strings.HasPrefix(mt, "audio/")
}

func isJSON(mt string) bool {
	return mt == "application/json" || mt == "text/json" || strings.HasSuffix(mt, "+json") && !isMedia(mt)
}

// looksJSON reports whether the first byte that is not white space opens an object.
func looksJSON(b []byte) bool {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// fault makes the error of this package's faults.
func fault(code codecs.Code, format string, args ...any) error {
	return codecs.Errorf(code, codecs.StageTake, format, args...)
}
