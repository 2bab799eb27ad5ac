package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
)

// Original gives the message at an offset of a partition of the ingest topic, or nil
// where the topic no longer has it.
type Original func(ctx context.Context, partition int32, offset int64) (*queue.Record, error)

// originalWithin bounds the wait for one message, brokers that are down included.
const originalWithin = time.Minute

// FromTopic reads originals from a client's topic.
func FromTopic(c *queue.Client) Original {
	return func(ctx context.Context, partition int32, offset int64) (*queue.Record, error) {
		ctx, cancel := context.WithTimeout(ctx, originalWithin)
		defer cancel()
		p := c.Read(int(partition), offset, nil)
		defer p.Close()
		r, err := p.Next(ctx)
		var below *queue.BelowStartError
		var above *queue.AboveEndError
		switch {
		case errors.As(err, &below), errors.As(err, &above):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("reading the message at offset %d of partition %d: %w", offset, partition, err)
		case r.Skipped != nil, r.Offset != offset:
			return nil, nil
		}
		return &r, nil
	}
}

// Names of a dead letter's headers. The first family is Kafka Connect's (KIP-298), which
// tools for dead-letter topics read; the second has what it has no name for.
const (
	headerTopic     = "__connect.errors.topic"
	headerPartition = "__connect.errors.partition"
	headerOffset    = "__connect.errors.offset"
	headerConnector = "__connect.errors.connector.name"
	headerStage     = "__connect.errors.stage"
	headerClass     = "__connect.errors.exception.class.name"
	headerMessage   = "__connect.errors.exception.message"

	ourPrefix      = "millrace-"
	headerCode     = ourPrefix + "code"
	headerAttempts = ourPrefix + "attempts"
	headerPart     = ourPrefix + "part"
	headerID       = ourPrefix + "id"
	headerDataset  = ourPrefix + "dataset"
	headerRecord   = ourPrefix + "record"
	headerSHA256   = ourPrefix + "source-sha256"
	headerSource   = ourPrefix + "source"
	headerValue    = ourPrefix + "value"
	headerKey      = ourPrefix + "original-key"
	valueOriginal  = "original"
	valueRedacted  = "redacted"  // URIs without query and userinfo
	valueOutcome   = "outcome"   // the topic no longer has the message: what the ledger knows, as JSON
	valueTooLarge  = "too-large" // likewise, since the topic takes no message of that size
	outcomeContent = "application/json"
)

// told is what the dead-letter topic is told of a letter. original may be nil.
func told(l *Letter, original *queue.Record, why string) (queue.Message, error) {
	m := queue.Message{Key: []byte(l.Key())}
	kind := why
	if original != nil {
		m.Value, kind = withoutSecrets(original)
		m.Headers = kept(original.Headers)
	} else {
		value, err := json.Marshal(l.Outcome)
		if err != nil {
			return m, err
		}
		m.Value, m.Headers = value, []queue.Header{{Key: "content-type", Value: []byte(outcomeContent)}}
	}
	add := func(name, value string) {
		if value != "" {
			m.Headers = append(m.Headers, queue.Header{Key: name, Value: []byte(value)})
		}
	}
	add(headerTopic, l.Stream.Topic)
	add(headerPartition, strconv.Itoa(int(l.Stream.Partition)))
	add(headerOffset, strconv.FormatInt(l.Offset, 10))
	add(headerConnector, "millrace")
	add(headerStage, l.Stage)
	add(headerClass, l.Code)
	add(headerMessage, l.Detail)
	add(headerCode, l.Code)
	add(headerAttempts, strconv.Itoa(max(l.Attempts, 1)))
	add(headerPart, strconv.Itoa(l.Part))
	add(headerID, l.ID)
	add(headerDataset, l.Dataset)
	add(headerRecord, ledger.RecordKey(l.Stream, l.Seq))
	for _, s := range l.Sources {
		add(headerSource, s.URI)
		add(headerSHA256, s.SHA256)
	}
	add(headerValue, kind)
	if original != nil {
		add(headerKey, string(original.Key))
	}
	return m, nil
}

// kept are an original's headers without what an earlier round has added, and with their
// URIs as withoutSecrets leaves them.
func kept(headers []queue.Header) []queue.Header {
	var out []queue.Header
	for _, h := range headers {
		if name := strings.ToLower(h.Key); strings.HasPrefix(name, ourPrefix) || strings.HasPrefix(name, "__connect.errors.") || slices.Contains(private, name) {
			continue
		}
		out = append(out, queue.Header{Key: h.Key, Value: redact(h.Value)})
	}
	return out
}

// private headers are credentials wherever they stand.
var private = []string{"authorization", "proxy-authorization", "cookie", "x-api-key", "x-amz-security-token"}

// withoutSecrets is a message's value. Of text, each URI loses its query and userinfo,
// where signatures and passwords are: the topic of dead letters has other readers, and
// keeps longer, than the ingest topic. Media bytes stay as they are.
func withoutSecrets(r *queue.Record) (value []byte, kind string) {
	for _, h := range r.Headers {
		family, _, _ := strings.Cut(strings.ToLower(string(h.Value)), "/")
		if strings.EqualFold(h.Key, "content-type") && (family == "video" || family == "image" || family == "audio") {
			return r.Value, valueOriginal
		}
	}
	value = redact(r.Value)
	if len(value) != len(r.Value) {
		return value, valueRedacted
	}
	return value, valueOriginal
}

// uri matches a URI's authority, path and query, with slashes as JSON may write them.
var uri = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]{0,30}:(?:\\?/){2})([^\s"'<>?#@/\\]*@)?([^\s"'<>?#]*)(\?[^\s"'<>#]*)?`)

func redact(b []byte) []byte {
	return uri.ReplaceAll(b, []byte("$1$3"))
}
