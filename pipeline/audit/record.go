package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// record is a commit record, as far as it matters here.
type record struct {
	V        int       `json:"v"`
	Kind     string    `json:"kind"`
	Stream   string    `json:"stream"`
	Seq      int64     `json:"seq"`
	Previous string    `json:"previous"`
	Epoch    int64     `json:"epoch"`
	Writer   string    `json:"writer"`
	Token    string    `json:"token"`
	From     int64     `json:"from"`
	To       int64     `json:"to"`
	Skipped  []skip    `json:"skipped"`
	Shards   []shard   `json:"shards"`
	Outcomes []outcome `json:"outcomes"`
	Table    *table    `json:"table"`
}

type skip struct {
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Reason string `json:"reason"`
}

type shard struct {
	Key     string `json:"key"`
	Dataset string `json:"dataset"`
	Format  string `json:"format"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	CRC32C  string `json:"crc32c"`
	Samples int64  `json:"samples"`
	Members int64  `json:"members"`
	From    int64  `json:"from"`
	To      int64  `json:"to"`
}

type table struct {
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Count  int    `json:"count"`
}

type outcome struct {
	Offset  int64  `json:"offset"`
	Part    int    `json:"part"`
	ID      string `json:"id"`
	Dataset string `json:"dataset"`
	Status  string `json:"status"`
	Samples int64  `json:"samples"`
	Of      *int64 `json:"of"`
	Code    string `json:"code"`
}

// Bounds of what is read whole.
const (
	maxRecord = 1 << 20
	maxTable  = 64 << 20
)

// fieldOrder is the canonical order of a record's fields. Fields that are not listed may
// stand anywhere: they are later additions.
//
//nolint:gochecknoglobals // a constant
var fieldOrder = []string{"v", "kind", "stream", "seq", "previous", "epoch", "writer", "token", "from", "to", "skipped", "shards", "outcomes", "table", "tools", "time"}

// parseRecord reads a record and sees that its bytes are canonical.
func parseRecord(data []byte) (*record, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("it has %d bytes", len(data))
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("it is no record: %w", err)
	}
	return &r, canonical(data)
}

// canonical wants compact JSON, known fields in their order, each once.
func canonical(data []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		return err
	}
	if !bytes.Equal(b.Bytes(), data) {
		return errors.New("its JSON is not compact")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is no object")
	}
	last := -1
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		if i := slices.Index(fieldOrder, name); i >= 0 {
			if i <= last {
				return fmt.Errorf("its field %q is out of order, or there twice", name)
			}
			last = i
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return nil
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// account sees that each offset of a data record is skipped or has outcomes, not both,
// in order, with parts counted from 0.
func (r *record) account() error {
	next := r.From
	skips, outcomes := r.Skipped, r.Outcomes
	for next < r.To {
		switch {
		case len(skips) > 0 && skips[0].From == next:
			if skips[0].To <= next || skips[0].To > r.To || skips[0].Reason == "" {
				return fmt.Errorf("its skipped range %d to %d is wrong, or has no reason", skips[0].From, skips[0].To)
			}
			next, skips = skips[0].To, skips[1:]
		case len(outcomes) > 0 && outcomes[0].Offset == next:
			for part := 0; len(outcomes) > 0 && outcomes[0].Offset == next; part++ {
				if outcomes[0].Part != part {
					return fmt.Errorf("offset %d has part %d where part %d must be", next, outcomes[0].Part, part)
				}
				outcomes = outcomes[1:]
			}
			next++
		default:
			return fmt.Errorf("it says nothing of offset %d", next)
		}
	}
	if len(skips) > 0 || len(outcomes) > 0 {
		return errors.New("it speaks of offsets outside its range, or of one twice")
	}
	return nil
}
