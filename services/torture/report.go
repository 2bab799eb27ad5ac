package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/millrace/millrace/pipeline/audit"
)

// report is what a run did, and what came of it.
type report struct {
	Seed      uint64    `json:"seed"`
	Campaigns []string  `json:"campaigns"`
	Began     time.Time `json:"began"`
	// Attacked, Settled and Took are in seconds: with faults, from the last fault until
	// everything was committed, and all in all.
	Attacked float64 `json:"attacked_seconds"`
	Settled  float64 `json:"settled_seconds"`
	Took     float64 `json:"took_seconds"`

	Produced int                       `json:"produced"`
	Records  int                       `json:"records"`
	Totals   map[string]int            `json:"totals"`
	Goals    map[string]int            `json:"goals"`
	Counts   map[string]map[string]int `json:"counts"`
	Audit    *audit.Report             `json:"audit,omitempty"`
	// Poisoned are messages that were refused because workers were killed while they had
	// them in hand, three times. They are in quarantine, and can be replayed.
	Poisoned int             `json:"poisoned"`
	Verify   string          `json:"verify,omitempty"` // "ok", or what `millrace verify --deep` said
	Takeover *takeoverReport `json:"takeover,omitempty"`
	Naive    *naiveReport    `json:"naive,omitempty"`
	Failure  string          `json:"failure,omitempty"`
}

// sum takes over what was counted.
func (r *report) sum(c *counts, o *options) {
	r.Counts, r.Totals, r.Goals = c.all(), map[string]int{}, map[string]int{}
	for _, g := range []string{kills, naiveKills, stalls, rebalances, storeFaults, network, brokers, logins, disks, offsets, exits} {
		r.Totals[g] = c.total(g)
	}
	for g := range o.goals {
		r.Goals[g] = o.goal(g)
	}
}

// verdict is nil if every message ended once and the run attacked as it was to.
func (r *report) verdict() error {
	switch {
	case r.Failure != "":
		return fmt.Errorf("%s", r.Failure)
	case r.Audit != nil && !r.Audit.Sound():
		return fmt.Errorf("the audit found faults, the first: %v", r.Audit.Violations[0])
	case r.Poisoned > 1+r.Totals[kills]/killsPerPoison:
		return fmt.Errorf("%d messages were given up as deadly after %d kills: that is too many to be chance", r.Poisoned, r.Totals[kills])
	case r.Verify != "" && r.Verify != "ok":
		return fmt.Errorf("millrace verify: %s", r.Verify)
	case r.Naive != nil && r.Naive.Lost+r.Naive.Doubled == 0:
		return fmt.Errorf("the naive sink seems to be exactly once after %d kills: the checker is blind, or the run too tame", r.Naive.Kills)
	}
	for g, n := range r.Goals {
		if r.Totals[g] < n {
			return fmt.Errorf("%w: %s %d of %d", errGoals, g, r.Totals[g], n)
		}
	}
	return nil
}

// killsPerPoison is after how many kills one innocent message may look guilty.
const killsPerPoison = 100

// line is the last line of a run.
func (r *report) line() string {
	var lost, doubled, wrong int64
	if r.Audit != nil {
		lost, doubled, wrong = r.Audit.Lost, r.Audit.Doubled, r.Audit.Wrong
	}
	s := fmt.Sprintf("lost %d, doubled %d, wrong %d; messages %d, kills %d, stalls %d, rebalances %d, store faults %d; seed %d; %s",
		lost, doubled, wrong, r.Produced, r.Totals[kills], r.Totals[stalls], r.Totals[rebalances], r.Totals[storeFaults], r.Seed,
		time.Duration(r.Took*float64(time.Second)).Round(time.Second))
	if r.Poisoned > 0 {
		s += fmt.Sprintf("; quarantined as deadly by chance %d", r.Poisoned)
	}
	if r.Naive != nil {
		s += fmt.Sprintf("; the naive sink beside: lost %d, doubled %d", r.Naive.Lost, r.Naive.Doubled)
	}
	return s
}

func (r *report) write(file string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // a report is no secret
}
