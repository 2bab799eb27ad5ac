package message

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

// The Kafka protocol binding's own example (CloudEvents 1.0, section 3.2.4) with a
// job as its data.
func TestBinaryEventWithJob(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	r := Record{Key: []byte("partition key"), Value: []byte(`{"media":[{"uri":"s3://b/k"}]}`), Headers: headers(
		"ce_specversion", "1.0", "ce_type", "com.example.someevent", "ce_source", "/mycontext/subcontext", "ce_id", "1234-1234-1234",
		"ce_time", "2018-04-05T03:56:24Z", "content-type", "application/json", "ce_dataset", "cats", "ce_traceparent", trace)}
	want := pipeline.Job{ID: "/mycontext/subcontext 1234-1234-1234", Dataset: "cats", Media: []pipeline.Media{{URI: "s3://b/k"}}, TraceParent: trace}
	if j := one(t, r, Options{Dataset: "other"}); !reflect.DeepEqual(j, want) {
		t.Errorf("got  %+v\nwant %+v", j, want)
	}
	r.Value = []byte(`{"id":"own","dataset":"own","text":"x"}`)
	if j := one(t, r, Options{}); j.ID != "own" || j.Dataset != "own" {
		t.Errorf("%+v", j)
	}
}

func TestBinaryEventWithMedia(t *testing.T) {
	r := Record{Key: []byte("k"), Value: []byte("bytes"), Headers: headers(
		"ce_specversion", "1.0", "ce_type", "t", "ce_source", "urn:camera:3", "ce_id", "9", "Content-Type", "image/jpeg",
		"dataset", "cats", "ce_role", "front", "ce_meta", `{"a": 1}`)}
	want := pipeline.Job{ID: "urn:camera:3 9", Dataset: "cats", Meta: []byte(`{"a": 1}`),
		Media: []pipeline.Media{{Data: []byte("bytes"), Type: "image/jpeg", Role: "front"}}}
	if j := one(t, r, Options{}); !reflect.DeepEqual(j, want) {
		t.Errorf("got  %+v\nwant %+v", j, want)
	}
}

func TestStructuredEvents(t *testing.T) {
	want := pipeline.Job{ID: "/mycontext C234-1234-1234", Dataset: "cats", Media: []pipeline.Media{{URI: "s3://raw/cats/1.mp4"}}}
	for _, hs := range [][]Header{nil, headers("content-type", "application/cloudevents+json; charset=UTF-8"), headers("content-type", "application/json")} {
		j := one(t, Record{Key: []byte("k"), Value: read(t, "ce-structured.json"), Headers: hs}, Options{})
		if want.Meta = j.Meta; !reflect.DeepEqual(j, want) || !strings.Contains(string(j.Meta), `"b": 1.0`) {
			t.Errorf("got  %+v\nwant %+v", j, want)
		}
	}
	media := pipeline.Job{ID: "/camera/3 7", Dataset: "cats",
		Media: []pipeline.Media{{Data: []byte("\xff\xd8\xff\xe0\x00\x10JFIF"), Type: "image/jpeg", Role: "front"}}}
	if j := one(t, Record{Value: read(t, "ce-structured-media.json")}, Options{}); !reflect.DeepEqual(j, media) {
		t.Errorf("got  %+v\nwant %+v", j, media)
	}
}

// Attributes may come in any order, and data before them: the SDK's own parser
// panics on some of these when data is left in.
func TestStructuredEventDataFirst(t *testing.T) {
	v := `{"data_base64":"eyJ0ZXh0IjoieCJ9","datacontenttype":"application\/json","id":"1","source":"/s","type":"t","subject":null,"specversion":"1.0","dataset":"d"}`
	if j := one(t, Record{Value: []byte(v)}, Options{}); j.Text != "x" || j.Dataset != "d" || j.ID != "/s 1" {
		t.Errorf("%+v", j)
	}
	v = `{"data":"{\"text\":\"x\"}","datacontenttype":"text/json; charset=utf-8","id":"1","source":"/s","type":"t","specversion":"1.0","dataset":"d"}`
	if e := refused(t, Record{Value: []byte(v)}, Options{}); !strings.Contains(e.Detail, "JSON string") {
		t.Error(e)
	}
}

