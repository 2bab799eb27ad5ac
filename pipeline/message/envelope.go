package message

import (
	"encoding/json"

	"github.com/millrace/millrace/pipeline"
)

// unwrap reads the message that SNS and SQS carry as a string.
func (p *parser) unwrap(doc map[string]json.RawMessage, member, what string) error {
	if p.envelopes == maxEnvelopes {
		return fault(pipeline.CodeMsgLimit, "the value is wrapped in more than %d envelopes", maxEnvelopes)
	}
	if t, ok := text(doc["Type"]); ok && t != "Notification" {
		return fault(pipeline.CodeMsgType, "the value is %s of type %s; only notifications are read", what, shown(t))
	}
	inner, ok := text(doc[member])
	if !ok || inner == "" {
		return fault(pipeline.CodeMsgInvalid, "the value is %s without a text in %s", what, member)
	}
	p.envelopes++
	err := p.json([]byte(inner))
	p.envelopes--
	if err != nil {
		return reword(err, "inside "+what+": ")
	}
	return nil
}

// eventBridge reads S3's event as EventBridge gives it: one object, its key not
// URL-encoded.
func (p *parser) eventBridge(doc map[string]json.RawMessage) error {
	var e struct {
		Kind   string `json:"detail-type"`
		Source string `json:"source"`
		Detail struct {
			Bucket struct {
				Name string `json:"name"`
			} `json:"bucket"`
			Object struct {
				Key       string `json:"key"`
				Size      *int64 `json:"size"`
				ETag      string `json:"etag"`
				VersionID string `json:"version-id"`
			} `json:"object"`
		} `json:"detail"`
	}
	for k, v := range map[string]any{"detail-type": &e.Kind, "source": &e.Source, "detail": &e.Detail} {
		if err := json.Unmarshal(doc[k], v); err != nil {
			return fault(pipeline.CodeMsgInvalid, "the EventBridge event's /%s can not be read: %w", k, err)
		}
	}
	if e.Source != "aws.s3" {
		return fault(pipeline.CodeMsgType, "the EventBridge event is of source %s; only aws.s3 is read", shown(e.Source))
	}
	if e.Kind != "Object Created" {
		p.ignore(e.Kind)
		return nil
	}
	o := e.Detail.Object
	return p.object("/detail", "ObjectCreated:Put", e.Detail.Bucket.Name,
		s3Object{Key: o.Key, Size: o.Size, ETag: o.ETag, VersionID: o.VersionID})
}
