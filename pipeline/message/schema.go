package message

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
)

//go:embed job.schema.json
var schemaText []byte

// Schema returns the JSON Schema (draft 2020-12) of a job message. It is the very
// document that [Parse] checks with, and its descriptions are the documentation of
// the format. The caller owns the copy.
func Schema() []byte { return bytes.Clone(schemaText) }

// jobSchema is the schema in the two forms that checking needs: compiled, and as a
// document whose titles say in words what a value should be.
type jobSchema struct {
	compiled *jsonschema.Schema
	doc      any
}

// theSchema compiles on first use, once; the schema is part of the program, so a
// failure is a bug that every test meets.
var theSchema = sync.OnceValue(func() jobSchema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	if err != nil {
		panic(fmt.Sprintf("job.schema.json: %v", err))
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("job.schema.json", doc); err != nil {
		panic(fmt.Sprintf("job.schema.json: %v", err))
	}
	return jobSchema{compiled: c.MustCompile("job.schema.json"), doc: doc}
})

// checkSchema holds a skeleton against the schema. The fault names one place and
// says what should stand there; of several the first in the order of pointers, so
// that the same message always gets the same text.
func checkSchema(skeleton any) error {
	s := theSchema()
	err := s.compiled.Validate(skeleton)
	if err == nil {
		return nil
	}
	ve, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return fault(pipeline.CodeMsgInvalid, "the job can not be checked against its schema: %w", err)
	}
	found := s.findings(ve, nil)
	slices.SortFunc(found, func(a, b finding) int { return strings.Compare(a.at+a.says, b.at+b.says) })
	f := found[0]
	more := ""
	if n := len(found) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fault(f.code, "%s %s%s", place(f.at), f.says, more)
}

// finding is one place where a job breaks the schema.
type finding struct {
	code codecs.Code
	at   string // JSON pointer
	says string // continues "the job's /pointer ..."
}

// findings flattens the tree of errors to its leaves. Groups of alternatives are
// leaves: their titles say what is wanted better than each alternative's failure.
func (s jobSchema) findings(e *jsonschema.ValidationError, into []finding) []finding {
	ptr := ""
	for _, t := range e.InstanceLocation {
		ptr += "/" + escapePointer(t)
	}
	add := func(code codecs.Code, at, format string, args ...any) {
		into = append(into, finding{code, at, fmt.Sprintf(format, args...)})
	}
	title, fields := s.words(e.SchemaURL)
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		add(pipeline.CodeMsgInvalid, ptr, "%s", title)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			add(pipeline.CodeMsgInvalid, ptr+"/"+escapePointer(name), "is not a known field; known are %s", fields)
		}
	case *kind.Required:
		add(pipeline.CodeMsgInvalid, ptr, "lacks %s", strings.Join(k.Missing, ", "))
	case *kind.DependentRequired:
		add(pipeline.CodeMsgInvalid, ptr+"/"+k.Prop, "needs %s beside it", strings.Join(k.Missing, ", "))
	case *kind.Type:
		if k.Got == "null" {
			add(pipeline.CodeMsgInvalid, ptr, "is null; leave the field out or give it a %s", title)
			break
		}
		add(pipeline.CodeMsgInvalid, ptr, "is of type %s; it should be a %s", k.Got, title)
	case *kind.MaxLength:
		add(pipeline.CodeMsgLimit, ptr, "has %d characters, over the limit of %d", k.Got, k.Want)
	case *kind.MaxItems:
		add(pipeline.CodeMsgLimit, ptr, "has more than %d items", k.Want)
	case *kind.MinLength, *kind.MinItems:
		add(pipeline.CodeMsgInvalid, ptr, "is empty; it should be a %s", title)
	case *kind.Pattern:
		if strings.HasSuffix(ptr, "/uri") { // what is no URI yet may hold a signature or a password
			add(pipeline.CodeMsgInvalid, ptr, "is no %s", title)
			break
		}
		add(pipeline.CodeMsgInvalid, ptr, "is %s; it should be a %s", shown(k.Got), title)
	case *kind.Enum:
		add(pipeline.CodeMsgInvalid, ptr, "is %s; it should be %s", shown(fmt.Sprint(k.Got)), title)
	default:
		for _, c := range e.Causes {
			into = s.findings(c, into)
		}
		if len(e.Causes) == 0 {
			add(pipeline.CodeMsgInvalid, ptr, "should be a %s", title)
		}
	}
	return into
}

// words returns the title of the schema at a URL's fragment and the names of its
// properties.
func (s jobSchema) words(url string) (title, fields string) {
	_, ptr, _ := strings.Cut(url, "#")
	at := s.doc
	for t := range strings.SplitSeq(strings.TrimPrefix(ptr, "/"), "/") {
		switch v := at.(type) {
		case map[string]any:
			if t != "" {
				at = v[t]
			}
		case []any:
			var i int
			if _, err := fmt.Sscan(t, &i); err == nil && i < len(v) {
				at = v[i]
			}
		}
	}
	m, _ := at.(map[string]any)
	title, _ = m["title"].(string)
	props, _ := m["properties"].(map[string]any)
	names := make([]string, 0, len(props))
	for k := range props {
		names = append(names, k)
	}
	slices.Sort(names)
	return title, strings.Join(names, ", ")
}

// place names where in a job something stands.
func place(ptr string) string {
	if ptr == "" {
		return "the job"
	}
	return "the job's " + tidy(ptr)
}

// checkVersion refuses a job of a later format before its fields are judged, as
// they may mean other things there.
func checkVersion(doc map[string]json.RawMessage) error {
	raw, ok := doc["version"]
	if !ok || string(raw) == "1" {
		return nil
	}
	if jsonKind(raw) != "number" {
		return fault(pipeline.CodeMsgInvalid, "the job's /version is a %s; it should be the number 1, or left out", jsonKind(raw))
	}
	return fault(pipeline.CodeMsgVersion, "the job's /version is %s; this build reads version 1", tidy(string(raw)))
}
