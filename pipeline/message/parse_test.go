package message

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// read returns one of the real vectors.
func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/messages", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func headers(kv ...string) []Header {
	var hs []Header
	for i := 0; i < len(kv); i += 2 {
		hs = append(hs, Header{kv[i], []byte(kv[i+1])})
	}
	return hs
}

// one parses a record that must hold exactly one good job.
func one(t *testing.T, r Record, o Options) pipeline.Job {
	t.Helper()
	parts, err := Parse(r, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != 1 || parts[0].Fault != nil {
		t.Fatalf("parts = %+v, want one job", parts)
	}
	return parts[0].Job
}

// refused parses a record that must fail, and checks the error's kind.
func refused(t *testing.T, r Record, o Options) *codecs.Error {
	t.Helper()
	parts, err := Parse(r, o)
	if err == nil {
		t.Fatalf("parts = %+v, want an error", parts)
	}
	e, ok := err.(*codecs.Error)
	if !ok {
		t.Fatalf("error %T %v, want *codecs.Error", err, err)
	}
	if parts != nil || e.Stage != codecs.StageTake || !strings.HasPrefix(string(e.Code), "msg.") || strings.Contains(e.Detail, "\n") {
		t.Fatalf("parts %v, stage %q, code %q, detail %q", parts, e.Stage, e.Code, e.Detail)
	}
	return e
}

func TestJSONJob(t *testing.T) {
	raw := `{"id": "a/1", "dataset": "cats", "media": [{"uri": "s3://b/k?x#y", "type": "video/mp4", "role": "front",
		"sha256": "` + strings.Repeat("ab", 32) + `", "version": "\"etag\""}, {"data": "aGVsbG8="}],
		"text": "a \u0000 cat", "conversations": [ {"from" : "<b>"} ], "events": {"uri":  "s3://b/e"},
		"meta": {"z": 1.0, "a": 1e400},
		"provenance": {"source": "synthetic", "licence": "CC0-1.0", "generator": {"model": "m", "seed": -3, "params": {"t": 0.10}}, "parents": ["p"], "generation": 1}}`
	j := one(t, Record{Key: []byte("other"), Value: []byte(raw), Headers: headers("Content-Type", "application/json; charset=utf-8")}, Options{})
	seed := int64(-3)
	want := pipeline.Job{
		ID: "a/1", Dataset: "cats", Text: "a \x00 cat",
		Media: []pipeline.Media{
			{URI: "s3://b/k?x#y", Type: "video/mp4", Role: "front", SHA256: strings.Repeat("ab", 32), Version: `"etag"`},
			{Data: []byte("hello")},
		},
		Conversations: []byte(`[ {"from" : "<b>"} ]`), Events: []byte(`{"uri":  "s3://b/e"}`), Meta: []byte(`{"z": 1.0, "a": 1e400}`),
		Provenance: &pipeline.Provenance{Source: "synthetic", Licence: "CC0-1.0", Parents: []string{"p"}, Generation: 1,
			Generator: &pipeline.Generator{Model: "m", Seed: &seed, Params: []byte(`{"t": 0.10}`)}},
	}
	if !reflect.DeepEqual(j, want) {
		t.Errorf("got  %+v\nwant %+v", j, want)
	}
}

func TestIDAndDataset(t *testing.T) {
	const value = `{"text":"x"}`
	derived := pipeline.Job{Dataset: "d", Text: "x"}
	derived.DeriveID()
	for _, c := range []struct {
		name, key, value, id, dataset string
		headers                       []Header
	}{
		{"the job's own", "key", `{"text":"x","id":"own","dataset":"mine"}`, "own", "mine", headers("id", "h", "dataset", "h")},
		{"headers", "key", value, "h", "hd", headers("ID", "h", "DataSet", "hd")},
		{"the key", "key é", value, "key é", "d", nil},
		{"no key", "", value, derived.ID, "d", nil},
		{"a binary key", "\x00\x00\x01", value, derived.ID, "d", nil},
		{"a key that is not UTF-8", "\xff", value, derived.ID, "d", nil},
		{"a key with a C1 control", "a\u0085", value, derived.ID, "d", nil},
		{"a key over the limit", strings.Repeat("k", MaxID+1), value, derived.ID, "d", nil},
		{"a key at the limit", strings.Repeat("k", MaxID), value, strings.Repeat("k", MaxID), "d", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := one(t, Record{Key: []byte(c.key), Value: []byte(c.value), Headers: c.headers}, Options{Dataset: "d"})
			if j.ID != c.id || j.Dataset != c.dataset {
				t.Errorf("id %q, dataset %q; want %q, %q", j.ID, j.Dataset, c.id, c.dataset)
			}
		})
	}
}

