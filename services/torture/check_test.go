package main

import (
	"testing"

	"github.com/millrace/millrace/pipeline/audit"
)

// Only the message that was given up as deadly is expected to be, and each such is counted.
func TestPoisoned(t *testing.T) {
	stream := audit.Stream{Cluster: "c", Topic: "t", Messages: []audit.Message{
		{Offset: 0, ID: "a", Want: audit.Samples, Samples: 1}, {Offset: 1, ID: "b", Want: audit.Samples, Samples: 1},
	}}
	r := &rig{ledger: audit.Campaign{Streams: []audit.Stream{stream}}}
	n := r.poisoned(&audit.Report{Violations: []audit.Violation{
		{Kind: "message.outcome", Stream: stream.Path(), Offset: 1, Detail: "it is quarantined with poison.crash-loop; it was to end as 1 samples"},
		{Kind: "message.outcome", Stream: stream.Path(), Offset: 0, Detail: "it is quarantined with decode.crash; it was to end as 1 samples"},
		{Kind: "message.lost", Stream: stream.Path(), Offset: 0, Detail: "no record says how it ended"},
	}})
	got := r.ledger.Streams[0].Messages
	if n != 1 || got[0].Want != audit.Samples || got[1].Want != audit.Refused || got[1].Code != poisonCode {
		t.Errorf("%d messages; %+v", n, got)
	}
	out := &report{Poisoned: 1, Totals: map[string]int{kills: 5}}
	if err := out.verdict(); err != nil {
		t.Errorf("one by chance: %v", err)
	}
	if out.Poisoned = 2; out.verdict() == nil {
		t.Error("two after five kills are taken for chance")
	}
}
