package main

import (
	"maps"
	"sync"
)

// The groups of counts.
const (
	kills       = "kills"       // of workers, by point, or "random", "all at once"
	naiveKills  = "naive-kills" // of naive sinks, the same
	stalls      = "stalls"      // by point, or "random"; "crossed": another took the stream meanwhile
	rebalances  = "rebalances"  // join, leave, partitions
	storeFaults = "store"       // by kind: faults of single requests
	network     = "network"     // by side and kind: toxics
	brokers     = "kafka"       // restarts
	logins      = "credentials" // rotated, refused
	disks       = "disk"        // filled
	offsets     = "offsets"     // rewound, forwarded, deleted
	exits       = "exits"       // workers that ended by themselves, by exit code
	requests    = "requests"    // that the gates saw
)

// counts are what was done, by group and name. Safe for concurrent use.
type counts struct {
	mu sync.Mutex
	by map[string]map[string]int
}

func newCounts() *counts { return &counts{by: map[string]map[string]int{}} }

func (c *counts) add(group, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[group] == nil {
		c.by[group] = map[string]int{}
	}
	c.by[group][name]++
}

func (c *counts) of(group, name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[group][name]
}

// total adds up a group. What is only a property of others does not count again.
func (c *counts) total(group string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, k := range c.by[group] {
		if name != crossed {
			n += k
		}
	}
	return n
}

// all is a copy.
func (c *counts) all() map[string]map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]map[string]int{}
	for g, m := range c.by {
		out[g] = maps.Clone(m)
	}
	return out
}
