package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
)

// jobKey names what became samples within one record.
type jobKey struct{ dataset, id string }

// tally counts a job's samples in the shards of its record.
type tally struct {
	*outcome
	got int64
}

// shards checks a record's shards, and that they hold what its outcomes promise.
func (c *chain) shards(r *record, seq int64) error {
	jobs := map[jobKey]*tally{}
	promised := map[string]int64{} // samples, by dataset
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Status != "ok" {
			continue
		}
		promised[o.Dataset] += o.Samples
		if t := jobs[jobKey{o.Dataset, o.ID}]; t != nil {
			t.Samples += o.Samples // twice ok: said where fates are looked at
			continue
		}
		copied := *o
		jobs[jobKey{o.Dataset, o.ID}] = &tally{outcome: &copied}
	}
	opened := map[string]bool{} // datasets with plain tars
	opaque := map[[2]string]int64{}
	for i := range r.Shards {
		s := &r.Shards[i]
		c.report.Shards++
		if s.From < r.From || s.To > r.To || s.To <= s.From {
			c.wrong("shard.range", seq, s.Key, "its offsets %d to %d are not within the record's, %d to %d", s.From, s.To, r.From, r.To)
		}
		if !c.name(s.Key, r, seq) {
			continue
		}
		plain := s.Format == "webdataset" && s.Members == 0
		if plain {
			opened[s.Dataset] = true
		} else {
			c.report.Opaque++
			opaque[[2]string{s.Dataset, s.Format}] += cmp.Or(s.Members, s.Samples)
		}
		if err := c.shard(s, seq, plain, jobs); err != nil {
			return err
		}
	}
	for k, n := range opaque {
		if n != promised[k[0]] {
			c.wrong("shard.samples", seq, "", "its %s shards of dataset %q hold %d samples; its outcomes promise %d", k[1], k[0], n, promised[k[0]])
		}
	}
	c.tallies(jobs, opened, opaque, seq)
	return nil
}

// tallies compares the samples that were found with those that were promised.
func (c *chain) tallies(jobs map[jobKey]*tally, opened map[string]bool, opaque map[[2]string]int64, seq int64) {
	packed := map[string]bool{}
	for k := range opaque {
		packed[k[0]] = true
	}
	for k, t := range jobs {
		if !opened[k.dataset] && packed[k.dataset] {
			continue // counted only
		}
		v := Violation{Stream: c.path, Seq: seq, Offset: t.Offset, ID: t.ID, Detail: fmt.Sprintf("its outcome promises %d samples; there are %d", t.Samples, t.got)}
		switch {
		case t.got < t.Samples:
			v.Kind = "sample.lost"
			c.report.add(&c.report.Lost, t.Samples-t.got, v)
		case t.got > t.Samples:
			v.Kind = "sample.doubled"
			c.report.add(&c.report.Doubled, t.got-t.Samples, v)
		}
	}
}

// shard reads one whole, once.
func (c *chain) shard(s *shard, seq int64, plain bool, jobs map[jobKey]*tally) error {
	rc, err := c.store.Open(c.ctx, s.Key)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.Key, err)
	}
	defer rc.Close()
	sha, crc := sha256.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size := &counter{}
	all := io.TeeReader(rc, io.MultiWriter(sha, crc, size))
	samples := int64(0)
	if plain {
		err := readTar(all, func(sm *Sample) error {
			samples++
			sm.Dataset, sm.Shard = s.Dataset, s.Key
			c.sample(sm, s, seq, jobs)
			return nil
		})
		if err != nil {
			c.wrong("shard.tar", seq, s.Key, "%v", err)
		}
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return fmt.Errorf("read %s: %w", s.Key, err)
	}
	c.report.Bytes += size.n
	if got := hex.EncodeToString(sha.Sum(nil)); size.n != s.Bytes || got != s.SHA256 {
		c.wrong("shard.bytes", seq, s.Key, "it has %d bytes of SHA-256 %s; the record says %d of %s", size.n, got, s.Bytes, s.SHA256)
	}
	if got := fmt.Sprintf("%08x", crc.Sum32()); got != s.CRC32C {
		c.wrong("shard.crc32c", seq, s.Key, "it has CRC-32C %s; the record says %s", got, s.CRC32C)
	}
	if plain && samples != s.Samples {
		c.wrong("shard.samples", seq, s.Key, "it has %d samples; the record says %d", samples, s.Samples)
	}
	if !plain {
		c.report.Samples += s.Samples
	}
	return nil
}

// sample checks one sample of a named shard.
func (c *chain) sample(sm *Sample, s *shard, seq int64, jobs map[jobKey]*tally) {
	c.report.Samples++
	v := Violation{Stream: c.path, Seq: seq, Offset: -1, Key: sm.Key}
	if before, twice := c.keys[sampleKey{s.Dataset, sm.Key}]; twice {
		v.Kind, v.Detail = "sample.doubled", fmt.Sprintf("it stands in %s and in %s", before, s.Key)
		c.report.add(&c.report.Doubled, 1, v)
	}
	c.keys[sampleKey{s.Dataset, sm.Key}] = s.Key
	about, err := describe(sm)
	if err != nil || about.Dataset != s.Dataset || about.Key != "" && about.Key != sm.Key {
		c.wrong("sample.json", seq, sm.Key, "in %s: it says dataset %q, key %q (%v)", s.Key, about.Dataset, about.Key, err)
		return
	}
	sm.ID = about.ID
	t := jobs[jobKey{s.Dataset, sm.ID}]
	if t == nil {
		c.wrong("sample.unknown", seq, sm.Key, "it is of the job %q, which the record does not say to have ended as samples", sm.ID)
		return
	}
	t.got++
	if t.Offset < s.From || t.Offset >= s.To {
		c.wrong("sample.misplaced", seq, sm.Key, "its job has offset %d; the shard says %d to %d", t.Offset, s.From, s.To)
	}
	if c.opts.Content != nil {
		if err := c.opts.Content(sm); err != nil {
			c.wrong("sample.content", seq, sm.Key, "job %q: %v", sm.ID, err)
		}
	}
}

// about is what a sample's field "json" says of it.
type about struct {
	Key     string `json:"key"`
	Dataset string `json:"dataset"`
	ID      string `json:"id"`
}

func describe(sm *Sample) (about, error) {
	var a about
	for _, f := range sm.Fields {
		if f.Name == "json" {
			return a, json.Unmarshal(f.Data, &a)
		}
	}
	return a, fmt.Errorf("it has no field json")
}

// counter counts bytes.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
