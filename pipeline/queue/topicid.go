package queue

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// metadataVersion is the first version of the Metadata API that tells topic ids
// (Kafka 2.8). kafka-go itself speaks 8 at most.
const metadataVersion = 10

// topicRef tells a topic from a later one of the same name.
type topicRef struct {
	id    [16]byte // zero where brokers have no ids
	known bool     // that the brokers were asked
	byID  bool     // brokers understand fetches by id
}

func (t topicRef) String() string {
	if t.id == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(t.id[:])
}

// TopicID returns what tells a topic from a later one of the same name, whose offsets
// mean other records: 32 hex digits, or "" from brokers older than Kafka 2.8, which
// have no such ids.
func (c *Client) TopicID(ctx context.Context) (string, error) {
	t, err := c.topicRef(ctx)
	return t.String(), err
}

func (c *Client) topicRef(ctx context.Context) (topicRef, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	t := topicRef{known: true}
	versions, err := c.ask.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err == nil {
		err = versions.Error
	}
	if err != nil {
		return topicRef{}, fmt.Errorf("asking %v what they speak: %w", c.cfg.Brokers, err)
	}
	for _, v := range versions.ApiKeys {
		switch {
		case v.ApiKey == int(protocol.Metadata) && v.MaxVersion < metadataVersion:
			return t, nil
		case v.ApiKey == int(protocol.Fetch):
			t.byID = v.MaxVersion >= fetchByID
		}
	}
	m, err := c.transport.RoundTrip(ctx, c.ask.Addr, &topicQuestion{topic: c.cfg.Topic, clientID: c.cfg.ClientID})
	if err == nil {
		t.id, err = m.(*topicAnswer).result()
	}
	if err != nil {
		return topicRef{}, fmt.Errorf("asking %v for the id of topic %s: %w", c.cfg.Brokers, c.cfg.Topic, err)
	}
	return t, nil
}

// topicQuestion is a metadata request for one topic, done as [exchange] is.
type topicQuestion struct {
	topic, clientID string
}

// topicAnswer is the part of the response that is of interest.
type topicAnswer struct {
	code int16 // the topic's error
	id   [16]byte
}

// ApiKey is Metadata.
func (*topicAnswer) ApiKey() protocol.ApiKey { return protocol.Metadata }

func (a *topicAnswer) result() ([16]byte, error) {
	if a.code != 0 {
		return [16]byte{}, kafka.Error(a.code)
	}
	return a.id, nil
}

// ApiKey is Metadata.
func (*topicQuestion) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required says that RawExchange does the exchange.
func (*topicQuestion) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange writes the request and reads the response.
func (q *topicQuestion) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if _, err := rw.Write(q.encode()); err != nil {
		return nil, err
	}
	a, err := q.decode(rw)
	if err != nil {
		return nil, err // not a nil *topicAnswer in a Message
	}
	return a, nil
}

func (q *topicQuestion) encode() []byte {
	w := newRequest(protocol.Metadata, metadataVersion, true, q.clientID)
	w.count(1)        // topics
	w.raw([16]byte{}) // id: that is the question
	w.string(q.topic)
	w.tags()
	w.int8(0) // create the topic: no
	w.int8(0) // tell the cluster's operations: no
	w.int8(0) // tell the topic's operations: no
	return w.done()
}

// decode reads up to the topic's id, and throws the rest away.
func (q *topicQuestion) decode(r io.Reader) (*topicAnswer, error) {
	d := newResponse(r, true)
	d.int32() // throttle
	for range d.count(1 << 16) {
		d.int32()  // broker
		d.string() // host
		d.int32()  // port
		d.string() // rack
		d.tags()
	}
	d.string() // cluster
	d.int32()  // controller
	n := d.count(1 << 10)
	a := &topicAnswer{code: d.int16()}
	name := d.string()
	a.id = d.id()
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("reading a metadata response: %w", err)
	}
	if n != 1 || name != q.topic {
		return nil, errors.New("the metadata response is about another topic")
	}
	return a, nil
}
