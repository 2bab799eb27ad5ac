package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// stream checks one stream's log and what it names. It returns the epoch in force.
func (a *auditor) stream(path string, keys []string) (int64, error) {
	a.report.Streams++
	st := &chain{auditor: a, path: path, tokens: map[string]int64{}, fates: map[int64][]fate{}}
	a.logs[path] = []link{}
	for i, key := range keys {
		seq, ok := number(key[strings.LastIndexByte(key, '/')+1:])
		if !ok || key != fmt.Sprintf("_log/%s/%020d", path, seq) {
			st.wrong("chain.name", seq, key, "it does not belong into a log")
			continue
		}
		if seq != int64(i) {
			st.wrong("chain.hole", int64(i), "", "record %d follows: one is missing", seq)
			break // what comes behind a hole belongs to no chain
		}
		data, err := a.read(key, maxRecord)
		if err != nil {
			return 0, err
		}
		if err := st.add(seq, data); err != nil {
			return 0, err
		}
	}
	return st.epoch, st.messages()
}

// chain is a log on its way to be checked.
type chain struct {
	*auditor
	path   string
	sum    string // of the last record
	to     int64  // its end
	first  int64
	epoch  int64
	writer string
	tokens map[string]int64 // each record's number
	fates  map[int64][]fate // by offset
	skips  []skipped
}

// skipped is a skipped range and its record's number.
type skipped struct {
	skip
	seq int64
}

// fate is how an offset ended: an outcome, or nil for a skipped one.
type fate struct {
	*outcome
	seq    int64
	reason string // of a skipped one
}

func (c *chain) wrong(kind string, seq int64, key, format string, args ...any) {
	c.report.add(&c.report.Wrong, 1, Violation{Kind: kind, Stream: c.path, Seq: seq, Offset: -1, Key: key, Detail: fmt.Sprintf(format, args...)})
}

// add checks the next record.
func (c *chain) add(seq int64, data []byte) error {
	c.report.Records++
	r, err := parseRecord(data)
	if err != nil {
		c.wrong("chain.bytes", seq, "", "%v", err)
	}
	if r == nil {
		r = &record{Seq: seq, From: c.to, To: c.to}
	}
	c.links(r, seq)
	c.owner(r, seq)
	if r.Kind == "data" {
		if err := c.data(r, seq); err != nil {
			return err
		}
	}
	c.sum, c.to = hexSum(data), r.To
	c.logs[c.path] = append(c.logs[c.path], link{c.sum, r.To})
	return nil
}

// links checks what joins a record to the one before.
func (c *chain) links(r *record, seq int64) {
	if r.V != 1 || r.Stream != c.path || r.Seq != seq || r.Writer == "" || r.Token == "" {
		c.wrong("chain.identity", seq, "", "it says version %d, stream %q, number %d, writer %q, token %q", r.V, r.Stream, r.Seq, r.Writer, r.Token)
	}
	if r.Previous != c.sum {
		c.wrong("chain.link", seq, "", "it follows a record of SHA-256 %q; the one before has %q", r.Previous, c.sum)
	}
	if at, twice := c.tokens[r.Token]; twice {
		c.wrong("chain.token", seq, "", "record %d has its token", at)
	}
	c.tokens[r.Token] = seq
	if seq > 0 && r.From != c.to {
		c.wrong("chain.range", seq, "", "it begins at offset %d; the one before ends at %d", r.From, c.to)
	}
	if r.To < r.From || (r.To > r.From) != (r.Kind == "data") {
		c.wrong("chain.range", seq, "", "a %s record accounts for the offsets %d to %d", r.Kind, r.From, r.To)
	}
	if r.Kind != "data" && len(r.Shards)+len(r.Outcomes)+len(r.Skipped) > 0 {
		c.wrong("chain.kind", seq, "", "a %s record says how messages ended", r.Kind)
	}
}

// owner checks whose record it is.
func (c *chain) owner(r *record, seq int64) {
	switch r.Kind {
	case "genesis":
		c.first = r.From
		if seq != 0 || r.Epoch != 0 {
			c.wrong("chain.genesis", seq, "", "it has epoch %d", r.Epoch)
		}
		if s := c.produced[c.path]; s != nil && s.First != r.From {
			c.wrong("chain.genesis", seq, "", "the stream begins at offset %d; it was to begin at %d", r.From, s.First)
		}
	case "fence":
		c.report.Fences++
		if r.Epoch != c.epoch+1 {
			c.wrong("chain.epoch", seq, "", "it is a fence of epoch %d after epoch %d", r.Epoch, c.epoch)
		}
		c.writer = r.Writer
	case "data":
		if r.Epoch != c.epoch || r.Epoch == 0 {
			c.wrong("chain.epoch", seq, "", "it is data of epoch %d while %d is in force", r.Epoch, c.epoch)
		}
		if r.Writer != c.writer {
			c.wrong("chain.writer", seq, "", "it is data by writer %s while the stream is with %s", r.Writer, c.writer)
		}
	default:
		c.wrong("chain.kind", seq, "", "its kind is %q", r.Kind)
	}
	if seq == 0 && r.Kind != "genesis" {
		c.wrong("chain.genesis", seq, "", "the log begins with a %s record", r.Kind)
	}
	c.epoch = max(c.epoch, r.Epoch)
}

// data checks what a data record says, and the shards that it names.
func (c *chain) data(r *record, seq int64) error {
	if err := c.spilled(r, seq); err != nil {
		return err
	}
	if err := r.account(); err != nil {
		c.wrong("record.offsets", seq, "", "%v", err)
	}
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		c.fates[o.Offset] = append(c.fates[o.Offset], fate{outcome: o, seq: seq})
	}
	for _, s := range r.Skipped {
		c.skips = append(c.skips, skipped{s, seq})
	}
	return c.shards(r, seq)
}

// spilled brings back outcomes that lie beside the record.
func (c *chain) spilled(r *record, seq int64) error {
	t := r.Table
	if t == nil {
		return nil
	}
	if !c.name(t.Key, r, seq) {
		return nil
	}
	data, err := c.read(t.Key, maxTable)
	if err != nil {
		return err
	}
	if int64(len(data)) != t.Bytes || hexSum(data) != t.SHA256 {
		c.wrong("record.table", seq, t.Key, "it has %d bytes of SHA-256 %s; the record says %d of %s", len(data), hexSum(data), t.Bytes, t.SHA256)
		return nil
	}
	if err := json.Unmarshal(data, &r.Outcomes); err != nil || len(r.Outcomes) != t.Count {
		c.wrong("record.table", seq, t.Key, "it has %d outcomes, the record says %d (%v)", len(r.Outcomes), t.Count, err)
	}
	return nil
}

// name notes an object that a record names. It returns whether it is there.
func (c *chain) name(key string, r *record, seq int64) bool {
	if before, twice := c.named[key]; twice {
		c.wrong("shard.twice", seq, key, "record %d of this or another stream names it too", before)
	}
	c.named[key] = seq
	if !strings.HasPrefix(key, fmt.Sprintf("data/%s/%020d/", c.path, r.Epoch)) {
		c.wrong("shard.epoch", seq, key, "it does not lie under the record's epoch, %d", r.Epoch)
	}
	if !c.objects[key] {
		c.wrong("shard.missing", seq, key, "it is not in the store")
		return false
	}
	return true
}

// number reads twenty digits.
func number(text string) (int64, bool) {
	if len(text) != 20 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
