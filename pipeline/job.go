package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Job is one thing to turn into samples: media plus what is known of it. It is
// what an ingest message, an uploaded object or a backfill entry becomes.
//
// Text, Conversations, Events and Meta travel untouched into each sample's JSON.
type Job struct {
	// ID names the job for ever: the caller's, or derived (see [ContentID]).
	ID string `json:"id"`
	// Dataset chooses the recipe.
	Dataset string  `json:"dataset"`
	Media   []Media `json:"media,omitempty"`

	Text          string          `json:"text,omitempty"`
	Conversations json.RawMessage `json:"conversations,omitempty"`
	Events        json.RawMessage `json:"events,omitempty"`
	Meta          json.RawMessage `json:"meta,omitempty"`
	Provenance    *Provenance     `json:"provenance,omitempty"`

	// TraceParent continues the caller's trace (W3C).
	TraceParent string `json:"traceparent,omitempty"`
	// ReplayOf names the refused message that this one repeats, as "STREAM/OFFSET". It
	// comes from the record's header alone, and goes into the outcome.
	ReplayOf string `json:"-"`
}

// Media is one medium of a job: inline bytes or a URI, never both.
type Media struct {
	URI  string `json:"uri,omitempty"`
	Data []byte `json:"data,omitempty"` // base64 in JSON
	// Type is the declared MIME type. It is a hint: the bytes decide.
	Type string `json:"type,omitempty"`
	// Role says what the medium is to its job, e.g. "screen:desktop". Free text.
	Role string `json:"role,omitempty"`
	// SHA256 is the expected digest in lower-case hex; a mismatch is refused.
	SHA256 string `json:"sha256,omitempty"`
	// Version pins an object version (versionId or ETag) where the URI has them.
	Version string `json:"version,omitempty"`
	// Honour lists the opt-out signals that the dataset's recipe obeys (see
	// [SourceRules]). The stream sets it before it fetches; no message does.
	Honour []string `json:"-"`
	// Dataset is the job's, for rules on what it may read. The stream sets it too.
	Dataset string `json:"-"`
	// Sparse says that little of the medium will be read (see [Recipe.Sparse]). Likewise.
	Sparse bool `json:"-"`
}

// Provenance says where a thing came from. Every sample carries it.
type Provenance struct {
	Source  string `json:"source,omitempty"` // captured|licensed|crawled|synthetic|distilled|human
	Licence string `json:"licence,omitempty"`
	Consent string `json:"consent,omitempty"`
	// Generator is set for synthetic data.
	Generator *Generator `json:"generator,omitempty"`
	Parents   []string   `json:"parents,omitempty"` // ids
	// Generation is 0 for what is not synthetic, else 1 + the highest of the parents'.
	Generation int `json:"generation"`
}

// Generator is the model that made a synthetic thing.
type Generator struct {
	Model        string          `json:"model"`
	Version      string          `json:"version,omitempty"`
	PromptSHA256 string          `json:"prompt_sha256,omitempty"`
	Seed         *int64          `json:"seed,omitempty"`
	Params       json.RawMessage `json:"params,omitempty"`
}

// ContentID is the id of a job whose caller gave none: 128 bits of SHA-256, in
// hex, over the dataset and each part (inline bytes, or a URI and its version),
// lengths included so that parts can not run into each other.
func ContentID(dataset string, parts ...[]byte) string {
	h := sha256.New()
	for _, p := range append([][]byte{[]byte(dataset)}, parts...) {
		var n [8]byte
		for i, l := 0, len(p); i < 8; i++ {
			n[i] = byte(l >> (8 * i))
		}
		h.Write(n[:])
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// DeriveID gives the job an id from its content where it has none.
func (j *Job) DeriveID() {
	if j.ID != "" {
		return
	}
	var parts [][]byte
	for _, m := range j.Media {
		if len(m.Data) > 0 {
			parts = append(parts, []byte("data"), m.Data)
		} else {
			parts = append(parts, []byte("uri"), []byte(m.URI), []byte(m.Version))
		}
	}
	parts = append(parts, []byte(j.Text), j.Conversations, j.Events, j.Meta)
	j.ID = ContentID(j.Dataset, parts...)
}
