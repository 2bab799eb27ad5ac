package simulation

import (
	"flag"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Int("seeds", 100, "how many seeds TestSeeds runs")
	first = flag.Uint64("first", 1, "the first of them")
	last  = flag.Duration("for", 0, "TestSeeds begins no seed after so long; 0 is no bound")
)

// scratch is a folder in memory, where the system has one.
func scratch(t testing.TB) string {
	if dir, err := os.MkdirTemp("/dev/shm", "simulation-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// simulate runs a seed in a bubble of its own.
func simulate(t *testing.T, number uint64, dir string) (r *Result) {
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("seed %d: %v", number, p)
		}
	}()
	synctest.Test(t, func(t *testing.T) { r = Run(t.Context(), number, dir) })
	return r
}

func TestSeeds(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	dir := scratch(t)
	var sum Sum
	began := time.Now()
	for n := range uint64(*seeds) {
		r := simulate(t, *first+n, dir)
		sum.Add(r)
		if len(r.Violations) > 0 {
			t.Errorf("seed %d:\n%s\nthe last of what happened:\n%s", r.Seed, strings.Join(r.Violations, "\n"), strings.Join(r.Tail, "\n"))
			if *until || sum.Violated >= 3 {
				break
			}
		}
		if *last > 0 && time.Since(began) > *last {
			break
		}
	}
	t.Logf("%v; %.1f ms a seed", &sum, time.Since(began).Seconds()*1000/float64(sum.Seeds))
	if sum.MedianFaults() < 20 {
		t.Errorf("the median seed has %d faults; it is to have 20 or more", sum.MedianFaults())
	}
}

// A seed gives the same run, to the nanosecond.
func TestReplay(t *testing.T) {
	dir := scratch(t)
	for number := range uint64(10) {
		a, b := simulate(t, number, dir), simulate(t, number, dir)
		if a.Digest != b.Digest {
			t.Errorf("seed %d gives two runs", number)
		}
	}
}
