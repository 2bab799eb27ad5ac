package keeper

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/ledger"
)

// records calls visit for each data record of each stream, until it says that it is done.
func (e *explainer) records(visit func(ledger.Stream, *ledger.Record) (done bool, err error)) error {
	for stream, err := range ledger.Streams(e.ctx, e.s) {
		if err != nil {
			return err
		}
		for item, err := range ledger.Read(e.ctx, e.s, stream, 0) {
			if err != nil {
				return err
			}
			if item.Record.Kind != ledger.Data {
				continue
			}
			if done, err := visit(stream, item.Record); done || err != nil {
				return err
			}
		}
	}
	return nil
}

// search looks for jobs by id, or by the hash of dataset and id in a sample's key.
func (e *explainer) search(q question) error {
	wanted := func(o ledger.Outcome) bool { return o.ID == q.text }
	if q.by == ByKey {
		hash, _, _ := strings.Cut(q.text, "-")
		wanted = func(o ledger.Outcome) bool { return o.ID != "" && jobPrefix(o.Dataset, o.ID) == hash+"-" }
		e.o.Samples = false // this one key, not all of the job's
	}
	none := func(ledger.Skip) bool { return false }
	err := e.records(func(stream ledger.Stream, r *ledger.Record) (bool, error) {
		return false, e.inRecord(stream, r, wanted, none, 0)
	})
	if err != nil {
		return err
	}
	switch {
	case len(e.answer.Fates) == 0 && q.by == ByKey:
		e.answer.Note = "no job here makes samples of that key; it is of another store, or its job is still to be committed"
	case len(e.answer.Fates) == 0:
		e.answer.Note = "no record here names a job of that id; it is of another store, or still to be committed"
	case q.by == ByID:
		e.answer.Found = true
	default:
		return e.key(q.text)
	}
	return nil
}

// key looks for one sample in the shards of its job.
func (e *explainer) key(key string) error {
	for i := range e.answer.Fates {
		shards := e.answer.Fates[i].Shards
		if err := e.lookInto(shards, func(k string) bool { return k == key }, true); err != nil {
			return err
		}
		e.answer.Found = e.answer.Found || slices.ContainsFunc(shards, func(s Shard) bool { return len(s.Holds) > 0 })
	}
	if !e.answer.Found {
		e.answer.Note = "the job that such a key is of is known (explain its id for how it ended), but no shard of it that can be read holds this sample"
	}
	return nil
}

// sequence looks for a sequence, and says what became of the jobs of its members.
func (e *explainer) sequence(key string) error {
	packed := 0
	var unread []string // what could not be looked into
	err := e.records(func(stream ledger.Stream, r *ledger.Record) (bool, error) {
		type job struct{ dataset, id string }
		jobs := map[job]bool{}
		for _, sh := range r.Shards {
			if sh.Members == 0 {
				continue
			}
			packed++
			members, err := e.membersOf(sh, key)
			if e.ctx.Err() != nil {
				return false, e.ctx.Err()
			}
			if err != nil {
				unread = append(unread, err.Error())
			}
			for _, m := range members {
				jobs[job{m.Dataset, m.ID}] = true
			}
		}
		if len(jobs) == 0 {
			return false, nil
		}
		e.answer.Found = true
		e.o.Samples = false
		of := func(o ledger.Outcome) bool { return o.Status == ledger.OK && jobs[job{o.Dataset, o.ID}] }
		if err := e.inRecord(stream, r, of, func(ledger.Skip) bool { return false }, 0); err != nil {
			return false, err
		}
		return true, e.members(key)
	})
	if err == nil && !e.answer.Found {
		e.answer.Note = "no sequence of that key is in a shard that a record names"
		if packed == 0 {
			e.answer.Note += "; no shard here holds sequences"
		}
		if len(unread) > 0 {
			e.answer.Note += fmt.Sprintf("; %d shards could not be read: %s", len(unread), unread[0])
		}
	}
	return err
}

// members looks, for each job of a sequence, for those of its samples that are in it.
func (e *explainer) members(key string) error {
	for i := range e.answer.Fates {
		f := &e.answer.Fates[i]
		f.Shards = slices.DeleteFunc(f.Shards, func(s Shard) bool { return s.Members == 0 })
		prefix := jobPrefix(f.Dataset, f.ID)
		if err := e.lookInto(f.Shards, func(k string) bool { return strings.HasPrefix(k, prefix) }, false); err != nil {
			return err
		}
		for j := range f.Shards {
			f.Shards[j].Holds = slices.DeleteFunc(f.Shards[j].Holds, func(s Sample) bool { return s.Sequence != key })
		}
	}
	return nil
}
