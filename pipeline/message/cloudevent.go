package message

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/millrace/millrace/pipeline"
)

// ceAttributes maps header names to attributes, as the Kafka protocol binding for
// CloudEvents 1.0 (section 3.2.3) names them. It is never written to.
var ceAttributes = spec.WithPrefix("ce_").Version(event.CloudEventsVersionV1)

// eventParams is what a CloudEvent says about the job in its data. Nil says nothing.
type eventParams struct {
	context event.EventContext
}

// extension returns an extension attribute as text, or "".
func (e *eventParams) extension(name string) string {
	if e == nil {
		return ""
	}
	v, ok := e.context.GetExtensions()[name]
	if !ok {
		return ""
	}
	s, err := types.Format(v)
	if err != nil {
		return ""
	}
	return s
}

// jobID names the job after its event: the source and the id, which together are
// unique (CloudEvents 1.0, section 3.1.1), with a space between, which no source
// has. It is "" where that is too long for an id.
func (e *eventParams) jobID() string {
	return idOfKey([]byte(e.context.GetSource() + " " + e.context.GetID()))
}

// binaryEvent reads a CloudEvent whose attributes are headers and whose data is the
// record's value.
func (p *parser) binaryEvent(value []byte) error {
	if v := p.headers["ce_specversion"]; v != event.CloudEventsVersionV1 {
		return fault(pipeline.CodeMsgVersion, "the CloudEvent has specversion %s; this build reads 1.0", shown(v))
	}
	ctx := ceAttributes.NewContext()
	for _, k := range slices.Sorted(maps.Keys(p.headers)) {
		if !strings.HasPrefix(k, "ce_") {
			continue
		}
		if err := ceAttributes.SetAttribute(ctx, k, p.headers[k]); err != nil {
			return fault(pipeline.CodeMsgInvalid, "the header %s is no CloudEvents attribute: %w", shown(k), err)
		}
	}
	if err := p.enter(ctx); err != nil {
		return err
	}
	return p.eventData(value, p.headers["content-type"])
}

// structuredEvent reads a CloudEvent in JSON format, already scanned. The data are
// taken out before the rest goes to the SDK: they stay as they are, byte for byte,
// and a large payload is not parsed twice.
func (p *parser) structuredEvent(doc map[string]json.RawMessage) error {
	if v, ok := text(doc["specversion"]); !ok || v != event.CloudEventsVersionV1 {
		return fault(pipeline.CodeMsgVersion, "the CloudEvent has specversion %s; this build reads \"1.0\"", tidy(string(doc["specversion"])))
	}
	attrs := make(map[string]json.RawMessage, len(doc))
	for k, v := range doc {
		switch k {
		case "data", "data_base64":
			continue
		}
		switch jsonKind(v) {
		case "object", "array":
			return fault(pipeline.CodeMsgInvalid, "the CloudEvent's attribute %s is an %s; attributes are strings, numbers or booleans", tidy(k), jsonKind(v))
		case "null":
			continue // a JSON null is an absent attribute (JSON event format, section 2.2)
		}
		attrs[k] = v
	}
	raw, err := json.Marshal(attrs)
	if err != nil {
		return fault(pipeline.CodeMsgInvalid, "the CloudEvent's attributes can not be read: %w", err)
	}
	if len(raw) > MaxHeaderBytes {
		return fault(pipeline.CodeMsgLimit, "the CloudEvent's attributes have %d bytes, over the limit of %d", len(raw), MaxHeaderBytes)
	}
	var e event.Event
	if err := e.UnmarshalJSON(raw); err != nil {
		return fault(pipeline.CodeMsgInvalid, "the CloudEvent's attributes can not be read: %w", oneLine(err))
	}
	if err := p.enter(e.Context); err != nil {
		return err
	}
	data, err := structuredData(doc, e.DataContentType())
	if err != nil {
		return err
	}
	return p.eventData(data, e.DataContentType())
}

// structuredData finds the data of an event in JSON format (section 3.1): base64,
// a JSON value as it stands, or the content of a string for other content types.
func structuredData(doc map[string]json.RawMessage, contentType string) ([]byte, error) {
	data, isData := doc["data"]
	b64, isBase64 := doc["data_base64"]
	switch {
	case isData && isBase64:
		return nil, fault(pipeline.CodeMsgInvalid, "the CloudEvent has both data and data_base64; it may have one")
	case isBase64:
		s, ok := text(b64)
		if !ok {
			return nil, fault(pipeline.CodeMsgInvalid, "the CloudEvent's /data_base64 is a %s; it should be a string", jsonKind(b64))
		}
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, fault(pipeline.CodeMsgInvalid, "the CloudEvent's /data_base64 is not base64: %w", err)
		}
		return b, nil
	case !isData:
		return nil, nil
	}
	if mt, err := mediaType(contentType); err != nil || mt == "" || isJSON(mt) {
		return data, err
	}
	s, ok := text(data)
	if !ok {
		return nil, fault(pipeline.CodeMsgInvalid, "the CloudEvent's /data is a %s but its datacontenttype is %s; send a string or data_base64", jsonKind(data), shown(contentType))
	}
	return []byte(s), nil
}

// enter validates an event's attributes and goes inside it.
func (p *parser) enter(ctx event.EventContext) error {
	if p.event != nil {
		return fault(pipeline.CodeMsgInvalid, "the CloudEvent holds another CloudEvent; its data should be a job or media")
	}
	if err := (event.Event{Context: ctx}).Validate(); err != nil {
		return fault(pipeline.CodeMsgInvalid, "the CloudEvent's attributes break CloudEvents 1.0: %w", oneLine(err))
	}
	p.event = &eventParams{ctx}
	return nil
}

// eventData reads what an event holds: a job (form 1) or media (form 2).
func (p *parser) eventData(data []byte, contentType string) error {
	mt, err := mediaType(contentType)
	switch {
	case err != nil:
		return err
	case len(data) == 0:
		return fault(pipeline.CodeMsgEmpty, "the CloudEvent has no data; it should be a job or media")
	case isMedia(mt):
		return p.media(data, contentType)
	case mt == "" || isJSON(mt):
		doc, err := document(data)
		if err != nil {
			return err
		}
		return p.job(data, doc)
	}
	return fault(pipeline.CodeMsgType, "the CloudEvent's data are of type %s; they may be application/json (a job), video/*, image/* or audio/*", shown(mt))
}

// oneLine joins the SDK's list of faults to one line in a fixed order.
func oneLine(err error) error {
	ve, ok := err.(event.ValidationError)
	if !ok {
		return err
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(ve)) {
		all = append(all, k+": "+ve[k].Error())
	}
	return errors.New(strings.Join(all, "; "))
}
