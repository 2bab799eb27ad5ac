package ledger_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
	"pgregory.net/rapid"
)

func TestStreamPath(t *testing.T) {
	for _, c := range []struct {
		stream ledger.Stream
		path   string
	}{
		{ledger.KafkaStream("MkU3OEVBNTcwNTJENDM2Qg", "millrace.ingest", 12), "MkU3OEVBNTcwNTJENDM2Qg~millrace.ingest~12"},
		{ledger.KafkaStream("c", "..", 0), "c~%2E.~0"},
		{ledger.NamedStream("backfill-2026"), "backfill-2026"},
		{ledger.NamedStream("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd"},
		{ledger.NamedStream("a~b~1"), "a%7Eb%7E1"},
		{ledger.NamedStream("ü x%41"), "%C3%BC%20x%2541"},
		{ledger.NamedStream(".hidden"), "%2Ehidden"},
	} {
		if got := c.stream.Path(); got != c.path {
			t.Errorf("%+v has the path %q, want %q", c.stream, got, c.path)
		}
		if got, err := ledger.ParseStream(c.path); err != nil || got != c.stream {
			t.Errorf("%q is read as %+v, %v", c.path, got, err)
		}
	}
	for _, path := range []string{
		"", "a/b", "a~b", "a~b~c", "a~b~-1", "a~b~01", "a~b~+1", "a~b~4294967296", "~b~1", "a~~1", "%41", "%", "%zz", "a%2eb", "a%2Eb", ".a", "a b", "%FF", "a~b~1~c", strings.Repeat("x", 256),
	} {
		if got, err := ledger.ParseStream(path); err == nil {
			t.Errorf("%q is read as %+v", path, got)
		}
	}
	for _, s := range []ledger.Stream{
		{}, {Cluster: "c"}, {Topic: "t"}, {Name: "n", Topic: "t"}, {Name: "n", Partition: 1}, {Cluster: "c", Topic: "t", Partition: -1},
		{Name: "\xff"}, {Name: strings.Repeat("/", 100)},
	} {
		if s.Validate() == nil {
			t.Errorf("%+v is valid", s)
		}
	}
}

// TestStreamRoundTrip: each stream has a path of its own, which any store takes.
func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := ledger.NamedStream(rapid.String().Draw(t, "name"))
		if rapid.Bool().Draw(t, "kafka") {
			s = ledger.KafkaStream(rapid.String().Draw(t, "cluster"), rapid.String().Draw(t, "topic"), rapid.Int32Min(0).Draw(t, "partition"))
		}
		if s.Validate() != nil {
			return
		}
		got, err := ledger.ParseStream(s.Path())
		if err != nil || got != s {
			t.Fatalf("%+v has the path %q, which is read as %+v, %v", s, s.Path(), got, err)
		}
		for _, key := range []string{ledger.RecordKey(s, 1), ledger.DataPrefix(s, 1) + "x.tar"} {
			if err := store.CheckKey(key); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzParseStream(f *testing.F) {
	for _, path := range []string{"a~b~1", "name", "%2E.%2Fx", "c~%2E.~0", "%", "a~b"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		s, err := ledger.ParseStream(path)
		if err == nil && s.Path() != path {
			t.Fatalf("%q is read as %+v, whose path is %q", path, s, s.Path())
		}
		if err == nil && store.CheckKey(ledger.RecordKey(s, 0)) != nil {
			t.Fatalf("%q is accepted, but makes no key", path)
		}
	})
}
