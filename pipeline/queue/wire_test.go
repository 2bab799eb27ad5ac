package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func testExchange() *exchange {
	return &exchange{
		Request: &fetch.Request{
			MaxWaitTime: 500, MinBytes: 1, MaxBytes: 4096, IsolationLevel: 1,
			Topics: []fetch.RequestTopic{{Topic: "t", Partitions: []fetch.RequestPartition{{
				Partition: 3, FetchOffset: 77, PartitionMaxBytes: 4096,
			}}}},
		},
		clientID: "millrace", limit: 8, version: 11,
	}
}

var testTopic = topicRef{id: [16]byte{7, 8, 9}, known: true, byID: true}

// forms are the two ways to name a topic.
func forms(t *testing.T, f func(t *testing.T, e *exchange, version int16)) {
	t.Run("by name", func(t *testing.T) { f(t, testExchange(), fetchByName) })
	t.Run("by id", func(t *testing.T) {
		e := testExchange()
		e.topic = testTopic
		f(t, e, fetchByID)
	})
}

// TestFetchRequest has another library read what is written here.
func TestFetchRequest(t *testing.T) {
	forms(t, func(t *testing.T, e *exchange, version int16) {
		b := e.encode()
		if n := binary.BigEndian.Uint32(b); int(n) != len(b)-4 {
			t.Fatalf("length %d of %d bytes", n, len(b)-4)
		}
		want := kmsg.NewPtrFetchRequest()
		want.Version = version
		want.MaxWaitMillis, want.MinBytes, want.MaxBytes, want.IsolationLevel = 500, 1, 4096, 1
		want.SessionEpoch = -1
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = "t", testTopic.id
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = 3, 77, 4096
		rt.Partitions = append(rt.Partitions, rp)
		want.Topics = append(want.Topics, rt)
		f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("millrace"))
		if w := f.AppendRequest(nil, want, correlation); !bytes.Equal(b, w) {
			t.Fatalf("got  %x\nwant %x", b, w)
		}
	})
}

// response is what a broker would send, by another library.
func response(version int16, change func(*kmsg.FetchResponse)) []byte {
	r := kmsg.NewPtrFetchResponse()
	r.Version = version
	rt := kmsg.NewFetchResponseTopic()
	rt.Topic, rt.TopicID = "t", testTopic.id
	rp := kmsg.NewFetchResponseTopicPartition()
	rp.Partition, rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = 3, 100, 90, 10
	rp.CurrentLeader.LeaderID = 1 // a tagged field, in the flexible form
	at := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
	at.ProducerID, at.FirstOffset = 5, 80
	rp.AbortedTransactions = append(rp.AbortedTransactions, at)
	rp.RecordBatches = []byte("0123456789")
	rt.Partitions = append(rt.Partitions, rp)
	r.Topics = append(r.Topics, rt)
	if change != nil {
		change(r)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 4), correlation)
	if version >= fetchByID {
		b = append(b, 0) // no tags in the header
	}
	b = r.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func TestFetchResponse(t *testing.T) {
	forms(t, func(t *testing.T, e *exchange, version int16) {
		src := bytes.NewReader(append(response(version, nil), "next"...))
		res, err := e.decode(src)
		if err != nil {
			t.Fatal(err)
		}
		if src.Len() != 4 {
			t.Fatalf("%d bytes left for the next response, want 4", src.Len())
		}
		p := res.Topics[0].Partitions[0]
		if p.Partition != 3 || p.HighWatermark != 100 || p.LastStableOffset != 90 || p.LogStartOffset != 10 {
			t.Fatalf("%+v", p)
		}
		want := &recordSet{raw: []byte("01234567"), size: 10, aborted: []fetch.ResponseTransaction{{ProducerID: 5, FirstOffset: 80}}}
		if got := p.RecordSet.Records; !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v, want %+v", got, want)
		}
		other := response(version, func(r *kmsg.FetchResponse) { r.Topics[0].Topic, r.Topics[0].TopicID = "u", [16]byte{1} })
		if _, err := e.decode(bytes.NewReader(other)); err == nil || !strings.Contains(err.Error(), "not about t/3") {
			t.Fatal(err)
		}
	})
}

func TestFetchResponseRefuses(t *testing.T) {
	good := response(fetchByName, nil)
	for _, tc := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"another request's", append(binary.BigEndian.AppendUint32(bytes.Clone(good[:4]), 9), good[8:]...), "request 9"},
		{"another topic's", response(fetchByName, func(r *kmsg.FetchResponse) { r.Topics[0].Topic = "u" }), "not about t/3"},
		{"another partition's", response(fetchByName, func(r *kmsg.FetchResponse) { r.Topics[0].Partitions[0].Partition = 4 }), "not about t/3"},
		{"nobody's", response(fetchByName, func(r *kmsg.FetchResponse) { r.Topics = nil }), "not about t/3"},
		{"cut off", good[:len(good)-3], "EOF"},
		{"shorter than it says inside", append(binary.BigEndian.AppendUint32(nil, 60), good[4:]...), "1 elements, 0 at most"},
		{"negative length", append(binary.BigEndian.AppendUint32(nil, 1<<31), good[4:]...), "ends early"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := testExchange().decode(bytes.NewReader(tc.raw)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
		})
	}
	t.Run("an error for the whole", func(t *testing.T) {
		raw := response(fetchByName, func(r *kmsg.FetchResponse) { r.Topics, r.ErrorCode = nil, 29 })
		if _, err := testExchange().decode(bytes.NewReader(raw)); !errors.Is(err, kafka.TopicAuthorizationFailed) {
			t.Fatal(err)
		}
	})
}

func TestFetchNeedsKafka21(t *testing.T) {
	e := testExchange()
	if !e.Required(map[protocol.ApiKey]int16{protocol.Fetch: 9}) {
		t.Fatal("the library would decode")
	}
	if _, err := e.RawExchange(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "Kafka 2.1") {
		t.Fatal(err)
	}
}

func FuzzFetchResponse(f *testing.F) {
	for _, version := range []int16{fetchByName, fetchByID} {
		f.Add(version == fetchByID, response(version, nil))
		f.Add(version == fetchByID, response(version, func(r *kmsg.FetchResponse) { r.Topics = nil }))
	}
	f.Fuzz(func(t *testing.T, byID bool, raw []byte) {
		e := testExchange()
		if byID {
			e.topic = testTopic
		}
		res, err := e.decode(bytes.NewReader(raw))
		if err != nil {
			return
		}
		s := res.Topics[0].Partitions[0].RecordSet.Records.(*recordSet)
		if int64(len(s.raw)) > 8 || s.size > int64(len(raw)) || 16*len(s.aborted) > len(raw) {
			t.Fatalf("%d of %d bytes and %d aborted, of %d bytes", len(s.raw), s.size, len(s.aborted), len(raw))
		}
	})
}
