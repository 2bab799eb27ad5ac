package main

import (
	"encoding/json"
	"net/http"
	"strings"
)

// request is what a gate makes of a request to the store.
type request struct {
	// name is what it is about and its verb, as in "record.put": the names of points.
	name   string
	key    string // the object's, below the bucket and the store's prefix
	stream string // the stream's path; "" where it is about none
	// conditional says that it creates and never replaces.
	conditional bool
}

// prefix is that of the store's URL in its bucket.
const prefix = "fleet"

// describe names a request. wrote is the key that the same worker created last: to read
// that very key is to settle an unknown outcome.
func describe(r *http.Request, body []byte, wrote string) request {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := request{key: strings.TrimPrefix(key, prefix+"/"), conditional: r.Header.Get("If-None-Match") == "*"}
	parts := strings.Split(q.key, "/")
	what := "bucket"
	switch {
	case strings.HasSuffix(q.key, ".idx"):
		what = "index"
	case strings.HasSuffix(q.key, ".outcomes.json"):
		what = "table"
	case parts[0] == "data":
		what = "shard"
	case parts[0] == "_log" && r.Method == http.MethodPut:
		what = kindOf(body)
	case parts[0] == "_log" && r.Method == http.MethodGet && q.key == wrote:
		what = "readback"
	case parts[0] == "_log":
		what = "log"
	case parts[0] == "_hint":
		what = "hint"
	case parts[0] == "_probe":
		what = "probe"
	case parts[0] == "_attempt":
		what = "attempt"
	case parts[0] == "_recipe":
		what = "recipe"
	case parts[0] == naiveFolder:
		what = "tar"
	}
	if len(parts) > 1 && (parts[0] == "data" || parts[0] == "_log" || parts[0] == "_hint") {
		q.stream = parts[1]
	}
	q.name = what + "." + strings.ToLower(r.Method)
	return q
}

// kindOf reads a commit record's kind; data records are just "record".
func kindOf(body []byte) string {
	var r struct{ Kind string }
	if json.Unmarshal(body, &r) == nil && (r.Kind == "genesis" || r.Kind == "fence") {
		return r.Kind
	}
	return "record"
}
