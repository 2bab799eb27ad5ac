package inspect

import (
	"cmp"
	"maps"
	"slices"
)

// Report is what is in a dataset or a shard. Its JSON is for programs: names stay.
type Report struct {
	Name    string `json:"name"`
	Samples int64  `json:"samples"`
	Bytes   int64  `json:"bytes"` // of the shard files
	// Media counts runs of samples with one origin: a video's frames count once.
	Media int64 `json:"media"`
	// From and To are the first and last presentation time, in seconds of their own
	// medium; nil where no sample has one.
	From *float64 `json:"from_seconds,omitempty"`
	To   *float64 `json:"to_seconds,omitempty"`

	Shards  []ShardLine  `json:"shards"`
	Tokens  []TokenLine  `json:"tokens,omitempty"`
	Fields  []FieldLine  `json:"fields"`
	Kinds   []Count      `json:"kinds,omitempty"`
	Codecs  []Count      `json:"codecs,omitempty"` // container/codec
	Sizes   []Count      `json:"sizes,omitempty"`  // pictures, WxH
	Recipes []Count      `json:"recipes,omitempty"`
	List    []SampleLine `json:"list,omitempty"` // one shard's samples; not for a dataset

	// Problems are what is not as it says, the first of them; Faults counts all.
	Problems []string `json:"problems,omitempty"`
	Faults   int64    `json:"faults"`
}

// ShardLine is one shard.
type ShardLine struct {
	Key     string   `json:"key"`
	Samples int64    `json:"samples"`
	Bytes   int64    `json:"bytes"`
	First   string   `json:"first,omitempty"` // sample keys
	Last    string   `json:"last,omitempty"`
	From    *float64 `json:"from_seconds,omitempty"`
	To      *float64 `json:"to_seconds,omitempty"`
}

// FieldLine is one field's name over all samples.
type FieldLine struct {
	Name    string  `json:"name"`
	Samples int64   `json:"samples"` // that have it
	Bytes   int64   `json:"bytes"`   // in all of them
	Least   int64   `json:"least_bytes"`
	Most    int64   `json:"most_bytes"`
	Arrays  []Count `json:"arrays,omitempty"` // "dtype [shape]"
}

// TokenLine is one token output over all samples.
type TokenLine struct {
	Name    string `json:"name"`
	Layout  string `json:"layout"`
	Patch   int    `json:"patch"`
	DType   string `json:"dtype"`
	Samples int64  `json:"samples"`
	Tokens  int64  `json:"tokens"` // without padding
	Least   int64  `json:"least"`  // in one sample
	Most    int64  `json:"most"`
}

// SampleLine is one sample in short.
type SampleLine struct {
	Key    string   `json:"key"`
	Kind   string   `json:"kind,omitempty"`
	Time   *float64 `json:"pts_seconds,omitempty"`
	Size   *[2]int  `json:"size,omitempty"` // width, height
	Tokens int64    `json:"tokens,omitempty"`
	Bytes  int64    `json:"bytes"`
}

// Count is how often something occurs.
type Count struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// tally counts values, of which it remembers a bounded number.
type tally map[string]int64

const (
	mostValues = 256
	others     = "(others)"
)

func (t *tally) add(value string) {
	if value == "" {
		return
	}
	if *t == nil {
		*t = tally{}
	}
	if _, known := (*t)[value]; !known && len(*t) >= mostValues {
		value = others
	}
	(*t)[value]++
}

// counts gives the values, most frequent first.
func (t tally) counts() []Count {
	var cs []Count
	for _, v := range slices.Sorted(maps.Keys(t)) {
		cs = append(cs, Count{v, t[v]})
	}
	slices.SortStableFunc(cs, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
	return cs
}

// widen makes [from, to] include t.
func widen(from, to **float64, t *float64) {
	if t == nil {
		return
	}
	if *from == nil || *t < **from {
		*from = t
	}
	if *to == nil || *t > **to {
		*to = t
	}
}
