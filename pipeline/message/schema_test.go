package message

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

func schemaDoc(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// resolve follows a $ref into $defs.
func resolve(t *testing.T, root, s map[string]any) map[string]any {
	t.Helper()
	if ref, ok := s["$ref"].(string); ok {
		return root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	return s
}

// TestSchemaHasTheFieldsOfTheCode walks the structs' JSON names beside the schema's
// properties. Only version is in the schema alone: it is the format's, not the job's.
func TestSchemaHasTheFieldsOfTheCode(t *testing.T) {
	root := schemaDoc(t)
	walked := 0
	var walk func(at string, typ reflect.Type, s map[string]any)
	walk = func(at string, typ reflect.Type, s map[string]any) {
		s = resolve(t, root, s)
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		switch {
		case typ == reflect.TypeFor[json.RawMessage](), typ == reflect.TypeFor[[]byte]():
			return
		case typ.Kind() == reflect.Slice:
			walk(at+"/*", typ.Elem(), s["items"].(map[string]any))
			return
		case typ.Kind() != reflect.Struct:
			return
		}
		walked++
		props := maps.Clone(s["properties"].(map[string]any))
		if at == "" {
			delete(props, "version")
		}
		var tags []string
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == "-" {
				continue
			}
			tags = append(tags, tag)
			if p, ok := props[tag].(map[string]any); ok {
				walk(at+"/"+tag, f.Type, p)
			}
		}
		slices.Sort(tags)
		if names := slices.Sorted(maps.Keys(props)); !slices.Equal(tags, names) {
			t.Errorf("%q: the code has %q, the schema %q", at, tags, names)
		}
		if s["additionalProperties"] != false {
			t.Errorf("%q: the schema lets unknown fields pass", at)
		}
	}
	walk("", reflect.TypeFor[pipeline.Job](), root)
	if walked != 4 {
		t.Errorf("%d structs were walked, want job, medium, provenance and generator", walked)
	}
}

// Titles stand in messages and descriptions are the documentation, so all have both.
func TestSchemaReadsAsDocumentation(t *testing.T) {
	var walk func(at string, s map[string]any)
	walk = func(at string, s map[string]any) {
		for name, p := range s {
			props, ok := p.(map[string]any)
			if name != "properties" && name != "$defs" || !ok {
				continue
			}
			for k, v := range props {
				v := v.(map[string]any)
				if _, ref := v["$ref"]; !ref && (v["title"] == nil || len(v["description"].(string)) < 8) {
					t.Errorf("%s/%s has no title or no description", at, k)
				}
				walk(at+"/"+k, v)
			}
		}
	}
	walk("", schemaDoc(t))
}

func TestSchemaExamples(t *testing.T) {
	root := schemaDoc(t)
	examples := root["examples"].([]any)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		raw, _ := json.Marshal(e)
		if j := one(t, Record{Value: raw}, Options{}); j.Dataset == "" {
			t.Errorf("example %d: %+v", i, j)
		}
	}
	for name, p := range root["properties"].(map[string]any) {
		l, _ := resolve(t, root, p.(map[string]any))["examples"].([]any)
		for _, e := range l {
			job := map[string]any{"dataset": "d", "text": "x"}
			job[name] = e
			raw, _ := json.Marshal(job)
			one(t, Record{Value: raw}, Options{})
		}
	}
}

