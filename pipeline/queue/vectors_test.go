package queue

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/millrace/millrace/pipeline/queue/kafkatest"
)

var update = flag.Bool("update", false, "make testdata/batches anew, with Kafka's Java client (needs a JDK)")

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// vectorRecords is what testdata/batches/Produce.java publishes.
func vectorRecords() []Record {
	var out []Record
	for i := range 5 {
		r := Record{
			Offset: int64(i), Time: time.UnixMilli(1700000000000 + int64(i)),
			Key:     fmt.Appendf(nil, "k%d", i),
			Value:   []byte(strings.Repeat(fmt.Sprintf("value %d ", i), 50)),
			Headers: []Header{{"content-type", []byte("video/mp4")}},
		}
		switch i {
		case 1:
			r.Headers = append(r.Headers, Header{"empty", nil})
		case 3:
			r.Key = nil
		case 4:
			r.Value = nil
		}
		out = append(out, r)
	}
	return out
}

// TestVectors reads batches that Kafka's Java client wrote and Apache Kafka 4.1 sent.
func TestVectors(t *testing.T) {
	if *update {
		makeVectors(t)
	}
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("testdata", "batches", codec+".bin"))
			if err != nil {
				t.Fatal(err)
			}
			b, rest, err := parseBatch(raw, int64(len(raw)))
			if err != nil || len(rest) != 0 {
				t.Fatalf("%d bytes left, error %v", len(rest), err)
			}
			got, err := unpack(&b, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if want := vectorRecords(); !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// unpack reads all records of a batch.
func unpack(b *batch, limit int64) ([]Record, error) {
	it, err := b.open(limit)
	if err != nil {
		return nil, err
	}
	defer it.close()
	var out []Record
	for range b.count {
		r, err := it.next()
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

func makeVectors(t *testing.T) {
	broker := kafkatest.Shared(t)
	jars := filepath.Join("..", "..", ".cache", "kafka", "4.1.0", "*")
	for _, codec := range codecs {
		c, err := Open(testConfig(broker.Addr(), "java-"+codec))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.EnsureTopic(testContext(t), 1, map[string]string{"compression.type": "producer"}); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("java", "-cp", jars, filepath.Join("testdata", "batches", "Produce.java"), broker.Addr()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, codec := range codecs {
		c, err := Open(testConfig(broker.Addr(), "java-"+codec))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		res, err := c.fetch.Fetch(testContext(t), &kafka.FetchRequest{Topic: "java-" + codec, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
		if err != nil || res.Error != nil {
			t.Fatal(err, res)
		}
		if err := os.WriteFile(filepath.Join("testdata", "batches", codec+".bin"), res.Records.(*recordSet).raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