func TestEventsRefused(t *testing.T) {
	binary := func(kv ...string) []Header {
		return append(headers("ce_type", "t", "ce_source", "/s", "ce_id", "1", "dataset", "d"), headers(kv...)...)
	}
	structured := func(more string) string {
		return `{"id":"1","source":"/s","type":"t","specversion":"1.0","dataset":"d"` + more + `}`
	}
	for _, c := range []struct {
		name, value string
		headers     []Header
		code        codecs.Code
		says        string
	}{
		{"binary, a later version", "x", binary("ce_specversion", "2.0"), pipeline.CodeMsgVersion, `specversion "2.0"; this build reads 1.0`},
		{"binary, the version before", "x", binary("ce_specversion", "0.3"), pipeline.CodeMsgVersion, `specversion "0.3"`},
		{"binary, no id", "x", headers("ce_specversion", "1.0", "ce_type", "t", "ce_source", "/s"), pipeline.CodeMsgInvalid, "id: MUST be a non-empty string"},
		{"binary, a bad time", "x", binary("ce_specversion", "1.0", "ce_time", "noon"), pipeline.CodeMsgInvalid, `the header "ce_time" is no CloudEvents attribute`},
		{"binary, a bad extension", "x", binary("ce_specversion", "1.0", "ce_a-b", "x"), pipeline.CodeMsgInvalid, `the header "ce_a-b" is no CloudEvents attribute`},
		{"binary, text", "x", binary("ce_specversion", "1.0", "content-type", "text/plain"), pipeline.CodeMsgType, `data are of type "text/plain"`},
		{"binary, an event in it", structured(""), binary("ce_specversion", "1.0", "content-type", "application/cloudevents+json"), pipeline.CodeMsgInvalid, "the job's /source is not a known field"},
		{"structured, a later version", `{"specversion":"1.1","id":"1"}`, nil, pipeline.CodeMsgVersion, `specversion "1.1"`},
		{"structured, version a number", `{"specversion":1.0}`, nil, pipeline.CodeMsgVersion, `specversion 1.0; this build reads "1.0"`},
		{"structured, no type", `{"specversion":"1.0","id":"1","source":"/s","data":{}}`, nil, pipeline.CodeMsgInvalid, "type: MUST be a non-empty string"},
		{"structured, no data", structured(""), nil, pipeline.CodeMsgEmpty, "no data"},
		{"structured, both data", structured(`,"data":{},"data_base64":""`), nil, pipeline.CodeMsgInvalid, "both data and data_base64"},
		{"structured, data_base64 a number", `{"data_base64":1,"specversion":"1.0","id":"1","source":"/s","type":"t"}`, nil, pipeline.CodeMsgInvalid, "/data_base64 is a number"},
		{"structured, bad base64", structured(`,"data_base64":"*"`), nil, pipeline.CodeMsgInvalid, "/data_base64 is not base64"},
		{"structured, media as an object", structured(`,"data":{},"datacontenttype":"video/mp4"`), nil, pipeline.CodeMsgInvalid, `/data is a object but its datacontenttype is "video/mp4"`},
		{"structured, an attribute that is an object", structured(`,"ext":{}`), nil, pipeline.CodeMsgInvalid, "attribute ext is an object"},
		{"structured, an attribute's name", structured(`,"e_x":"1"`), nil, pipeline.CodeMsgInvalid, "attributes can not be read"},
		{"structured, large attributes", structured(`,"e":"` + strings.Repeat("x", 17<<10) + `"`), nil, pipeline.CodeMsgLimit, "over the limit of 16384"},
		{"structured, a bad job", structured(`,"data":{"txt":"x"}`), nil, pipeline.CodeMsgInvalid, "the job's /txt is not a known field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := refused(t, Record{Value: []byte(c.value), Headers: c.headers}, Options{})
			if e.Code != c.code || !strings.Contains(e.Detail, c.says) {
				t.Errorf("%s: %s\nwant %s: ...%s...", e.Code, e.Detail, c.code, c.says)
			}
		})
	}
}