func TestRawMedia(t *testing.T) {
	value := []byte{0, 0, 0, 24, 'f', 't', 'y', 'p'}
	j := one(t, Record{Key: []byte("k"), Value: value, Headers: headers(
		"content-type", `Video/MP4; codecs="avc1"`, "dataset", "cats", "id", "c1", "role", "front", "meta", ` {"a":  "<"}`,
		"provenance", `{"source":"captured","generation":0}`, "sha256", strings.Repeat("0", 64), "X-Other", "\xff")}, Options{})
	want := pipeline.Job{ID: "c1", Dataset: "cats", Meta: []byte(`{"a":  "<"}`),
		Media:      []pipeline.Media{{Data: value, Type: `Video/MP4; codecs="avc1"`, Role: "front", SHA256: strings.Repeat("0", 64)}},
		Provenance: &pipeline.Provenance{Source: "captured"}}
	if !reflect.DeepEqual(j, want) {
		t.Errorf("got  %+v\nwant %+v", j, want)
	}
	if &j.Media[0].Data[0] != &value[0] {
		t.Error("the media bytes were copied")
	}
	for _, typ := range []string{"image/svg+xml", "audio/flac"} {
		if j := one(t, Record{Value: value, Headers: headers("content-type", typ)}, Options{Dataset: "d"}); j.Media[0].Type != typ || len(j.ID) != 32 {
			t.Errorf("%s: %+v", typ, j)
		}
	}
}

