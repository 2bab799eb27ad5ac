package ledger

import "time"

// Kind is what a record is for.
type Kind string

// The kinds of record.
const (
	Genesis Kind = "genesis" // fixes the first offset; sequence number 0, epoch 0
	Fence   Kind = "fence"   // gives the stream to a writer, under the next epoch
	Data    Kind = "data"    // accounts for offsets
)

// Version is that of the record format. A reader takes fields that it does not know
// for additions; a change of meaning raises the version, which it refuses.
const Version = 1

// Record is one link of a chain. Its bytes are canonical: compact JSON in this order
// of fields. A record once read is not changed.
type Record struct {
	Version  int    `json:"v"`
	Kind     Kind   `json:"kind"`
	Stream   string `json:"stream"` // as Stream.Path
	Seq      int64  `json:"seq"`
	Previous string `json:"previous"` // SHA-256 of the bytes of record Seq-1, hex; "" in genesis
	Epoch    int64  `json:"epoch"`
	Writer   string `json:"writer"` // the process's incarnation
	Token    string `json:"token"`  // of this attempt: tells ours from another's
	// From and To are the offsets [From, To) that the record accounts for. In genesis
	// and fence they are equal.
	From     int64     `json:"from"`
	To       int64     `json:"to"`
	Skipped  []Skip    `json:"skipped,omitempty"`
	Shards   []Shard   `json:"shards,omitempty"`
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Table holds the outcomes when they do not fit here; see Outcomes, the function.
	Table *Table            `json:"table,omitempty"`
	Tools map[string]string `json:"tools,omitempty"` // versions, by name
	// Origin tells the source from a later one of the same name, whose offsets mean other
	// messages (Kafka's topic id); "" where the writer did not know it. The records of a
	// chain that have one have the same.
	Origin string `json:"origin,omitempty"`
	// Start says by which policy the first offset was found, and Partitions how many the
	// topic had then, if known; in genesis only.
	Start      string    `json:"start,omitempty"`
	Partitions int       `json:"partitions,omitempty"`
	Time       time.Time `json:"time"` // when it was built; informational
}

// Skip is a range of offsets [From, To) that holds no messages.
type Skip struct {
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Reason string `json:"reason"` // "control", "retention", ...
}

// Shard is a file of samples. Its samples come from offsets in [From, To).
type Shard struct {
	Key     string `json:"key"`
	Dataset string `json:"dataset,omitempty"` // whose samples it holds
	Recipe  string `json:"recipe,omitempty"`  // digest of the recipe that made them
	Format  string `json:"format"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"` // hex
	CRC32C  string `json:"crc32c"` // hex, 8 digits
	Samples int64  `json:"samples"`
	// Members is how many of the jobs' samples it holds, where they were packed into
	// longer ones; else 0, and they are Samples.
	Members int64 `json:"members,omitempty"`
	From    int64 `json:"from"`
	To      int64 `json:"to"`
}

// Table is an object with a record's outcomes: a JSON array. Its name holds its
// digest.
type Table struct {
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
	Count  int    `json:"count"`
}

// Status is how a job ended.
type Status string

// The ways a job, or an offset, ends.
const (
	OK          Status = "ok"          // as samples
	DupOf       Status = "dup-of"      // as the repeat of an earlier one; no samples
	Quarantined Status = "quarantined" // refused, with a code
	Gap         Status = "gap"         // given up, with a code
	None        Status = "none"        // the message asked for nothing
)

// Outcome is how a job ended. A message can hold several jobs; its outcomes then
// share the offset and count their parts from 0.
type Outcome struct {
	Offset  int64  `json:"offset"`
	Part    int    `json:"part,omitempty"`
	ID      string `json:"id,omitempty"`
	Dataset string `json:"dataset,omitempty"` // with the id, what a repeat is told by
	Status  Status `json:"status"`
	Samples int64  `json:"samples,omitempty"`
	// Of is the offset of the job that a dup-of repeats, if known.
	Of     *int64 `json:"of,omitempty"`
	Code   string `json:"code,omitempty"`
	Stage  string `json:"stage,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Attempts is how often the job was tried before it was refused, if more than once.
	Attempts int `json:"attempts,omitempty"`
	// ReplayOf names the refused message that this one repeats, as "STREAM/OFFSET"; by
	// the producer's word.
	ReplayOf string `json:"replay_of,omitempty"`
	// Sources are the media that were read, or refused.
	Sources []Source `json:"sources,omitempty"`
}

// Source says which bytes were read for a medium.
type Source struct {
	URI     string `json:"uri,omitempty"` // without query and userinfo
	Version string `json:"version,omitempty"`
	SHA256  string `json:"sha256,omitempty"` // hex
	Bytes   int64  `json:"bytes"`
}

// Position is a place in a chain: a record, and the offset that follows it.
type Position struct {
	Seq    int64  `json:"seq"`
	SHA256 string `json:"sha256"` // of the record's bytes, hex
	Next   int64  `json:"next"`   // the record's To
}
