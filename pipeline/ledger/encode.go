package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Encode gives a record's bytes. A record too large for one object is an error.
func (r *Record) Encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("encode a record: %w", err)
	}
	data, err := canonical(r)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxRecord {
		return nil, fmt.Errorf("encode a record: it has %d bytes; %d are allowed", len(data), MaxRecord)
	}
	return data, nil
}

// ParseRecord reads a record's bytes, which may come from anywhere.
func ParseRecord(data []byte) (*Record, error) {
	if len(data) > MaxRecord {
		return nil, fmt.Errorf("it has %d bytes; a record has at most %d", len(data), MaxRecord)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("it is no record: %w", err)
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &r, nil
}

// canonical is compact JSON without a trailing newline and with no HTML escapes.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// digest is SHA-256 in hex.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func tableKey(prefix, sum string) string { return prefix + sum + ".outcomes.json" }

// spill moves the outcomes into a table of their own. It returns the table's bytes.
func (r *Record) spill(stream Stream) ([]byte, error) {
	data, err := canonical(r.Outcomes)
	if err != nil {
		return nil, err
	}
	if len(data) > MaxTable {
		return nil, fmt.Errorf("the outcomes of offsets %d to %d have %d bytes; %d are allowed: commit more often", r.From, r.To, len(data), MaxTable)
	}
	sum := digest(data)
	r.Table = &Table{Key: tableKey(DataPrefix(stream, r.Epoch), sum), Bytes: int64(len(data)), SHA256: sum, Count: len(r.Outcomes)}
	r.Outcomes = nil
	return data, nil
}

// Outcomes gives a record's outcomes, from the record or from its table.
func Outcomes(ctx context.Context, s Store, r *Record) ([]Outcome, error) {
	if r.Table == nil {
		return r.Outcomes, nil
	}
	data, err := load(ctx, s, r.Table.Key, r.Table.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the outcomes of %s record %d: %w", r.Stream, r.Seq, err)
	}
	outcomes, err := parseTable(data, r)
	if err != nil {
		return nil, fmt.Errorf("the outcome table %s: %w", r.Table.Key, err)
	}
	return outcomes, nil
}

func parseTable(data []byte, r *Record) ([]Outcome, error) {
	if int64(len(data)) != r.Table.Bytes || digest(data) != r.Table.SHA256 {
		return nil, fmt.Errorf("it has %d bytes of SHA-256 %s; the record says %d of %s", len(data), digest(data), r.Table.Bytes, r.Table.SHA256)
	}
	var outcomes []Outcome
	if err := json.Unmarshal(data, &outcomes); err != nil {
		return nil, err
	}
	if len(outcomes) != r.Table.Count {
		return nil, fmt.Errorf("it has %d outcomes; the record says %d", len(outcomes), r.Table.Count)
	}
	return outcomes, checkOutcomes(outcomes, r.Skipped, r.From, r.To)
}

// clean cuts texts that strangers may have had a hand in.
func (o Outcome) clean() Outcome {
	o.Detail = cut(o.Detail, MaxText)
	if len(o.Sources) > 0 {
		o.Sources = append([]Source(nil), o.Sources...)
	}
	for i := range o.Sources {
		o.Sources[i].URI = cut(o.Sources[i].URI, MaxURI)
		o.Sources[i].Version = cut(o.Sources[i].Version, MaxText)
	}
	return o
}

// cut gives valid UTF-8 of at most n bytes.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	s = s[:n-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
