package message

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/pipeline"
)

func header(r Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func TestEncodeForms(t *testing.T) {
	inline := pipeline.Media{Data: []byte("bytes"), Type: "video/mp4"}
	for _, c := range []struct {
		name string
		job  pipeline.Job
		form string
	}{
		{"one inline medium", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{inline}, Meta: []byte(`{"a": 1}`)}, "video/mp4"},
		{"no id", pipeline.Job{Dataset: "d", Media: []pipeline.Media{inline}}, "video/mp4"},
		{"no type", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{{Data: []byte("bytes")}}}, "application/json"},
		{"another type", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{{Data: []byte("bytes"), Type: "text/plain"}}}, "application/json"},
		{"with text", pipeline.Job{ID: "a", Dataset: "d", Text: "x", Media: []pipeline.Media{inline}}, "application/json"},
		{"two", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{inline, inline}}, "application/json"},
		{"a URI", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{{URI: "s3://b/k", Type: "video/mp4"}}}, "application/json"},
		{"meta too large for headers", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{inline}, Meta: []byte(`{"a":"` + strings.Repeat("x", MaxHeaderBytes) + `"}`)}, "application/json"},
		{"8 MiB", pipeline.Job{ID: "a", Dataset: "d", Media: []pipeline.Media{{Data: make([]byte, MaxValue), Type: "video/mp4"}}}, "video/mp4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Encode(c.job)
			if err != nil {
				t.Fatal(err)
			}
			c.job.DeriveID()
			if got := header(r, "content-type"); got != c.form || string(r.Key) != c.job.ID {
				t.Errorf("content-type %q, key %q", got, r.Key)
			}
			if j := one(t, r, Options{}); !reflect.DeepEqual(j, c.job) {
				t.Errorf("got  %+v\nwant %+v", j, c.job)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for want, j := range map[string]pipeline.Job{
		"needs at least one of media":    {ID: "a", Dataset: "d"},
		"names no dataset":               {ID: "a", Text: "x"},
		"over the limit of 8388608":      {ID: "a", Dataset: "d", Media: []pipeline.Media{{Data: make([]byte, 7<<20)}}},
		"needs uri or data":              {ID: "a", Dataset: "d", Media: []pipeline.Media{{Type: "video/mp4"}}},
		"stands twice":                   {ID: "a", Dataset: "d", Text: "x", Meta: []byte(`{"a":1,"a":1}`)},
		"more after the JSON value's":    {ID: "a", Dataset: "d", Text: "x", Meta: []byte(`{}},{`)},
		`the job "a\nb" can not be sent`: {ID: "a\nb", Dataset: "d", Text: "x"},
	} {
		if r, err := Encode(j); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %.100s, %v", want, r.Value, err)
		}
	}
}

// genJob draws jobs that Encode must take.
func genJob(t *rapid.T) pipeline.Job {
	str := func(most int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.RuneFrom([]rune("aZ0 <&>\"\\/é漢😀+%#?")), 0, most, -1)
	}
	raw := func(label string, kinds ...string) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom(append(kinds, "")).Draw(t, label))
	}
	j := pipeline.Job{
		ID: rapid.OneOf(rapid.Just("id"), str(20)).Draw(t, "id"), Dataset: rapid.StringMatching(`[a-z0-9][a-zA-Z._-]{0,9}`).Draw(t, "dataset"),
		Text:          rapid.OneOf(str(50), rapid.Just("\x00\x1f\u2028")).Draw(t, "text"),
		Conversations: raw("conversations", `[ ]`, `[{"from" : "<a>&\u003c"}]`),
		Events:        raw("events", `{"uri": "s3://b/k"}`, `[1, 2.50, 1e99]`),
		Meta:          raw("meta", `{ }`, "{\"a\":\n\t[1]}", `{"k":"\ud83d\ude00"}`),
		TraceParent:   rapid.SampledFrom([]string{"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01"}).Draw(t, "trace"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "media") {
		m := pipeline.Media{Type: rapid.SampledFrom([]string{"", "video/mp4", "Image/PNG; q=1", "text/plain", "bad"}).Draw(t, "type"), Role: str(9).Draw(t, "role")}
		if rapid.Bool().Draw(t, "inline") {
			m.Data = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data")
		} else {
			m.URI = "s3://b/" + str(30).Draw(t, "uri")
			m.Version = str(5).Draw(t, "version")
		}
		j.Media = append(j.Media, m)
	}
	if rapid.Bool().Draw(t, "provenance") {
		j.Provenance = &pipeline.Provenance{Source: "crawled", Licence: str(9).Draw(t, "licence"), Generation: rapid.IntRange(0, 9).Draw(t, "generation"),
			Generator: &pipeline.Generator{Model: "m", Params: json.RawMessage(`{"t":0.10}`)}}
	}
	for _, f := range []*json.RawMessage{&j.Conversations, &j.Events, &j.Meta} {
		if len(*f) == 0 {
			*f = nil
		}
	}
	if len(j.Media) == 0 && j.Text == "" && j.Conversations == nil && j.Events == nil {
		j.Text = "text"
	}
	return j
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := genJob(t)
		r, err := Encode(j)
		if err != nil {
			t.Fatal(err)
		}
		j.DeriveID()
		parts, err := Parse(r, Options{Dataset: "other"})
		if err != nil || len(parts) != 1 || !reflect.DeepEqual(parts[0].Job, j) {
			t.Fatalf("%s\n%+v, %v\nwant %+v", r.Value, parts, err, j)
		}
	})
}

