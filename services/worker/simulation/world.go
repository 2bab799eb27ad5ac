package simulation

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/audit"
	"github.com/millrace/millrace/pipeline/shard"
)

// world is all that is outside of the writers, and the record of what happened.
type world struct {
	seed seed
	plan plan
	dir  string

	partitions []*partition
	campaign   *audit.Campaign
	recipes    map[string]*pipeline.Recipe

	mu     sync.Mutex // guards what follows
	bucket *bucket
	group  *group
	trace  trace
	result Result
	ended  chan struct{} // closed when all is accounted for, or the time is over
}

func newWorld(s seed, dir string) *world {
	w := &world{seed: s, plan: planOf(s), dir: dir, bucket: newBucket(), ended: make(chan struct{})}
	w.trace.began = time.Now()
	w.result.Seed, w.result.Faults = uint64(s), map[string]int{}
	w.plan.window.Dir = dir
	w.produce()
	w.group = newGroup(w)
	w.recipes = map[string]*pipeline.Recipe{}
	for _, dataset := range []string{"a", "b"} {
		w.recipes[dataset] = &pipeline.Recipe{Version: 1, Dataset: dataset, Digest: strings.Repeat(dataset, 64), Outputs: []pipeline.Output{{
			Format: shard.WebDataset, ShardBytes: 1 << 20, ShardSamples: w.plan.shardSamples, ShardAge: w.plan.shardAge,
		}}}
	}
	return w
}

// dice gives the dice of what somebody does to an object now.
func (w *world) dice(who, what, object string) *dice {
	return w.seed.at(who, what, object, int(time.Since(w.trace.began)))
}

// isCalm reports whether the time of faults is over.
func (w *world) isCalm() bool { return time.Since(w.trace.began) >= w.plan.calm }

// count notes a fault; "" is none.
func (w *world) count(kind string) {
	if kind == "" {
		return
	}
	w.mu.Lock()
	w.result.Faults[kind]++
	w.mu.Unlock()
}

// name is bucket.name.
func (w *world) name(key string, content []byte) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bucket.name(key, content)
}

// named is bucket.named.
func (w *world) named(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bucket.named(key)
}

// created counts a record that has landed.
func (w *world) created(key string, data []byte) {
	var r struct{ Kind string }
	if !strings.HasPrefix(key, "_log/") || json.Unmarshal(data, &r) != nil {
		return
	}
	switch r.Kind {
	case "fence":
		w.result.Fences++
	case "data":
		w.result.Commits++
	}
}

// accounted reports whether every offset has its end.
func (w *world) accounted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.campaign.Streams {
		var r struct{ To int64 }
		data := w.bucket.last(w.campaign.Streams[i].Path())
		if data == nil || json.Unmarshal(data, &r) != nil || r.To < w.partitions[i].end() {
			return false
		}
	}
	return true
}
