package message

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/pipeline"
)

// s3Record is what is read of one record of a bucket notification, as AWS (event
// structure 2.x), MinIO and versitygw write it.
type s3Record struct {
	EventVersion string `json:"eventVersion"`
	EventName    string `json:"eventName"`
	S3           struct {
		ConfigurationID string `json:"configurationId"`
		Bucket          struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object s3Object `json:"object"`
	} `json:"s3"`
}

type s3Object struct {
	Key         string `json:"key"` // URL-encoded, + for a space; literal from versitygw
	Size        *int64 `json:"size"`
	ETag        string `json:"eTag"`
	VersionID   string `json:"versionId"`
	ContentType string `json:"contentType"` // MinIO only
}

// records reads form 4, a list of S3 records, or a batch of SQS messages around some.
func (p *parser) records(doc map[string]json.RawMessage) error {
	items, ok := array(doc["Records"], MaxRecords)
	switch {
	case !ok:
		return fault(pipeline.CodeMsgInvalid, "the notification's /Records is a %s; it should be a list", jsonKind(doc["Records"]))
	case len(items) == 0:
		return fault(pipeline.CodeMsgInvalid, "the notification's /Records is empty")
	case len(items) > MaxRecords:
		return fault(pipeline.CodeMsgLimit, "the notification lists more than %d objects", MaxRecords)
	}
	for i, item := range items {
		if err := p.oneRecord("/Records/"+strconv.Itoa(i), item); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) oneRecord(at string, item []byte) error {
	doc, ok := object(item)
	if !ok {
		return fault(pipeline.CodeMsgInvalid, "the notification's %s is a %s; it should be an object", at, jsonKind(item))
	}
	if _, sqs := doc["body"]; sqs {
		return p.unwrap(doc, "body", "an SQS message")
	}
	var r s3Record
	if err := json.Unmarshal(item, &r); err != nil {
		return fault(pipeline.CodeMsgInvalid, "the notification's %s can not be read: %w", at, err)
	}
	if v := r.EventVersion; v != "" && v != "2" && !strings.HasPrefix(v, "2.") {
		return fault(pipeline.CodeMsgVersion, "the notification's %s/eventVersion is %s; this build reads 2.x", at, shown(v))
	}
	if r.EventName == "" {
		return fault(pipeline.CodeMsgInvalid, "the notification's %s has no eventName", at)
	}
	if !isVersity(r.S3.ConfigurationID) {
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil {
			return fault(pipeline.CodeMsgInvalid, "the notification's %s/s3/object/key is %s, which is not URL-encoded: %w", at, shown(r.S3.Object.Key), err)
		}
		r.S3.Object.Key = key
	}
	return p.object(at, r.EventName, r.S3.Bucket.Name, r.S3.Object)
}

// object adds the job of one event about one object, whose key is now the literal
// one; events that made no object are ignored.
func (p *parser) object(at, event, bucket string, o s3Object) error {
	if !isCreation(event) || isFolder(o) {
		p.ignore(event)
		return nil
	}
	switch {
	case bucket == "" || strings.ContainsAny(bucket, "/\x00") || len(bucket) > 255:
		return fault(pipeline.CodeMsgInvalid, "the notification's %s names the bucket %s, which is no bucket's name", at, shown(bucket))
	case o.Key == "" || !utf8.ValidString(o.Key):
		return fault(pipeline.CodeMsgInvalid, "the notification's %s names the key %s; a key is UTF-8 of 1 to 1024 bytes", at, shown(o.Key))
	case len(o.Key) > 1024 || len(o.VersionID) > 1024 || len(o.ETag) > 1000 || len(o.ContentType) > 256:
		return fault(pipeline.CodeMsgLimit, "the notification's %s has a key or version over 1024 bytes", at)
	}
	job := pipeline.Job{
		Dataset: p.datasetOf(bucket, o.Key),
		Media:   []pipeline.Media{{URI: "s3://" + bucket + "/" + o.Key, Type: o.ContentType, Version: versionOf(o)}},
	}
	// The record key does not name the object: AWS has none, MinIO's stays the same
	// when the object is written again, versitygw's is the same for all.
	job.DeriveID()
	job.TraceParent = traceParent(p.headers["traceparent"])
	job.ReplayOf = p.replayOf()
	part := pipeline.Part{Job: job}
	if job.Dataset == "" {
		part.Fault = fault(pipeline.CodeMsgBucket, "the object %s is in a bucket or under a prefix that no dataset claims; add a rule for bucket %s to the settings", shown(job.Media[0].URI), tidy(bucket))
	}
	return p.add(part)
}

// isVersity knows versitygw by the configuration ids that it gives all its events
// (s3event/event.go). Up to v1.8.0 at least it sends keys as they are, so that
// decoding would turn a plus sign into a space.
func isVersity(configurationID string) bool {
	switch configurationID {
	case "kafka-global", "nats-global", "webhook-global", "rabbitmq-global":
		return true
	}
	return false
}

// isCreation reports whether the event made an object. MinIO counts changed tags and
// locks among ObjectCreated, but they leave the bytes as they were.
func isCreation(event string) bool {
	what, ok := strings.CutPrefix(strings.TrimPrefix(event, "s3:"), "ObjectCreated:")
	if !ok {
		return false
	}
	switch what {
	case "PutRetention", "PutLegalHold", "PutTagging", "DeleteTagging":
		return false
	}
	return true
}

// isFolder reports whether an object is an empty marker that consoles write so that
// a prefix shows up as a folder.
func isFolder(o s3Object) bool {
	return strings.HasSuffix(o.Key, "/") && o.Size != nil && *o.Size == 0
}

// versionOf pins what was written: the version, or else the ETag in double quotes.
// Stores write "null" for objects of buckets without versions.
func versionOf(o s3Object) string {
	switch {
	case o.VersionID != "" && o.VersionID != "null":
		return o.VersionID
	case o.ETag != "":
		return `"` + strings.Trim(o.ETag, `"`) + `"`
	}
	return ""
}

// datasetOf applies the rules; "" where none matches.
func (p *parser) datasetOf(bucket, key string) string {
	best, dataset := -1, ""
	for _, r := range p.opts.Buckets {
		if r.Bucket == bucket && strings.HasPrefix(key, r.Prefix) && len(r.Prefix) > best {
			best, dataset = len(r.Prefix), r.Dataset
		}
	}
	return dataset
}

// testEvent is what AWS and versitygw send once to a new target.
func (p *parser) testEvent(doc map[string]json.RawMessage) error {
	if e, _ := text(doc["Event"]); e != "s3:TestEvent" {
		return fault(pipeline.CodeMsgInvalid, "the value looks like a bucket's test event, but its Event is %s, not \"s3:TestEvent\"", tidy(string(doc["Event"])))
	}
	p.ignore("s3:TestEvent")
	return nil
}
