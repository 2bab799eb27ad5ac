package pipeline

import (
	"os"
	"time"
)

// Delivery is what stands at one position of a stream. Deliveries are contiguous: each
// begins at the End of the one before. It is usually one job; none for a
// message that asks for nothing (a bucket's test event); several for a bucket
// notification of several objects; or a fault, for a message that is no job.
//
// A Delivery is resolved exactly once: when the commit record that covers its
// Offset is durable.
type Delivery struct {
	// Offset is the position in the stream: Kafka's offset, or a backfill's counter.
	Offset int64
	Parts  []Part
	// Skip is set for a range of offsets without messages. Nothing else but Offset is
	// set then.
	Skip *Skip
	// Fault refuses the whole message. Parts is then empty.
	Fault error
	// Time is when the message was made, as its source says. Informational.
	Time time.Time
}

// Skip says why the offsets from Delivery.Offset up to To, exclusive, hold no message.
type Skip struct {
	To     int64
	Reason string // "control", "aborted", "gap", "batch-limit", ...
}

// End is the offset that follows the delivery.
func (d *Delivery) End() int64 {
	if d.Skip != nil {
		return d.Skip.To
	}
	return d.Offset + 1
}

// Part is one job of a delivery.
type Part struct {
	Job Job
	// Files holds media already at hand (a member of an archive that was read as a
	// stream), by media index; nil where it must be fetched. Whoever resolves the
	// delivery closes them.
	Files []*os.File
	// Fault refuses this job alone.
	Fault error
}

// SourceID says which bytes were really read for one medium.
type SourceID struct {
	URI     string `json:"uri,omitempty"` // without query and userinfo
	Version string `json:"version,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Bytes   int64  `json:"bytes"`
}

// Verdict is how a job ended: with samples, or with a fault. Never both: samples
// of a job that fails half-way are taken back.
type Verdict struct {
	Samples int64 `json:"samples"`
	Tokens  int64 `json:"tokens,omitempty"`
	// MediaSeconds is the presentation time covered, for throughput figures.
	MediaSeconds float64 `json:"media_seconds,omitempty"`
	Frames       int64   `json:"frames,omitempty"`
	// Fault is nil for a job that ended as samples.
	Fault *Fault `json:"fault,omitempty"`
}

// Fault is a refusal in the form that travels: through the mill's pipe, into the
// commit record and to people.
type Fault struct {
	Code   string `json:"code"`
	Stage  string `json:"stage"`
	Detail string `json:"detail"`
	// Attempts is how often it was tried before it was given up; 0 for once.
	Attempts int `json:"attempts,omitempty"`
	// Transient asks for another attempt; a quarantined fault never is.
	Transient bool `json:"transient,omitempty"`
}

// Error returns "stage: detail (code)".
func (f *Fault) Error() string { return f.Stage + ": " + f.Detail + " (" + f.Code + ")" }
