package queue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// fetchVersion is the one version of the Fetch API spoken here: that of Kafka 2.1,
// the first that carries zstd. Kafka 4.1 speaks 4 to 17.
const fetchVersion = 10

// undecoded is a transport for Client.Fetch under which a response's record set
// stays bytes (see [recordSet]). It uses the hook that kafka-go has for messages
// that do their own exchange (protocol.RawExchanger), so that connections, TLS,
// SASL and routing remain the library's.
type undecoded struct {
	transport kafka.RoundTripper
	clientID  string
	limit     int64 // bytes of a record set that are kept
}

// RoundTrip sends a *fetch.Request for one partition.
func (u *undecoded) RoundTrip(ctx context.Context, addr net.Addr, m kafka.Request) (kafka.Response, error) {
	r, ok := m.(*fetch.Request)
	if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("%T is not a fetch of one partition", m)
	}
	return u.transport.RoundTrip(ctx, addr, &exchange{Request: r, clientID: u.clientID, limit: u.limit})
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
	clientID       string
	limit          int64
	version        int16
}

// Required is called with what the broker speaks, just before RawExchange.
func (e *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	e.version = versions[protocol.Fetch] // the highest that both the library and the broker know
	return true
}

// RawExchange writes the request and reads the response.
func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if e.version < fetchVersion {
		return nil, fmt.Errorf("the broker speaks version %d of the fetch protocol, not %d: Kafka 2.1 or later is needed", e.version, fetchVersion)
	}
	if _, err := rw.Write(e.encode()); err != nil {
		return nil, err
	}
	return e.decode(rw)
}

// correlation is the same each time: a connection has one request at a time.
const correlation = 1

func (e *exchange) encode() []byte {
	t, p := e.Topics[0], e.Topics[0].Partitions[0]
	b := make([]byte, 4, 128+len(t.Topic)+len(e.clientID)) // the length comes last
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.Fetch))
	b = binary.BigEndian.AppendUint16(b, fetchVersion)
	b = binary.BigEndian.AppendUint32(b, correlation)
	b = appendString(b, e.clientID)

	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // replica: a consumer
	b = binary.BigEndian.AppendUint32(b, uint32(e.MaxWaitTime))
	b = binary.BigEndian.AppendUint32(b, uint32(e.MinBytes))
	b = binary.BigEndian.AppendUint32(b, uint32(e.MaxBytes))
	b = append(b, byte(e.IsolationLevel))
	b = binary.BigEndian.AppendUint32(b, 0)          // session id: none
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // session epoch: none

	b = binary.BigEndian.AppendUint32(b, 1) // topics
	b = appendString(b, t.Topic)
	b = binary.BigEndian.AppendUint32(b, 1) // partitions
	b = binary.BigEndian.AppendUint32(b, uint32(p.Partition))
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // leader epoch: not known
	b = binary.BigEndian.AppendUint64(b, uint64(p.FetchOffset))
	b = binary.BigEndian.AppendUint64(b, 0xffffffffffffffff) // log start: for followers
	b = binary.BigEndian.AppendUint32(b, uint32(p.PartitionMaxBytes))

	b = binary.BigEndian.AppendUint32(b, 0) // forgotten topics
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// decode reads a response of fetchVersion for the one partition that was asked for.
func (e *exchange) decode(r io.Reader) (*fetch.Response, error) {
	d := wireReader{r: r, left: 4}
	d.left = int64(d.int32()) // the length of what follows
	if id := d.int32(); d.err == nil && id != correlation {
		return nil, fmt.Errorf("the broker answered request %d, not %d", id, correlation)
	}
	res := &fetch.Response{ThrottleTimeMs: d.int32(), ErrorCode: d.int16(), SessionID: d.int32()}
	for range d.count(1 << 10) {
		t := fetch.ResponseTopic{Topic: d.string()}
		for range d.count(1 << 10) {
			t.Partitions = append(t.Partitions, e.partition(&d))
		}
		res.Topics = append(res.Topics, t)
	}
	d.discard(d.left)
	if d.err != nil {
		return nil, fmt.Errorf("reading a fetch response: %w", d.err)
	}
	return res, e.check(res)
}

func (e *exchange) partition(d *wireReader) fetch.ResponsePartition {
	p := fetch.ResponsePartition{
		Partition: d.int32(), ErrorCode: d.int16(),
		HighWatermark: d.int64(), LastStableOffset: d.int64(), LogStartOffset: d.int64(),
	}
	s := &recordSet{}
	for range d.count(d.left / 16) {
		s.aborted = append(s.aborted, fetch.ResponseTransaction{ProducerID: d.int64(), FirstOffset: d.int64()})
	}
	s.size = max(int64(d.int32()), 0)
	s.raw = d.bytes(min(s.size, e.limit))
	d.discard(s.size - int64(len(s.raw)))
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

// wireReader reads Kafka's primitive types. Its first error is sticky, and every
// read after it gives zero.
type wireReader struct {
	r    io.Reader
	left int64 // bytes of the message not yet read
	err  error
	buf  [8]byte
}

func (d *wireReader) read(b []byte) {
	if d.err == nil && int64(len(b)) > d.left {
		d.err = errors.New("it ends early")
	}
	if d.err == nil {
		_, d.err = io.ReadFull(d.r, b)
	}
	if d.err != nil {
		clear(b)
		return
	}
	d.left -= int64(len(b))
}

func (d *wireReader) int16() int16 {
	d.read(d.buf[:2])
	return int16(binary.BigEndian.Uint16(d.buf[:2]))
}

func (d *wireReader) int32() int32 {
	d.read(d.buf[:4])
	return int32(binary.BigEndian.Uint32(d.buf[:4]))
}

func (d *wireReader) int64() int64 {
	d.read(d.buf[:8])
	return int64(binary.BigEndian.Uint64(d.buf[:8]))
}

// count reads the length of an array; null counts as empty.
func (d *wireReader) count(most int64) int {
	n := int64(d.int32())
	if n > most {
		d.fail(fmt.Errorf("an array of %d elements, %d at most", n, most))
	}
	if d.err != nil || n < 0 {
		return 0
	}
	return int(n)
}

func (d *wireReader) string() string {
	return string(d.bytes(int64(max(d.int16(), 0))))
}

// bytes checks n against what is left before it allocates.
func (d *wireReader) bytes(n int64) []byte {
	if n > d.left {
		d.fail(errors.New("it ends early"))
	}
	if d.err != nil || n == 0 {
		return nil
	}
	b := make([]byte, n)
	d.read(b)
	return b
}

func (d *wireReader) discard(n int64) {
	if n > d.left {
		d.fail(errors.New("it ends early"))
	}
	if d.err != nil || n <= 0 {
		return
	}
	_, d.err = io.CopyN(io.Discard, d.r, n)
	d.left -= n
}

func (d *wireReader) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}
