package recipe

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/codecs/patch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/message"
)

func schemaDoc(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recipe.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("recipe.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads YAML the way an editor does: by a generic decoder.
func asJSON(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSchemaTakesGoodRecipes(t *testing.T) {
	s := compile(t)
	check := func(name string, b []byte) {
		if err := s.Validate(asJSON(t, b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range goods(t) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, b)
		r, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path+" shown", Show(r))
	}
}

// beyond names the rules that relate fields or count, which the schema does not say.
var beyond = []string{"together: ", "two outputs", "has no use for it", "is more than", "channel 1", "a name with",
	"leaves", "png has no quality", "no picture", "ascending", "version", "stands twice", "alias", "out of range", "10000 values"}

// The schema refuses what is wrong with one field; messages of bad.txt that it is
// silent on must be among those beyond it.
func TestSchemaRefusesBadRecipes(t *testing.T) {
	s, refused := compile(t), 0
	for _, c := range bads(t) {
		var v any
		if yaml.Unmarshal([]byte(c.recipe), &v) != nil || v == nil || strings.Contains(c.recipe, "\n---") || strings.Contains(c.recipe, "!!") {
			continue
		}
		if s.Validate(asJSON(t, []byte(c.recipe))) != nil {
			refused++
			continue
		}
		if !slices.ContainsFunc(beyond, func(b string) bool { return strings.Contains(c.name+" "+c.says, b) }) {
			t.Errorf("the schema takes %q: %s", c.name, c.says)
		}
	}
	if refused < 74 {
		t.Errorf("the schema refuses %d of the bad recipes", refused)
	}
}

func TestSchemaExamples(t *testing.T) {
	s, root := compile(t), schemaDoc(t)
	examples := root["examples"].([]any)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for i, e := range examples {
		b, _ := json.Marshal(e)
		v, _ := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err := s.Validate(v); err != nil {
			t.Errorf("example %d: %v", i, err)
		}
		if _, err := Parse("example", b); err != nil { // JSON is YAML
			t.Errorf("example %d: %v", i, err)
		}
	}
	for name, p := range root["properties"].(map[string]any) {
		l, _ := p.(map[string]any)["examples"].([]any)
		for _, e := range l {
			doc := map[string]any{"dataset": "d", "keep": "jpeg"}
			doc[name] = e
			b, _ := json.Marshal(doc)
			if _, err := Parse("example", b); err != nil {
				t.Errorf("example of %s: %s: %v", name, b, err)
			}
		}
	}
}

// TestSchemaHasTheFieldsOfTheCode compares the keys that are read with the schema's.
func TestSchemaHasTheFieldsOfTheCode(t *testing.T) {
	root := schemaDoc(t)
	d := newDecoder("schema")
	r := blank()
	props := func(path ...string) map[string]any {
		var at any = root
		for _, p := range path {
			switch v := at.(type) {
			case map[string]any:
				at = v[p]
			case []any:
				at = v[1].(map[string]any)[p] // the mapping form stands second
			}
		}
		return at.(map[string]any)
	}
	for _, c := range []struct {
		name   string
		fields []field
		props  map[string]any
	}{
		{"recipe", d.fields(r), props("properties")},
		{"video", d.videoFields(&r.Video), props("properties", "video", "properties")},
		{"image", d.imageFields(&r.Image), props("properties", "image", "properties")},
		{"limits", d.limitFields(&r.Limits), props("properties", "limits", "properties")},
		{"qwen", d.qwenFields(&r.Video.Pick), props("$defs", "qwen", "anyOf", "properties")},
		{"clip", d.clipFields(&r.Video.Clip), props("properties", "video", "properties", "clip", "anyOf", "properties")},
		{"audio", d.audioFields(&r.Audio), props("properties", "audio", "anyOf", "properties")},
		{"mel", d.melFields(new(pipeline.Mel)), props("properties", "audio", "anyOf", "properties", "mel", "anyOf", "properties")},
		{"output", d.outputFields(&r.Outputs[0]), props("$defs", "shards", "anyOf", "properties")},
		{"pack", d.packFields(new(pipeline.Pack)), props("$defs", "pack", "anyOf", "properties")},
		{"tokens", d.specFields(new(patch.Spec)), props("$defs", "output", "anyOf", "properties")},
	} {
		got := names(c.fields)
		slices.Sort(got)
		if want := slices.Sorted(maps.Keys(c.props)); !slices.Equal(got, want) {
			t.Errorf("%s: the code reads %q, the schema has %q", c.name, got, want)
		}
	}
	tags := func(typ reflect.Type) []string {
		var l []string
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			l = append(l, tag)
		}
		return l
	}
	if got, want := names(d.limitFields(&r.Limits)), tags(reflect.TypeFor[codecs.Limits]()); !slices.Equal(got, want) {
		t.Errorf("limits: read %q, declared %q", got, want)
	}
	if got, want := names(d.specFields(new(patch.Spec))), append([]string{"preset"}, tags(reflect.TypeFor[patch.Spec]())...); !slices.Equal(got, want) {
		t.Errorf("tokens: read %q, declared %q", got, want)
	}
}

// The words that other packages define are those of the schema.
func TestSchemaHasTheWordsOfTheCode(t *testing.T) {
	defs := schemaDoc(t)["$defs"].(map[string]any)
	output := defs["output"].(map[string]any)["anyOf"].([]any)[1].(map[string]any)["properties"].(map[string]any)
	enum := func(s any) (l []string) {
		for _, v := range s.(map[string]any)["enum"].([]any) {
			l = append(l, v.(string))
		}
		return l
	}
	if got, want := enum(defs["preset"]), slices.Sorted(maps.Keys(patch.Presets())); !slices.Equal(got, want) {
		t.Errorf("recipe.schema.json lists the presets %q; this build has %q", got, want)
	}
	if got := enum(output["layout"]); !slices.Equal(got, patch.Layouts()) {
		t.Errorf("layouts %q", got)
	}
	if got := enum(output["dtype"]); !slices.Equal(got, patch.DTypes()) {
		t.Errorf("dtypes %q", got)
	}
	if got := enum(defs["format"]); !slices.Equal(got, formats) {
		t.Errorf("formats %q", got)
	}
	for i, f := range patch.Filters() {
		if got := enum(output["filter"]); got[i] != string(f) {
			t.Errorf("filters %q", got)
		}
	}
}

// Defaults in the schema are those that the code fills in.
func TestSchemaDefaults(t *testing.T) {
	root := schemaDoc(t)
	doc := map[string]any{"dataset": "d", "keep": "jpeg"}
	for _, section := range []string{"video", "image", "limits"} {
		m := map[string]any{}
		for k, p := range root["properties"].(map[string]any)[section].(map[string]any)["properties"].(map[string]any) {
			if v, ok := p.(map[string]any)["default"]; ok {
				m[k] = v
			} else if k != "clip" { // it follows from the token outputs
				t.Errorf("%s.%s has no default", section, k)
			}
		}
		doc[section] = m
	}
	doc["outputs"] = root["properties"].(map[string]any)["outputs"].(map[string]any)["default"]
	b, _ := json.Marshal(doc)
	full, err := Parse("defaults", b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	bare, err := Parse("bare", []byte("dataset: d\nkeep: jpeg\n"))
	if err != nil {
		t.Fatal(err)
	}
	full.Video.Containers, full.Image.Containers = nil, nil
	if !reflect.DeepEqual(full, bare) {
		t.Errorf("the schema's defaults make %+v, the code's %+v", full, bare)
	}
}

// A recipe's dataset and a job's must be the same names.
func TestDatasetNamesAreThoseOfJobs(t *testing.T) {
	var job map[string]any
	if err := json.Unmarshal(message.Schema(), &job); err != nil {
		t.Fatal(err)
	}
	pattern := func(root map[string]any) any {
		return root["properties"].(map[string]any)["dataset"].(map[string]any)["pattern"]
	}
	if a, b := pattern(schemaDoc(t)), pattern(job); a != b || a == nil {
		t.Errorf("recipe %v, job %v", a, b)
	}
	for _, name := range []string{"a", "A1", "a.b_c-d", "7", strings.Repeat("x", 64), "", ".a", "-a", "_a", "a b", "a/b", "é", "a\n", strings.Repeat("x", 65)} {
		v, _ := json.Marshal(map[string]string{"dataset": name, "text": "x"})
		_, err := message.Parse(message.Record{Value: v}, message.Options{})
		if name != "" && (err == nil) != isDataset(name) {
			t.Errorf("%q: as a job %v, as a recipe %t", name, err, isDataset(name))
		}
	}
}