func TestTraceParent(t *testing.T) {
	const a, b = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-00"
	job := func(field, header string) string {
		v := `{"text":"x"` + field + `}`
		return one(t, Record{Value: []byte(v), Headers: headers("traceparent", header)}, Options{Dataset: "d"}).TraceParent
	}
	for _, c := range []struct{ field, header, want string }{
		{"", a, a},
		{`,"traceparent":"` + b + `"`, a, b},
		{"", strings.Replace(a, "00", "cc", 1) + "-more", strings.Replace(a, "00", "cc", 1)},
		{"", a + "-more", ""},
		{"", "ff" + a[2:], ""},
		{"", strings.ToUpper(a), ""},
		{"", "00-00000000000000000000000000000000-b7ad6b7169203331-01", ""},
		{"", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", ""},
		{"", "nonsense", ""},
	} {
		if got := job(c.field, c.header); got != c.want {
			t.Errorf("field %q, header %q: %q, want %q", c.field, c.header, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	big := func(n int) string { return strings.Repeat("x", n) }
	manyHeaders := make([]Header, MaxHeaders+1)
	mp4 := headers("content-type", "video/mp4", "dataset", "d")
	with := func(kv ...string) []Header { return append(headers(kv...), mp4...) }
	for _, c := range []struct {
		name    string
		value   []byte
		headers []Header
		code    codecs.Code
		says    string
	}{
		{"tombstone", nil, nil, pipeline.CodeMsgEmpty, "tombstone"},
		{"empty value", []byte{}, mp4, pipeline.CodeMsgEmpty, "no bytes"},
		{"not JSON", []byte("hello"), nil, pipeline.CodeMsgType, "content-type: video/mp4"},
		{"not JSON but said to be", []byte("hello"), headers("content-type", "application/json"), pipeline.CodeMsgInvalid, "a JSON value should start here, at the top, byte 0"},
		{"10 MB of JSON", []byte(`{"dataset":"d","text":"` + big(10e6) + `"}`), nil, pipeline.CodeMsgLimit, "10000025 bytes, over the limit of 8388608"},
		{"depth bomb", []byte(`{"meta":` + strings.Repeat("[", 1e6)), nil, pipeline.CodeMsgLimit, "deeper than 16 levels, at /meta/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0, byte 23"},
		{"repeated key", []byte(`{"dataset":"d","meta":{"a":[{"b":1,"\u0062":2}]}}`), nil, pipeline.CodeMsgInvalid, `the key "b" stands twice in one object, at /meta/a/0/b, byte 35`},
		{"bad UTF-8", []byte("{\"text\":\"\xff\"}"), nil, pipeline.CodeMsgInvalid, "not valid UTF-8 at byte 9"},
		{"surrogate half", []byte(`{"text":"\ud800"}`), nil, pipeline.CodeMsgInvalid, "a high surrogate stands without its low one, at /text"},
		{"byte order mark", []byte("\xef\xbb\xbf{}"), headers("content-type", "application/json"), pipeline.CodeMsgInvalid, "byte order mark"},
		{"trailing data", []byte(`{"dataset":"d","text":"x"} {}`), nil, pipeline.CodeMsgInvalid, "more after the JSON value's end, at byte 27"},
		{"too many members", []byte(`{"meta":{` + members(MaxMembers+1) + `}}`), nil, pipeline.CodeMsgLimit, "more than 10000 members"},
		{"a list", []byte(`[{}]`), headers("content-type", "application/json"), pipeline.CodeMsgInvalid, "the value is a JSON array; one record holds one JSON object"},
		{"a later version", []byte(`{"version":2,"new":1}`), nil, pipeline.CodeMsgVersion, "the job's /version is 2; this build reads version 1"},
		{"a version in words", []byte(`{"version":"one"}`), nil, pipeline.CodeMsgInvalid, "the job's /version is a string"},
		{"no dataset", []byte(`{"text":"x"}`), nil, pipeline.CodeMsgInvalid, "names no dataset"},
		{"a bad dataset header", []byte(`{"text":"x"}`), headers("dataset", "../d"), pipeline.CodeMsgInvalid, `the dataset "../d" is not a name`},
		{"a bad id header", []byte(`{"text":"x"}`), headers("dataset", "d", "id", "a\nb"), pipeline.CodeMsgInvalid, `the header id is "a\nb"`},
		{"text over the limit in bytes", []byte(`{"dataset":"d","text":"` + strings.Repeat("é", MaxText/2+1) + `"}`), nil, pipeline.CodeMsgLimit, "the job's /text has 65538 bytes, over the limit of 65536"},
		{"id over the limit in bytes", []byte(`{"dataset":"d","text":"x","id":"` + strings.Repeat("é", 257) + `"}`), nil, pipeline.CodeMsgLimit, "the job's /id has 514 bytes, over the limit of 512"},
		{"65 media", []byte(`{"dataset":"d","media":[` + strings.Repeat(`{"uri":"s3://b/k"},`, 64) + `{"uri":"s3://b/k"}]}`), nil, pipeline.CodeMsgLimit, "the job's /media has more than 64 items"},
		{"a URI over the limit in bytes", []byte(`{"dataset":"d","media":[{"uri":"s3://b/` + strings.Repeat("é", MaxURI/2) + `"}]}`), nil, pipeline.CodeMsgLimit, "the job's /media/0/uri has 8199 bytes, over the limit of 8192"},
		{"broken base64", []byte(`{"dataset":"d","media":[{"uri":"s3://b/k"},{"data":"a*"}]}`), nil, pipeline.CodeMsgInvalid, "the job's /media/1/data is not base64"},
		{"seed over 64 bits", []byte(`{"dataset":"d","text":"x","provenance":{"generation":0,"generator":{"model":"m","seed":9223372036854775808}}}`), nil, pipeline.CodeMsgInvalid, "the job's /provenance/generator/seed"},
		{"an exponent that must not be worked out", []byte(`{"dataset":"d","text":"x","provenance":{"generation":1e1000000000}}`), nil, pipeline.CodeMsgInvalid, "the job's /provenance/generation"},
		{"65 headers", []byte("x"), manyHeaders, pipeline.CodeMsgLimit, "65 headers, over the limit of 64"},
		{"17 KiB of headers", []byte("x"), headers("meta", big(17<<10)), pipeline.CodeMsgLimit, "over the limit of 16384"},
		{"a header twice", []byte("x"), with("Dataset", "e"), pipeline.CodeMsgInvalid, `the header "dataset" stands twice`},
		{"a header that is not UTF-8", []byte("x"), with("role", "\xff"), pipeline.CodeMsgInvalid, `the header "role" is not valid UTF-8`},
		{"meta header is no JSON", []byte("x"), with("meta", "{a}"), pipeline.CodeMsgInvalid, "the header meta: an object's key in double quotes should stand here"},
		{"meta header is a list", []byte("x"), with("meta", "[]"), pipeline.CodeMsgInvalid, "the job's /meta is of type array"},
		{"provenance header with an unknown field", []byte("x"), with("provenance", `{"by":"me"}`), pipeline.CodeMsgInvalid, "the headers make a bad job: the job's /provenance/by is not a known field"},
		{"sha256 header", []byte("x"), with("sha256", "ABC"), pipeline.CodeMsgInvalid, `the job's /media/0/sha256 is "ABC"; it should be a SHA-256 digest in 64 lower-case hex digits`},
		{"text/plain", []byte("x"), headers("content-type", "text/plain"), pipeline.CodeMsgType, `content-type "text/plain" is not read here`},
		{"no media type", []byte("x"), headers("content-type", "a/b/c"), pipeline.CodeMsgType, `the content-type "a/b/c" is not a media type`},
		{"CloudEvents batch", []byte("[]"), headers("content-type", "application/cloudevents-batch+json"), pipeline.CodeMsgType, "one a record"},
		{"CloudEvents in Avro", []byte("x"), headers("content-type", "application/cloudevents+avro"), pipeline.CodeMsgType, "application/cloudevents+json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := refused(t, Record{Value: c.value, Headers: c.headers}, Options{})
			if e.Code != c.code || !strings.Contains(e.Detail, c.says) {
				t.Errorf("%s: %s\nwant %s: ...%s...", e.Code, e.Detail, c.code, c.says)
			}
			if len(e.Detail) > 600 {
				t.Errorf("the sentence has %d bytes", len(e.Detail))
			}
		})
	}
}

func members(n int) string {
	var b bytes.Buffer
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strings.Repeat("k", i%7) + string(rune('a'+i%26)) + string(rune(0x4e00+i)) + `":0`)
	}
	return b.String()
}
