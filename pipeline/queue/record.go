package queue

import (
	"fmt"
	"time"
)

// Record is what stands at one offset, or, where Skipped is set, the word that a
// range of offsets holds nothing to work on. The records of a partition are
// contiguous: each begins at the End of the one before.
//
// Its bytes belong to whoever received it.
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	Key       []byte // nil where there is none
	Value     []byte // nil for a tombstone
	Headers   []Header
	// Time is the producer's or the broker's, as the topic is configured.
	Time time.Time

	// Skipped, if set, covers [Offset, Skipped.To). Nothing else but Topic and
	// Partition is set then.
	Skipped *Skipped
}

// Header is one header of a record. Names may repeat.
type Header struct {
	Key   string
	Value []byte
}

// End returns the offset that follows what r covers.
func (r *Record) End() int64 {
	if r.Skipped != nil {
		return r.Skipped.To
	}
	return r.Offset + 1
}

// Reason says why offsets are skipped.
type Reason string

// The reasons. They never change their meaning.
const (
	SkipControl Reason = "control"      // a transaction's marker
	SkipAborted Reason = "aborted"      // records of an aborted transaction
	SkipGap     Reason = "gap"          // no record has these offsets (compaction, retention)
	SkipLimit   Reason = "batch-limit"  // a batch over the size limit, packed or unpacked
	SkipInvalid Reason = "batch-broken" // a batch whose checksum holds but that can not be read
	SkipFormat  Reason = "batch-format" // a message format older than Kafka 0.11
)

// Skipped is a range of offsets without records.
type Skipped struct {
	From, To int64 // half open
	Reason   Reason
	Detail   string // for people; may be empty
}

// String returns "[from, to) reason: detail".
func (s Skipped) String() string {
	t := fmt.Sprintf("[%d, %d) %s", s.From, s.To, s.Reason)
	if s.Detail != "" {
		t += ": " + s.Detail
	}
	return t
}
