package queue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTopicQuestion has another library read what is written here.
func TestTopicQuestion(t *testing.T) {
	want := kmsg.NewPtrMetadataRequest()
	want.Version = metadataVersion
	name := "ingest"
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &name
	want.Topics = append(want.Topics, rt)
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("millrace"))
	got := (&topicQuestion{topic: name, clientID: "millrace"}).encode()
	if w := f.AppendRequest(nil, want, correlation); !bytes.Equal(got, w) {
		t.Fatalf("got  %x\nwant %x", got, w)
	}
}

func topicResponse(change func(*kmsg.MetadataResponse)) []byte {
	r := kmsg.NewPtrMetadataResponse()
	r.Version = metadataVersion
	for i, rack := range []string{"", "rack-1"} {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = int32(i), "host", 9092
		if rack != "" {
			b.Rack = &rack
		}
		r.Brokers = append(r.Brokers, b)
	}
	id, name := "cluster", "ingest"
	r.ClusterID = &id
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic = &name
	rt.TopicID = [16]byte{1, 2, 3}
	rt.Partitions = append(rt.Partitions, kmsg.NewMetadataResponseTopicPartition())
	r.Topics = append(r.Topics, rt)
	if change != nil {
		change(r)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 4), correlation)
	b = r.AppendTo(append(b, 0)) // no tags in the header
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func TestTopicAnswer(t *testing.T) {
	q := &topicQuestion{topic: "ingest"}
	src := bytes.NewReader(append(topicResponse(nil), "next"...))
	m, err := q.decode(src)
	if err != nil || src.Len() != 4 {
		t.Fatal(err, src.Len())
	}
	if a := m; a.id != [16]byte{1, 2, 3} || a.code != 0 {
		t.Fatalf("%+v", a)
	}
	m, err = q.decode(bytes.NewReader(topicResponse(func(r *kmsg.MetadataResponse) { r.Topics[0].ErrorCode = 3 })))
	if err != nil || m.code != 3 {
		t.Fatal(m, err)
	}
	other := "other"
	for _, raw := range [][]byte{
		topicResponse(func(r *kmsg.MetadataResponse) { r.Topics[0].Topic = &other }),
		topicResponse(func(r *kmsg.MetadataResponse) { r.Topics = nil }),
		topicResponse(nil)[:40],
	} {
		if m, err := q.decode(bytes.NewReader(raw)); err == nil {
			t.Errorf("%+v", m)
		}
	}
}

func FuzzTopicAnswer(f *testing.F) {
	f.Add(topicResponse(nil))
	f.Add(topicResponse(func(r *kmsg.MetadataResponse) { r.Topics = nil }))
	long := topicResponse(nil)[:4+4+1+4+1+4]          // up to the first broker's host,
	copy(long, "\x7f\xff\xff\xff")                    // of a long response,
	f.Add(append(long, 0x80, 0x80, 0x80, 0x80, 0x02)) // which is said to have half a GiB
	f.Fuzz(func(t *testing.T, raw []byte) {
		q := &topicQuestion{topic: "ingest"}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := q.decode(bytes.NewReader(raw)); err == nil && !bytes.Contains(raw, []byte("ingest")) {
			t.Fatal("an answer about the topic that does not name it")
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20+uint64(100*len(raw)) {
			t.Fatalf("%d bytes took %d of memory", len(raw), n)
		}
	})
}

func TestTopicID(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		a, b := openTopic(t, addr, 1), openTopic(t, addr, 1)
		ids := map[string]bool{}
		for _, c := range []*Client{a, a, b} {
			id, err := c.TopicID(testContext(t))
			if raw, herr := hex.DecodeString(id); err != nil || herr != nil || len(raw) != 16 || strings.Trim(id, "0") == "" {
				t.Fatalf("%q, %v", id, err)
			}
			ids[id] = true
		}
		if len(ids) != 2 {
			t.Fatalf("two topics have ids %v", ids)
		}
		c, err := Open(testConfig(addr, "never-made"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.TopicID(testContext(t)); !errors.Is(err, kafka.UnknownTopicOrPartition) {
			t.Fatal(err)
		}
	})
}
