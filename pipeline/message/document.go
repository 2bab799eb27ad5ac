package message

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline"
)

// document scans a JSON text that must be an object and returns its members,
// undecoded.
func document(b []byte) (map[string]json.RawMessage, error) {
	if err := scan(b); err != nil {
		return nil, err
	}
	doc, ok := object(b)
	if !ok {
		return nil, fault(pipeline.CodeMsgInvalid, "the value is a JSON %s; one record holds one JSON object", jsonKind(b))
	}
	return doc, nil
}

// object returns the members of a scanned object; false for other values.
func object(b []byte) (map[string]json.RawMessage, bool) {
	if jsonKind(b) != "object" {
		return nil, false
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(b, &m) == nil
}

// array returns the items of a scanned array, up to most+1 of them so that the
// caller sees that there are too many; false for other values.
func array(b []byte, most int) ([]json.RawMessage, bool) {
	if jsonKind(b) != "array" {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	items := []json.RawMessage{}
	for d.More() && len(items) <= most {
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return nil, false
		}
		items = append(items, item)
	}
	return items, true
}

// text decodes a scanned string; false for other values.
func text(b []byte) (string, bool) {
	if jsonKind(b) != "string" {
		return "", false
	}
	var s string
	return s, json.Unmarshal(b, &s) == nil
}

// jsonKind names the type of a scanned value.
func jsonKind(b []byte) string {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 {
		return "nothing"
	}
	switch b[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

// skeleton builds what the schema is checked against: the members that it looks
// into are decoded, and whatever travels untouched (and inline data) is replaced by
// a small value of the same type. So checking costs no memory for the payload.
func skeleton(b []byte, ptr string) any {
	switch jsonKind(b) {
	case "object":
		m := map[string]any{}
		if !opens(ptr) {
			return m
		}
		doc, _ := object(b)
		for k, v := range doc {
			m[k] = skeleton(v, ptr+"/"+k)
		}
		return m
	case "array":
		l := []any{}
		if !opens(ptr) {
			return l
		}
		items, _ := array(b, maxParents)
		for _, v := range items {
			l = append(l, skeleton(v, ptr+"/*"))
		}
		return l
	case "string":
		if ptr == "/media/*/data" && len(b) > 2 {
			return "data"
		}
		s, _ := text(b)
		return s
	case "boolean":
		return b[0] == 't'
	case "null":
		return nil
	}
	return skeletonNumber(b)
}

// skeletonNumber keeps whole numbers of 64 bits and makes a fraction of the rest, as
// the schema has only whole ones and a huge exponent must not be worked out.
func skeletonNumber(b []byte) json.Number {
	s := strings.TrimSpace(string(b))
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return json.Number(s)
	}
	return json.Number("0.5")
}

// opens reports whether the schema looks into the container at a pointer, written
// with * for an index.
func opens(ptr string) bool {
	switch ptr {
	case "", "/media", "/media/*", "/provenance", "/provenance/generator", "/provenance/parents":
		return true
	}
	return false
}