// FuzzParse: no record makes Parse panic; every job that comes out of one can be
// sent again and comes out the same.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"aws-put.json", "aws-many.json", "aws-test.json", "minio-put.json", "versitygw-put.json", "eventbridge-created.json", "sns.json", "sqs-batch.json", "job.json", "ce-structured.json", "ce-structured-media.json"} {
		f.Add([]byte("key"), read(f, name), "", "")
	}
	for _, e := range []string{`{"version":1,"dataset":"d","media":[{"data":"AA==","type":"image/png"}],"conversations":[],"provenance":{"generator":{"model":"m","params":1}}}`, `{"text":"\u0000<","meta":{"a": "é"}}`} {
		f.Add([]byte("\x00"), []byte(e), "application/json", "")
	}
	f.Add([]byte{}, []byte("GIF89a"), "image/gif", `{"a":1}`)
	f.Add([]byte("k"), []byte(`{"text":"x"}`), "application/json", "ce")
	f.Fuzz(func(t *testing.T, key, value []byte, contentType, extra string) {
		hs := headers("content-type", contentType)
		if extra == "ce" {
			hs = append(hs, headers("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t")...)
		} else if extra != "" {
			hs = append(hs, headers("meta", extra, "provenance", extra)...)
		}
		parts, err := Parse(Record{Key: key, Value: value, Headers: hs}, Options{Dataset: "d", Buckets: buckets})
		if err != nil {
			refused(t, Record{Key: key, Value: value, Headers: hs}, Options{Dataset: "d", Buckets: buckets})
			return
		}
		for _, p := range parts {
			if p.Job.ID == "" {
				t.Fatalf("a job without an id: %+v", p.Job)
			}
			if p.Fault == nil {
				sendAgain(t, p.Job)
			}
		}
	})
}

func sendAgain(t *testing.T, j pipeline.Job) {
	t.Helper()
	r, err := Encode(j)
	if err != nil {
		if strings.Contains(err.Error(), "over the limit") {
			return // base64 or a copy of the headers made it larger
		}
		t.Fatalf("%+v can not be sent: %v", j, err)
	}
	got := one(t, r, Options{})
	if !reflect.DeepEqual(plain(got), plain(j)) {
		t.Fatalf("sent %+v\ngot  %+v", j, got)
	}
}

// plain compacts the one field that is free JSON and not promised byte for byte.
func plain(j pipeline.Job) pipeline.Job {
	if j.Provenance == nil || j.Provenance.Generator == nil {
		return j
	}
	p, g := *j.Provenance, *j.Provenance.Generator
	var b bytes.Buffer
	if g.Params != nil && json.Compact(&b, g.Params) == nil {
		g.Params = b.Bytes()
	}
	p.Generator, j.Provenance = &g, &p
	return j
}
