package claim

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/queue"
	"github.com/millrace/millrace/pipeline/store"
)

// FuzzRecord: anybody may have written to the topic. What is taken for a record is one that
// a writer could have sent, and is read back the same.
func FuzzRecord(f *testing.F) {
	data := []byte("record")
	f.Add([]byte("_log/s/00000000000000000001"), data, "create", "token", digest(data), "")
	f.Add([]byte("_log/s/00000000000000000001"), []byte{}, "delete", "token", digest(data), "")
	f.Add([]byte("_snap/00000000000000000001"), []byte{}, "create", "token", digest(data), copyKey(digest(data)))
	f.Fuzz(func(t *testing.T, key, value []byte, op, token, sum, copied string) {
		r, err := parse(key, value, []queue.Header{
			{Key: headerOp, Value: []byte(op)}, {Key: headerToken, Value: []byte(token)}, {Key: headerSHA256, Value: []byte(sum)},
			{Key: headerCopy, Value: []byte(copied)}, {Key: "other", Value: value},
		})
		if err != nil {
			return
		}
		if store.CheckKey(r.Key) != nil || strings.HasPrefix(r.Key, "/") || r.Copy != "" && !strings.HasPrefix(r.Copy, dir) {
			t.Fatalf("%+v is a record", r)
		}
		m := message(r)
		again, err := parse(m.Key, m.Value, m.Headers)
		if err != nil || !reflect.DeepEqual(again, r) && len(r.Data)+len(again.Data) > 0 {
			t.Fatalf("%+v is read back as %+v, %v", r, again, err)
		}
	})
}

// FuzzPartition: a key has a partition that is there, always the same, and the record before
// the one after a record is that record.
func FuzzPartition(f *testing.F) {
	f.Add("_log/c~t~3/00000000000000000001", 4)
	f.Add("_log/c~t~4/00000000000000000000", 4)
	f.Add("_log/name/09223372036854775807", 1)
	f.Fuzz(func(t *testing.T, key string, partitions int) {
		if partitions < 1 {
			return
		}
		id := Identity{Topic: "t", Partitions: partitions}
		n, err := partitionOf(key, id)
		if n < 0 || n >= partitions {
			t.Fatalf("%q is of partition %d of %d, %v", key, n, partitions, err)
		}
		before := previous(key)
		if before == "" {
			return
		}
		if len(before) != len(key) || before >= key {
			t.Fatalf("before %q comes %q", key, before)
		}
		if m, err2 := partitionOf(before, id); m != n || (err == nil) != (err2 == nil) {
			t.Fatalf("%q is of partition %d, and %q of %d", key, n, before, m)
		}
	})
}

// FuzzBinding: what is taken for a binding names a topic.
func FuzzBinding(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"I","topic":"t","topic_id":"T","cluster":"c","location":"s3://b"}`))
	f.Add([]byte(`{"v":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := parseBinding(data); err == nil && (b.Version != 1 || b.ID == "" || b.TopicID == "") {
			t.Fatalf("%q is the binding %+v", data, b)
		}
	})
}
