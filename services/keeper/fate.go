package keeper

import (
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
)

// What a question can be about.
const (
	ByOffset = "offset" // CLUSTER/TOPIC/PARTITION/OFFSET, TOPIC/PARTITION/OFFSET or STREAM/OFFSET
	ByID     = "id"     // a job's id
	ByKey    = "key"    // a sample's key, or a sequence's
)

// Statuses of offsets beside those of the ledger.
const (
	Skipped    ledger.Status = "skipped"      // the offset holds no message
	NotYet     ledger.Status = "not-yet"      // the chain ends before it
	BeforeHead ledger.Status = "before-start" // the chain begins after it
)

// Answer is what a store says to a question.
type Answer struct {
	Asked string `json:"asked"`
	By    string `json:"by"` // ByOffset, ByID or ByKey
	// Found says that it is known here: an offset of a stream that is there (also one that
	// is still to come), the id of a job, the key of a sample that a shard holds.
	Found bool   `json:"found"`
	Note  string `json:"note,omitempty"` // why not, and what to do
	Fates []Fate `json:"fates"`          // in the order of streams and offsets
}

// Fate is how one job, or an offset without one, ended.
type Fate struct {
	Stream   string          `json:"stream"` // for people: as Stream.String
	Offset   int64           `json:"offset"`
	Part     int             `json:"part,omitempty"`
	ID       string          `json:"id,omitempty"`
	Dataset  string          `json:"dataset,omitempty"`
	Status   ledger.Status   `json:"status"`
	Means    string          `json:"means"` // the status or code in words, and what to do
	Samples  int64           `json:"samples,omitempty"`
	Of       *int64          `json:"of,omitempty"` // of dup-of: the earlier job's offset in this stream
	Code     string          `json:"code,omitempty"`
	Stage    string          `json:"stage,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Attempts int             `json:"attempts,omitempty"`
	Reason   string          `json:"reason,omitempty"` // of a skipped range
	Sources  []ledger.Source `json:"sources,omitempty"`
	Record   *Record         `json:"record,omitempty"` // nil where no record accounts for it
	Recipes  []string        `json:"recipes,omitempty"`
	Shards   []Shard         `json:"shards,omitempty"`
	// TakenDown is the takedown since which none of its samples is in any shard.
	TakenDown *Change `json:"taken_down,omitempty"`
	// Snapshots are those that include it; nil if none does yet.
	Snapshots *Snapshots `json:"snapshots,omitempty"`
}

// Record is the commit record that accounts for an offset.
type Record struct {
	Key    string            `json:"key"`
	Seq    int64             `json:"seq"`
	Epoch  int64             `json:"epoch"`
	Writer string            `json:"writer"`
	Time   time.Time         `json:"time"`
	From   int64             `json:"from"` // offsets [From, To)
	To     int64             `json:"to"`
	Tools  map[string]string `json:"tools,omitempty"`
}

// Shard is a shard that may hold a job's samples: the record says which offsets are in it,
// and an edit what became what.
type Shard struct {
	ledger.Shard
	// Gone is the edit that has replaced it; nil if the latest snapshot has it, or there is
	// none yet. What it became is in the list too.
	Gone *Change `json:"gone,omitempty"`
	// Read says that the shard was looked into; Holds are then the samples that were asked
	// for, or, if that failed, Fault says why.
	Read  bool     `json:"read"`
	Holds []Sample `json:"holds,omitempty"`
	Fault string   `json:"fault,omitempty"`
}

// Sample is where a sample was found.
type Sample struct {
	Key string `json:"key"`
	// Sequence is the key of the sequence that the sample was packed into, and Place its
	// place in that, from 0 on. The fields are then the sequence's.
	Sequence string  `json:"sequence,omitempty"`
	Place    int     `json:"place,omitempty"`
	Fields   []Field `json:"fields"`
}

// Field is a field of a sample, of Bytes bytes.
type Field struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Snapshots are the numbers from First to Last: what a snapshot includes, all later ones do.
type Snapshots struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}
