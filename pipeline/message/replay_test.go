package message

import (
	"strings"
	"testing"
)

// A replayed message says which one it repeats by its header alone: a job's own text
// can not claim it.
func TestReplayOf(t *testing.T) {
	job := `{"id": "a", "dataset": "d", "media": [{"uri": "https://example.org/a.mp4"}]}`
	notification := `{"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
		"s3": {"bucket": {"name": "b"}, "object": {"key": "k.mp4", "size": 1, "eTag": "x"}}}]}`
	for _, c := range []struct{ name, value, header, want string }{
		{"a job", job, "ingest/3/17", "ingest/3/17"},
		{"a notification's object", notification, "ingest/3/17", "ingest/3/17"},
		{"no header", job, "", ""},
		{"too long to be one", job, strings.Repeat("x", 301), ""},
	} {
		r := Record{Value: []byte(c.value)}
		if c.header != "" {
			r.Headers = []Header{{Key: "Millrace-Replay-Of", Value: []byte(c.header)}}
		}
		parts, err := Parse(r, Options{Dataset: "d", Buckets: []BucketRule{{Bucket: "b", Dataset: "d"}}})
		if err != nil || len(parts) != 1 {
			t.Fatalf("%s: %d parts, %v", c.name, len(parts), err)
		}
		if got := parts[0].Job.ReplayOf; got != c.want {
			t.Errorf("%s: replay of %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := Parse(Record{Value: []byte(`{"replay_of": "x", ` + job[1:])}, Options{}); err == nil {
		t.Error("a job's own replay_of is taken")
	}
}
