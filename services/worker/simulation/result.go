package simulation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/audit"
)

// Result is what became of one seed.
type Result struct {
	Seed        uint64
	Virtual     time.Duration
	Faults      map[string]int // by kind
	Commits     int            // data records
	Fences      int
	Generations int
	Takeovers   int // partitions that were given to a member that did not have them
	// Digest is SHA-256 over all that happened: equal for equal runs.
	Digest string
	Audit  *audit.Report
	// Violations are what must never be; empty is well.
	Violations []string
	// Tail is the end of the trace, of a run with violations.
	Tail []string
	all  []string
}

// Troubles is how many faults there were. What others do rightly is none.
func (r *Result) Troubles() int {
	n := 0
	for kind, k := range r.Faults {
		if kind != "sweep" && kind != "publish" {
			n += k
		}
	}
	return n
}

// Sum adds up many seeds.
type Sum struct {
	Seeds, Violated                       int
	Virtual                               time.Duration
	Faults                                map[string]int
	Commits, Fences, Generations, Changes int
	Messages, Samples                     int64
	troubles                              []int
}

// Add adds a seed's result.
func (s *Sum) Add(r *Result) {
	if s.Faults == nil {
		s.Faults = map[string]int{}
	}
	s.Seeds++
	s.Virtual += r.Virtual
	for k, n := range r.Faults {
		s.Faults[k] += n
	}
	s.Commits += r.Commits
	s.Fences += r.Fences
	s.Generations += r.Generations
	s.Changes += r.Takeovers
	if r.Audit != nil {
		s.Messages += r.Audit.Messages
		s.Samples += r.Audit.Samples
	}
	if len(r.Violations) > 0 {
		s.Violated++
	}
	s.troubles = append(s.troubles, r.Troubles())
}

// MedianFaults is the median of the seeds' numbers of faults.
func (s *Sum) MedianFaults() int {
	if len(s.troubles) == 0 {
		return 0
	}
	all := slices.Sorted(slices.Values(s.troubles))
	return all[len(all)/2]
}

// String is a summary for people.
func (s *Sum) String() string {
	var b strings.Builder
	total := 0
	for _, n := range s.troubles {
		total += n
	}
	for _, k := range slices.Sorted(maps.Keys(s.Faults)) {
		fmt.Fprintf(&b, " %s %d", k, s.Faults[k])
	}
	return fmt.Sprintf("%d seeds, %.1f virtual hours: %d faults (median %d a seed):%s; %d messages, %d samples, %d commits, %d fences, %d generations, %d takeovers; %d seeds with violations",
		s.Seeds, s.Virtual.Hours(), total, s.MedianFaults(), b.String(), s.Messages, s.Samples, s.Commits, s.Fences, s.Generations, s.Changes, s.Violated)
}