// Each counter-example breaks one rule and is refused at that very place.
func TestSchemaCounterExamples(t *testing.T) {
	for _, c := range []struct {
		at, job string
		code    codecs.Code
	}{
		{"/id", `{"id":"","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/id", `{"id":7,"text":"x"}`, pipeline.CodeMsgInvalid},
		{"/id", `{"id":"a\tb","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/id", `{"id":"a\u0085","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/id", `{"id":"` + strings.Repeat("x", 513) + `","text":"x"}`, pipeline.CodeMsgLimit},
		{"/ID", `{"ID":"a","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/dataset", `{"dataset":"","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/dataset", `{"dataset":".hidden","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/dataset", `{"dataset":"a/b","text":"x"}`, pipeline.CodeMsgInvalid},
		{"/dataset", `{"dataset":null,"text":"x"}`, pipeline.CodeMsgInvalid},
		{"/media", `{"media":{}}`, pipeline.CodeMsgInvalid},
		{"/media", `{"media":[]}`, pipeline.CodeMsgInvalid},
		{"/media/0", `{"media":["s3://b/k"]}`, pipeline.CodeMsgInvalid},
		{"/media/0", `{"media":[{"type":"video/mp4"}]}`, pipeline.CodeMsgInvalid},
		{"/media/1", `{"media":[{"uri":"s3://b/k"},{"uri":"s3://b/k","data":"AA=="}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/url", `{"media":[{"uri":"s3://b/k","url":"s3://b/k"}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/uri", `{"media":[{"uri":"b/k"}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/uri", `{"media":[{"uri":"s3://b"}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/uri", `{"media":[{"uri":"s3://b/` + strings.Repeat("k", 8192) + `"}]}`, pipeline.CodeMsgLimit},
		{"/media/0/data", `{"media":[{"data":""}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/data", `{"media":[{"data":[1,2]}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/data", `{"media":[{"data":"AAA"}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/role", `{"media":[{"uri":"s3://b/k","role":"a\nb"}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/type", `{"media":[{"uri":"s3://b/k","type":"` + strings.Repeat("x", 257) + `"}]}`, pipeline.CodeMsgLimit},
		{"/media/0/sha256", `{"media":[{"uri":"s3://b/k","sha256":"` + strings.Repeat("A", 64) + `"}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/version", `{"media":[{"uri":"s3://b/k","version":""}]}`, pipeline.CodeMsgInvalid},
		{"/media/0/version", `{"media":[{"data":"AA==","version":"1"}]}`, pipeline.CodeMsgInvalid},
		{"/text", `{"text":["x"]}`, pipeline.CodeMsgInvalid},
		{"/text", `{"text":"` + strings.Repeat("x", MaxText+1) + `"}`, pipeline.CodeMsgLimit},
		{"/conversations", `{"conversations":"hello"}`, pipeline.CodeMsgInvalid},
		{"/events", `{"events":"s3://b/k"}`, pipeline.CodeMsgInvalid},
		{"/meta", `{"text":"x","meta":[1]}`, pipeline.CodeMsgInvalid},
		{"/traceparent", `{"text":"x","traceparent":"00-x"}`, pipeline.CodeMsgInvalid},
		{"/provenance", `{"text":"x","provenance":"me"}`, pipeline.CodeMsgInvalid},
		{"/provenance/source", `{"text":"x","provenance":{"source":"found"}}`, pipeline.CodeMsgInvalid},
		{"/provenance/license", `{"text":"x","provenance":{"license":"MIT"}}`, pipeline.CodeMsgInvalid},
		{"/provenance/generation", `{"text":"x","provenance":{"generation":-1}}`, pipeline.CodeMsgInvalid},
		{"/provenance/generation", `{"text":"x","provenance":{"generation":1.5}}`, pipeline.CodeMsgInvalid},
		{"/provenance/parents", `{"text":"x","provenance":{"parents":[` + strings.Repeat(`"a",`, 1024) + `"a"]}}`, pipeline.CodeMsgLimit},
		{"/provenance/parents/1", `{"text":"x","provenance":{"parents":["a",""]}}`, pipeline.CodeMsgInvalid},
		{"/provenance/generator", `{"text":"x","provenance":{"generator":{}}}`, pipeline.CodeMsgInvalid},
		{"/provenance/generator/seed", `{"text":"x","provenance":{"generator":{"model":"m","seed":"7"}}}`, pipeline.CodeMsgInvalid},
		{"/provenance/generator/prompt_sha256", `{"text":"x","provenance":{"generator":{"model":"m","prompt_sha256":"7"}}}`, pipeline.CodeMsgInvalid},
	} {
		e := refused(t, Record{Value: []byte(c.job)}, Options{Dataset: "d"})
		if e.Code != c.code || !strings.HasPrefix(e.Detail, "the job's "+c.at+" ") {
			t.Errorf("%.80s: %s: %s\nwant %s: the job's %s ...", c.job, e.Code, e.Detail, c.code, c.at)
		}
	}
}

// Of several faults the same one is named each time.
func TestSchemaFaultIsStable(t *testing.T) {
	r := Record{Value: []byte(`{"b":1,"a":1,"c":1,"id":1,"text":1,"media":1}`)}
	want := refused(t, r, Options{}).Detail
	for range 20 {
		if got := refused(t, r, Options{}).Detail; got != want {
			t.Fatalf("%q, then %q", want, got)
		}
	}
	if !strings.HasPrefix(want, "the job's /a is not a known field") || !strings.HasSuffix(want, "(and 5 more)") {
		t.Error(want)
	}
}
