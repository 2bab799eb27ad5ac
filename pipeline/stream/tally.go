package stream

import (
	"maps"
	"sync"

	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
)

// Tally is an [Observer] that counts. Its zero value is ready; safe for concurrent use.
type Tally struct {
	mu sync.Mutex
	c  Counts
}

// Counts is what a tally has seen. Jobs are counted when they are packed; what is
// committed is counted beside.
type Counts struct {
	Jobs         int64            `json:"jobs"`
	OK           int64            `json:"ok"`
	Duplicates   int64            `json:"duplicates"`
	Quarantined  int64            `json:"quarantined"`
	Codes        map[string]int64 `json:"codes,omitempty"` // of quarantined jobs
	Samples      int64            `json:"samples"`
	Frames       int64            `json:"frames"`
	Tokens       int64            `json:"tokens"`
	MediaSeconds float64          `json:"media_seconds"`
	SourceBytes  int64            `json:"source_bytes"`

	Records    int64 `json:"records"`
	Shards     int64 `json:"shards"`
	ShardBytes int64 `json:"shard_bytes"`
	Committed  int64 `json:"committed_samples"`

	// Packing is what samples were packed into, where the recipe packs them.
	Packing packing.Fill `json:"packing,omitzero"`

	// Sampled is how many samples mills gave so far, those of jobs under way included.
	Sampled int64 `json:"-"`
}

// Sampled implements Observer.
func (t *Tally) Sampled() {
	t.mu.Lock()
	t.c.Sampled++
	t.mu.Unlock()
}

// Ended implements Observer.
func (t *Tally) Ended(_ *pipeline.Job, status ledger.Status, v pipeline.Verdict, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Jobs++
	t.c.SourceBytes += bytes
	switch status {
	case ledger.OK:
		t.c.OK++
		t.c.Samples += v.Samples
		t.c.Frames += v.Frames
		t.c.Tokens += v.Tokens
		t.c.MediaSeconds += v.MediaSeconds
	case ledger.DupOf:
		t.c.Duplicates++
	case ledger.Quarantined:
		t.c.Quarantined++
		if t.c.Codes == nil {
			t.c.Codes = map[string]int64{}
		}
		t.c.Codes[v.Fault.Code]++
	}
}

// Committed implements Observer.
func (t *Tally) Committed(e *ledger.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Records++
	for _, s := range e.Shards {
		t.c.Shards++
		t.c.ShardBytes += s.Bytes
		t.c.Committed += s.Samples
	}
}

// Packed implements Observer.
func (t *Tally) Packed(f packing.Fill) {
	t.mu.Lock()
	t.c.Packing = t.c.Packing.Plus(f)
	t.mu.Unlock()
}

// Counts is a copy of what was counted so far.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.c
	c.Codes = maps.Clone(t.c.Codes)
	return c
}
