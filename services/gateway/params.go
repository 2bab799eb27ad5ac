package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/millrace/millrace/pipeline/message"
)

// paramNames are what a request says of a medium beside its bytes, in its query or in
// headers Millrace-NAME. They are those of a record's headers, and checked as these.
func paramNames() []string {
	return []string{"dataset", "id", "meta", "provenance", "role", "sha256"}
}

// params are what a request says of its medium.
type params map[string]string

func readParams(r *http.Request) (params, error) {
	p := params{}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil { // Query would leave out what it can not read
		return nil, badRequest("the query is malformed")
	}
	for name, values := range query {
		if !slices.Contains(paramNames(), name) {
			return nil, badRequest("the query's %.40q is not known; known are %v", name, paramNames())
		}
		if len(values) > 1 {
			return nil, badRequest("%s stands twice in the query", name)
		}
		p[name] = values[0]
	}
	for _, name := range paramNames() {
		values := r.Header.Values("Millrace-" + name)
		switch {
		case len(values) == 0:
		case len(values) > 1:
			return nil, badRequest("the header Millrace-%s stands twice", name)
		case p[name] != "" && p[name] != values[0]:
			return nil, badRequest("%s is one thing in the query and another in the header", name)
		default:
			p[name] = values[0]
		}
	}
	return p, nil
}

func badRequest(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, code: codeRequest, detail: fmt.Sprintf(format, args...)}
}

// headers are the parameters as a record's headers. Those that are empty count as not
// said.
func (p params) headers(contentType string) []message.Header {
	h := []message.Header{{Key: "content-type", Value: []byte(contentType)}}
	for _, name := range paramNames() {
		if p[name] != "" {
			h = append(h, message.Header{Key: name, Value: []byte(p[name])})
		}
	}
	return h
}
