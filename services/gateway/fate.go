package gateway

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/codecs"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/queue"
)

// JobStatus is how far a job is.
type JobStatus string

// The statuses. Those from committed on are final.
const (
	// JobQueued says that no worker can have the job yet.
	JobQueued JobStatus = "queued"
	// JobInFlight says that a worker may have it in hand: it is among the next 256 of
	// its partition that are not committed.
	JobInFlight    JobStatus = "in-flight"
	JobCommitted   JobStatus = "committed"
	JobDuplicate   JobStatus = "duplicate"
	JobQuarantined JobStatus = "quarantined"
	// JobGone says that its place was given up, or was before the stream's beginning.
	JobGone JobStatus = "gone"
)

// inFlight is the worker's window, in offsets.
const inFlight = 256

// Job is what became of a job.
type Job struct {
	Job       string    `json:"job"`
	Status    JobStatus `json:"status"`
	Topic     string    `json:"topic"`
	Partition int       `json:"partition"`
	Offset    int64     `json:"offset"`
	ID        string    `json:"id,omitempty"` // once there is an outcome
	Dataset   string    `json:"dataset,omitempty"`
	// Samples is how many there are; the key of each begins with KeyPrefix, and they
	// are in Shards.
	Samples   int64   `json:"samples,omitempty"`
	KeyPrefix string  `json:"key_prefix,omitempty"`
	Shards    []Shard `json:"shards,omitempty"`
	// DuplicateOf is the offset, in the same partition, of the job that it repeats.
	DuplicateOf *int64     `json:"duplicate_of,omitempty"`
	Code        string     `json:"code,omitempty"`
	Stage       string     `json:"stage,omitempty"`
	Detail      string     `json:"detail,omitempty"`
	Recorded    *time.Time `json:"recorded,omitempty"`
}

// Shard is a file that may hold some of a job's samples.
type Shard struct {
	Key    string `json:"key"`
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
}

// fates finds what became of jobs. Answers that are final are kept, and so is, for a
// second, where each stream ends: a sender who polls costs the store next to nothing.
type fates struct {
	store  ledger.Store
	lookup chan struct{} // bounds how many bisections are under way

	mu    sync.Mutex
	final map[string]Job // by stream and offset
	ends  map[string]end
}

type end struct {
	next int64
	at   time.Time
}

const (
	maxFinal   = 10_000
	lookups    = 8
	endIsGood  = time.Second
	maxFateOut = 64 // shards that are named
)

func newFates(s ledger.Store) *fates {
	return &fates{store: s, lookup: make(chan struct{}, lookups), final: map[string]Job{}, ends: map[string]end{}}
}

// of finds the fate of what stands at a place of a stream.
func (f *fates) of(ctx context.Context, stream ledger.Stream, at queue.Place) (Job, error) {
	name := stream.Path()
	key := name + "/" + number(at.Offset)
	f.mu.Lock()
	done, isDone := f.final[key]
	e, seen := f.ends[name]
	f.mu.Unlock()
	switch {
	case isDone:
		return done, nil
	case seen && at.Offset >= e.next && time.Since(e.at) < endIsGood:
		return pending(at, e.next, true), nil
	}
	select {
	case f.lookup <- struct{}{}:
		defer func() { <-f.lookup }()
	case <-ctx.Done():
		return Job{}, ctx.Err()
	}
	found, err := ledger.Find(ctx, f.store, stream, at.Offset)
	if err != nil {
		return Job{}, err
	}
	if found.Record == nil && (found.Empty || at.Offset >= found.Next) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !found.Empty {
			f.ends[name] = end{found.Next, time.Now()}
		}
		return pending(at, found.Next, !found.Empty), nil
	}
	j, err := f.recorded(ctx, found, at.Offset)
	if err != nil {
		return Job{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.final) >= maxFinal {
		clear(f.final) // they are found again
	}
	f.final[key] = j
	return j, nil
}

func pending(at queue.Place, next int64, taken bool) Job {
	if taken && at.Offset < next+inFlight {
		return Job{Status: JobInFlight}
	}
	return Job{Status: JobQueued}
}

// recorded is the fate that a record has.
func (f *fates) recorded(ctx context.Context, found ledger.Found, offset int64) (Job, error) {
	if found.Record == nil {
		return Job{Status: JobGone, Detail: "the stream begins after it"}, nil
	}
	r := found.Record
	outcomes, err := ledger.Outcomes(ctx, f.store, r)
	if err != nil {
		return Job{}, err
	}
	for _, o := range outcomes {
		if o.Offset == offset {
			return ofOutcome(r, o), nil
		}
	}
	j := Job{Status: JobGone, Recorded: &r.Time}
	for _, s := range r.Skipped {
		if s.From <= offset && offset < s.To {
			j.Detail = "the offset holds no message: " + s.Reason
		}
	}
	return j, nil
}

func ofOutcome(r *ledger.Record, o ledger.Outcome) Job {
	j := Job{ID: o.ID, Dataset: o.Dataset, Code: o.Code, Stage: o.Stage, Detail: o.Detail, Recorded: &r.Time}
	switch o.Status {
	case ledger.OK:
		j.Status, j.Samples = JobCommitted, o.Samples
		hash, _, _ := strings.Cut(pipeline.SampleKey(o.Dataset, o.ID, 0, 0, codecs.Rational{}), "-")
		j.KeyPrefix = hash + "-"
		for _, s := range r.Shards {
			if s.Dataset == o.Dataset && s.From <= o.Offset && o.Offset < s.To && len(j.Shards) < maxFateOut {
				j.Shards = append(j.Shards, Shard{s.Key, s.Format, s.SHA256})
			}
		}
	case ledger.DupOf:
		j.Status, j.DuplicateOf = JobDuplicate, o.Of
	case ledger.Quarantined:
		j.Status = JobQuarantined
	default:
		j.Status = JobGone
	}
	return j
}
