package audit

import "fmt"

// Violation is one thing that is not as it must be.
type Violation struct {
	// Kind is a stable word, as in "chain.link" or "sample.doubled".
	Kind   string `json:"kind"`
	Stream string `json:"stream,omitempty"`
	Seq    int64  `json:"seq"`    // of the record, or -1
	Offset int64  `json:"offset"` // of the message, or -1
	ID     string `json:"id,omitempty"`
	Key    string `json:"key,omitempty"` // of an object, or a sample
	Detail string `json:"detail"`
}

// String is a line for people.
func (v Violation) String() string {
	s := v.Kind + ":"
	for _, part := range []string{v.Stream, v.Key, v.ID} {
		if part != "" {
			s += " " + part
		}
	}
	if v.Seq >= 0 {
		s += fmt.Sprintf(" record %d", v.Seq)
	}
	if v.Offset >= 0 {
		s += fmt.Sprintf(" offset %d", v.Offset)
	}
	return s + ": " + v.Detail
}

// Report is what an audit found.
type Report struct {
	Streams int   `json:"streams"`
	Records int64 `json:"records"`
	Fences  int64 `json:"fences"`

	// Messages is how many were produced. Of them, or of their jobs, so many ended as
	// samples, as repeats, in quarantine, as asking for nothing. Gaps are offsets without
	// a message, and messages that were given up.
	Messages    int64 `json:"messages"`
	OK          int64 `json:"ok"`
	Dup         int64 `json:"dup"`
	Quarantined int64 `json:"quarantined"`
	None        int64 `json:"none"`
	Gaps        int64 `json:"gaps"`
	Pending     int64 `json:"pending"` // not ended yet, in a campaign that is not complete

	Samples   int64 `json:"samples"` // in named shards
	Shards    int64 `json:"shards"`
	Bytes     int64 `json:"bytes"`  // of shards
	Opaque    int64 `json:"opaque"` // shards whose samples were only counted: not plain tars
	Orphans   int64 `json:"orphans"`
	Open      int64 `json:"open"` // unnamed objects of epochs in force
	Snapshots int64 `json:"snapshots"`

	// Lost and Doubled count messages and samples; Wrong counts all other violations.
	Lost    int64 `json:"lost"`
	Doubled int64 `json:"doubled"`
	Wrong   int64 `json:"wrong"`
	// Violations are the first Most of them.
	Violations []Violation `json:"violations"`
}

// Most is how many violations a report lists. All are counted.
const Most = 200

// Sound reports whether nothing was found. Use it, not the length of the list.
func (r *Report) Sound() bool { return r.Lost == 0 && r.Doubled == 0 && r.Wrong == 0 }

// Summary is one line for people.
func (r *Report) Summary() string {
	return fmt.Sprintf("messages %d: ok %d, dup %d, quarantined %d, none %d, gaps %d, pending %d; samples %d in %d shards; records %d, fences %d; orphans %d, open %d; lost %d, doubled %d, wrong %d",
		r.Messages, r.OK, r.Dup, r.Quarantined, r.None, r.Gaps, r.Pending, r.Samples, r.Shards, r.Records, r.Fences, r.Orphans, r.Open, r.Lost, r.Doubled, r.Wrong)
}

// add notes a violation that stands for n messages or samples.
func (r *Report) add(to *int64, n int64, v Violation) {
	*to += n
	if len(r.Violations) < Most {
		r.Violations = append(r.Violations, v)
	}
}
