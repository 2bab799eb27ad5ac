package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// The two versions of the Fetch API that are spoken here. Kafka 4.1 speaks 4 to 17.
const (
	fetchByName = 10 // Kafka 2.1, the first that carries zstd
	fetchByID   = 13 // Kafka 3.1, which names topics by id
)

// undecoded is a transport for Client.Fetch under which a response's record set
// stays bytes (see [recordSet]). It uses the hook that kafka-go has for messages
// that do their own exchange (protocol.RawExchanger), so that connections, TLS,
// SASL and routing remain the library's.
type undecoded struct {
	transport kafka.RoundTripper
	clientID  string
	limit     int64 // bytes of a record set that are kept
}

// topicKey is the key of a context's topicRef.
type topicKey struct{}

// withTopic has fetches under ctx ask for the topic by its id, where it has one.
func withTopic(ctx context.Context, t topicRef) context.Context {
	return context.WithValue(ctx, topicKey{}, t)
}

// RoundTrip sends a *fetch.Request for one partition.
func (u *undecoded) RoundTrip(ctx context.Context, addr net.Addr, m kafka.Request) (kafka.Response, error) {
	r, ok := m.(*fetch.Request)
	if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("%T is not a fetch of one partition", m)
	}
	t, _ := ctx.Value(topicKey{}).(topicRef)
	return u.transport.RoundTrip(ctx, addr, &exchange{Request: r, topic: t, clientID: u.clientID, limit: u.limit})
}

// recordSet is the records of one fetch as they came.
type recordSet struct {
	raw []byte
	// size is what the broker sent; larger than len(raw) if that was over the limit.
	size    int64
	aborted []fetch.ResponseTransaction
}

// ReadRecord makes a recordSet pass through kafka-go's response type. Nobody calls it.
func (s *recordSet) ReadRecord() (*protocol.Record, error) {
	return nil, errors.New("this record set is read by batches")
}

// exchange is one fetch on a connection.
type exchange struct {
	*fetch.Request // gives ApiKey, and Broker for the routing
	topic          topicRef
	clientID       string
	limit          int64
	version        int16 // that the broker and kafka-go have in common
}

// Required is called with what the broker speaks, just before RawExchange.
func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.version = versions[protocol.Fetch]
	return true
}

// RawExchange writes the request and reads the response.
func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if e.version < fetchByName {
		return nil, fmt.Errorf("the broker speaks version %d of the fetch protocol, not %d: Kafka 2.1 or later is needed", e.version, fetchByName)
	}
	if _, err := rw.Write(e.encode()); err != nil {
		return nil, err
	}
	return e.decode(rw)
}

func (e *exchange) encode() []byte {
	t, p := e.Topics[0], e.Topics[0].Partitions[0]
	version := int16(fetchByName)
	if e.topic.byID {
		version = fetchByID
	}
	w := newRequest(protocol.Fetch, version, e.topic.byID, e.clientID)
	w.int32(-1) // replica: a consumer
	w.int32(e.MaxWaitTime)
	w.int32(e.MinBytes)
	w.int32(e.MaxBytes)
	w.int8(e.IsolationLevel)
	w.int32(0)  // session id: none
	w.int32(-1) // session epoch: none
	w.count(1)  // topics
	if e.topic.byID {
		w.raw(e.topic.id)
	} else {
		w.string(t.Topic)
	}
	w.count(1) // partitions
	w.int32(p.Partition)
	w.int32(-1) // leader epoch: not known
	w.int64(p.FetchOffset)
	if e.topic.byID {
		w.int32(-1) // last fetched epoch: for followers, as what comes next
	}
	w.int64(-1) // log start
	w.int32(p.PartitionMaxBytes)
	w.tags()   // of the partition
	w.tags()   // of the topic
	w.count(0) // forgotten topics
	if e.topic.byID {
		w.string("") // rack
	}
	return w.done()
}

// decode reads the response for the one partition that was asked for.
func (e *exchange) decode(r io.Reader) (*fetch.Response, error) {
	d := newResponse(r, e.topic.byID)
	res := &fetch.Response{ThrottleTimeMs: d.int32(), ErrorCode: d.int16(), SessionID: d.int32()}
	for range d.count(1 << 10) {
		t := fetch.ResponseTopic{Topic: e.topicName(d)}
		for range d.count(1 << 10) {
			t.Partitions = append(t.Partitions, e.partition(d))
		}
		d.tags()
		res.Topics = append(res.Topics, t)
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("reading a fetch response: %w", err)
	}
	return res, e.check(res)
}

// topicName returns "" for a topic with another id than was asked for.
func (e *exchange) topicName(d *wireReader) string {
	if !e.topic.byID {
		return d.string()
	}
	if d.id() == e.topic.id {
		return e.Topics[0].Topic
	}
	return ""
}

func (e *exchange) partition(d *wireReader) fetch.ResponsePartition {
	p := fetch.ResponsePartition{
		Partition: d.int32(), ErrorCode: d.int16(),
		HighWatermark: d.int64(), LastStableOffset: d.int64(), LogStartOffset: d.int64(),
	}
	s := &recordSet{}
	for range d.count(d.left / 16) {
		s.aborted = append(s.aborted, fetch.ResponseTransaction{ProducerID: d.int64(), FirstOffset: d.int64()})
		d.tags()
	}
	if e.topic.byID {
		d.int32() // a replica that is nearer: none, as no rack was told
	}
	s.size = d.length()
	s.raw = d.bytes(min(s.size, e.limit))
	d.discard(s.size - int64(len(s.raw)))
	d.tags()
	p.RecordSet.Records = s
	return p
}

// check refuses an answer to another question. A top-level error comes without topics.
func (e *exchange) check(res *fetch.Response) error {
	if res.ErrorCode != 0 {
		return kafka.Error(res.ErrorCode)
	}
	want, part := e.Topics[0].Topic, e.Topics[0].Partitions[0].Partition
	if len(res.Topics) != 1 || res.Topics[0].Topic != want ||
		len(res.Topics[0].Partitions) != 1 || res.Topics[0].Partitions[0].Partition != part {
		return fmt.Errorf("the fetch response is not about %s/%d", want, part)
	}
	return nil
}
