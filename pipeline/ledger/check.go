package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Bounds of what a record holds.
const (
	MaxRecord = 1 << 20  // bytes of a record
	MaxTable  = 64 << 20 // bytes of an outcome table
	MaxText   = 1 << 10  // bytes of a detail; longer ones are cut
	MaxURI    = 4 << 10  // bytes of a source's URI; longer ones are cut
	MaxID     = 1 << 10  // bytes of a job's id
)

// Validate refuses a record that no writer would make. Whether it fits the chain is
// for its reader to see.
func (r *Record) Validate() error {
	stream, err := ParseStream(r.Stream)
	if err != nil {
		return err
	}
	switch {
	case r.Version != Version:
		return fmt.Errorf("it has format version %d; this program knows %d: use a newer one", r.Version, Version)
	case r.Seq < 0 || r.Epoch < 0 || r.From < 0 || r.To < r.From:
		return fmt.Errorf("a number is out of range (seq %d, epoch %d, offsets %d to %d)", r.Seq, r.Epoch, r.From, r.To)
	case r.Writer == "" || r.Token == "" || len(r.Writer) > MaxID || len(r.Token) > MaxID:
		return errors.New("the writer or the token is missing or too long")
	case len(r.Origin) > MaxID || len(r.Start) > MaxID || r.Partitions < 0, (r.Start != "" || r.Partitions != 0) && r.Kind != Genesis:
		return errors.New("its origin or its start is too long, or its start is not genesis's")
	case (r.Kind == Genesis) != (r.Seq == 0):
		return fmt.Errorf("a %s record has sequence number %d: genesis, and only genesis, has 0", r.Kind, r.Seq)
	case (r.Kind == Genesis) != (r.Epoch == 0):
		return fmt.Errorf("a %s record has epoch %d: genesis, and only genesis, has 0", r.Kind, r.Epoch)
	case r.Seq > 0 && !isHex(r.Previous, 32) || r.Seq == 0 && r.Previous != "":
		return errors.New("the digest of the record before is malformed")
	}
	switch r.Kind {
	case Genesis, Fence:
		if r.From != r.To || len(r.Skipped) > 0 || len(r.Shards) > 0 || len(r.Outcomes) > 0 || r.Table != nil {
			return fmt.Errorf("a %s record accounts for offsets", r.Kind)
		}
		return nil
	case Data:
		if r.From == r.To {
			return errors.New("a data record accounts for no offset")
		}
	default:
		return fmt.Errorf("its kind %q is not known", r.Kind)
	}
	return r.checkData(stream)
}

func (r *Record) checkData(stream Stream) error {
	prefix := DataPrefix(stream, r.Epoch)
	seen := map[string]bool{}
	for _, s := range r.Shards {
		if err := r.checkShard(s, prefix); err != nil {
			return fmt.Errorf("the shard %s: %w", s.Key, err)
		}
		if seen[s.Key] {
			return fmt.Errorf("the shard %s is named twice", s.Key)
		}
		seen[s.Key] = true
	}
	if err := checkSkips(r.Skipped, r.From, r.To); err != nil {
		return err
	}
	if r.Table == nil {
		return checkOutcomes(r.Outcomes, r.Skipped, r.From, r.To)
	}
	t := r.Table
	if len(r.Outcomes) > 0 {
		return errors.New("it has outcomes besides a table of them")
	}
	if t.Bytes < 2 || t.Bytes > MaxTable || t.Count < 1 || !isHex(t.SHA256, 32) || t.Key != tableKey(prefix, t.SHA256) {
		return errors.New("its outcome table is malformed")
	}
	return nil
}

func (r *Record) checkShard(s Shard, prefix string) error {
	switch {
	case !strings.HasPrefix(s.Key, prefix) || len(s.Key) == len(prefix) || strings.Contains(s.Key[len(prefix):], "/"):
		return fmt.Errorf("its name does not belong to its epoch, which is %s", prefix)
	case s.Format == "":
		return errors.New("its format is missing")
	case s.Bytes < 0 || s.Samples < 0 || s.Members < 0:
		return errors.New("its size or its count of samples is negative")
	case !isHex(s.SHA256, 32) || !isHex(s.CRC32C, 4):
		return errors.New("its digest is malformed")
	case s.From < r.From || s.To > r.To || s.To <= s.From:
		return fmt.Errorf("its offsets %d to %d are not within the record's, %d to %d", s.From, s.To, r.From, r.To)
	}
	return nil
}

func checkSkips(skips []Skip, from, to int64) error {
	for _, s := range skips {
		if s.From < from || s.To <= s.From || s.To > to || s.Reason == "" {
			return fmt.Errorf("the skipped range %d to %d (%q) is out of order, out of range, or has no reason", s.From, s.To, s.Reason)
		}
		from = s.To
	}
	return nil
}

// checkOutcomes sees that every offset of [from, to) is either skipped, or has
// outcomes with parts counted from 0; that none is both; and that they are in order.
func checkOutcomes(outcomes []Outcome, skips []Skip, from, to int64) error {
	next := from // the lowest offset not yet accounted for
	part := 0
	for _, o := range outcomes {
		if o.Offset == next-1 && o.Part > 0 && o.Part == part {
			part++
		} else {
			for len(skips) > 0 && skips[0].From == next && o.Offset >= skips[0].To {
				next, skips = skips[0].To, skips[1:]
			}
			if o.Offset != next || o.Part != 0 || len(skips) > 0 && skips[0].From == next {
				return fmt.Errorf("offset %d (part %d) stands where offset %d was expected: each is accounted for once, in order", o.Offset, o.Part, next)
			}
			next, part = next+1, 1
		}
		if err := o.check(); err != nil {
			return fmt.Errorf("the outcome of offset %d: %w", o.Offset, err)
		}
	}
	for len(skips) > 0 && skips[0].From == next {
		next, skips = skips[0].To, skips[1:]
	}
	if next != to || len(skips) > 0 {
		return fmt.Errorf("the offsets from %d to %d are not accounted for, or twice", next, to)
	}
	return nil
}

func (o Outcome) check() error {
	coded := o.Status == Quarantined || o.Status == Gap
	switch {
	case o.Status != OK && o.Status != DupOf && o.Status != None && !coded:
		return fmt.Errorf("its status %q is not known", o.Status)
	case o.Samples < 0 || o.Samples > 0 && o.Status != OK:
		return fmt.Errorf("it is %s with %d samples", o.Status, o.Samples)
	case coded && o.Code == "":
		return fmt.Errorf("it is %s without a code", o.Status)
	case !coded && o.Code != "":
		return fmt.Errorf("it is %s with the code %s", o.Status, o.Code)
	case o.Of != nil && o.Status != DupOf:
		return fmt.Errorf("it is %s of another", o.Status)
	case len(o.ID) > MaxID:
		return fmt.Errorf("its id has %d bytes; %d are allowed", len(o.ID), MaxID)
	}
	return nil
}

func isHex(text string, size int) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == size && text == strings.ToLower(text)
}
