package recipe

import (
	"bytes"
	_ "embed"
)

//go:embed recipe.schema.json
var schemaText []byte

// Schema returns the JSON Schema (draft 2020-12) of a recipe's YAML, for editors and
// as documentation. [Parse] checks more than a schema can say, but refuses whatever
// the schema refuses. The caller owns the copy.
func Schema() []byte { return bytes.Clone(schemaText) }
