package recipe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/pipeline"
)

// Digest is what a recipe does, in 64 hex digits: SHA-256 over its canonical JSON.
// That is [pipeline.Recipe]'s JSON without the members about and digest, with the
// keys of every object in byte order, no white space, no escapes that JSON does not
// demand, and numbers as Go writes them (shortest form that reads back the same).
//
// So two documents of different words and equal meaning have one digest, and a
// changed default changes it, as it should.
func Digest(r *pipeline.Recipe) string {
	return sum(canonical(r))
}

// sum is SHA-256 in hex.
func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// canonical writes the text that the digest is over.
func canonical(r *pipeline.Recipe) []byte {
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(encode(r)))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		panic(fmt.Sprintf("recipe: its JSON can not be read back: %v", err))
	}
	delete(doc, "about")
	delete(doc, "digest")
	return encode(doc) // encoding/json sorts the keys of maps
}

// encode writes JSON. A recipe holds only plain values, so it can not fail.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("recipe: it can not be written as JSON: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
