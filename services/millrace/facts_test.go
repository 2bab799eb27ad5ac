package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
)

// fact is what testdata/readers/dump.py says of one field, in words that do not depend on
// the format.
type fact struct {
	Kind   string
	SHA256 string
	DType  string `json:",omitempty"`
	Shape  []int  `json:",omitempty"`
}

// facts are those of each sample, by key and field.
type facts map[string]map[string]fact

// factOf is a field's fact and its name in a dump.
func factOf(t testing.TB, f pipeline.Field) (string, fact) {
	t.Helper()
	switch path.Ext("." + f.Name) {
	case ".npy":
		a, err := patch.ParseNPY(f.Data)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		return strings.TrimSuffix(f.Name, ".npy"), fact{Kind: "array", SHA256: digest(a.Data), DType: a.DType, Shape: a.Shape}
	case ".json":
		return f.Name, fact{Kind: "json", SHA256: digest(canonical(t, f.Data))}
	case ".txt":
		return f.Name, fact{Kind: "text", SHA256: digest(f.Data)}
	}
	return f.Name, fact{Kind: "bytes", SHA256: digest(f.Data)}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (fs facts) add(t testing.TB, s *pipeline.Sample) {
	t.Helper()
	if fs[s.Key] != nil {
		t.Errorf("%s is there twice", s.Key)
	}
	fs[s.Key] = map[string]fact{}
	for _, f := range s.Fields {
		name, is := factOf(t, f)
		fs[s.Key][name] = is
	}
}

// readSamples gives the samples of shards, read by package shard.
func readSamples(t testing.TB, p place, shards []ledger.Shard) []pipeline.Sample {
	t.Helper()
	var all []pipeline.Sample
	for _, sh := range shards {
		rc, _, err := p.Get(t.Context(), sh.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			t.Fatal(err)
		}
		r, err := shard.Open(sh.Format, bytes.NewReader(data), int64(len(data)), shard.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		for {
			e, err := r.Next()
			if err == io.EOF {
				break
			}
			var s pipeline.Sample
			if err == nil {
				err = shard.ReadSample(r, e, &s, shard.DefaultLimits())
			}
			if err != nil {
				t.Fatalf("%s: %v", sh.Key, err)
			}
			all = append(all, s)
		}
	}
	return all
}

// differences are the keys of which a and b do not say the same, with what they say.
func differences(a, b facts) map[string]string {
	all := map[string]string{}
	for key := range maps.Keys(a) {
		if !reflect.DeepEqual(a[key], b[key]) {
			all[key] = fmt.Sprintf("%+v and %+v", a[key], b[key])
		}
	}
	for key := range maps.Keys(b) {
		if a[key] == nil {
			all[key] = fmt.Sprintf("%+v is there once only", b[key])
		}
	}
	return all
}

func agree(t testing.TB, what string, got, want facts) {
	t.Helper()
	if d := differences(got, want); len(d) > 0 {
		key := slices.Min(slices.Collect(maps.Keys(d)))
		t.Errorf("%s: %d of %d samples differ, as %s: %s", what, len(d), len(want), key, d[key])
	}
}

// canonical is a JSON document as Python's json.dumps(sort_keys=True, separators=(",",
// ":")) writes it.
func canonical(t testing.TB, data []byte) []byte {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	writePython(&b, v)
	return b.Bytes()
}

func writePython(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		fmt.Fprint(b, v)
	case string:
		writePythonString(b, v)
	case json.Number:
		b.WriteString(pythonNumber(v.String()))
	case []any:
		for i, e := range v {
			b.WriteByte("[,"[min(i, 1)])
			writePython(b, e)
		}
		b.WriteString("[]"[min(len(v), 1):])
	case map[string]any:
		for i, name := range slices.Sorted(maps.Keys(v)) {
			b.WriteByte("{,"[min(i, 1)])
			writePythonString(b, name)
			b.WriteByte(':')
			writePython(b, v[name])
		}
		b.WriteString("{}"[min(len(v), 1):])
	}
}

func writePythonString(b *bytes.Buffer, s string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\b': `\b`}
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case short[r] != "":
			b.WriteString(short[r])
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		default:
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(b, `\u%04x`, u)
			}
		}
	}
	b.WriteByte('"')
}

// pythonNumber is a number as Python writes it after reading it: whole ones as they
// stand, others as the shortest that is the same float.
func pythonNumber(s string) string {
	if s == "-0" {
		return "0"
	}
	if !strings.ContainsAny(s, ".eE") {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	sci := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(sci[strings.IndexByte(sci, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return sci
	}
	if s = strconv.FormatFloat(f, 'f', -1, 64); !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func TestCanonical(t *testing.T) {
	const in = `{"z":[],"a":{},"é\"\\\/\n\u007f😀\u0001":[1.0,1e21,1E-5,0.0001,123456789012345678901,-0,-0.0,10,1.5e300,1e15,1e16,true,null,2.5]}`
	const want = `{"a":{},"z":[],"\u00e9\"\\/\n\u007f\ud83d\ude00\u0001":[1.0,1e+21,1e-05,0.0001,123456789012345678901,0,-0.0,10,1.5e+300,1000000000000000.0,1e+16,true,null,2.5]}`
	if got := string(canonical(t, []byte(in))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
