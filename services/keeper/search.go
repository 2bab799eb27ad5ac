package keeper

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/pipeline/ledger"
)

// outcomes hunts for jobs in the outcomes of records. It stops at the first that says
// where samples are, or why there are none, unless all are asked for; repeats alone say
// neither.
func (e *explainer) outcomes(needs func([]byte) bool, all bool, wanted func(ledger.Outcome) bool) ([]hit, error) {
	h := &hunt{s: e.s, all: all, needs: needs, progress: e.o.Progress}
	h.visit = func(ctx context.Context, _ ledger.Stream, r *ledger.Record) (found, done bool, err error) {
		outcomes, err := ledger.Outcomes(ctx, e.s, r)
		if err != nil {
			return false, false, err
		}
		for _, o := range outcomes {
			if wanted(o) {
				found, done = true, done || o.Status != ledger.DupOf
			}
		}
		return found, done, nil
	}
	return h.run(e.ctx)
}

// inHits adds the fates of the wanted outcomes, in the order of streams and offsets.
func (e *explainer) inHits(hits []hit, wanted func(ledger.Outcome) bool) error {
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(strings.Compare(a.stream.Path(), b.stream.Path()), cmp.Compare(a.record.Seq, b.record.Seq))
	})
	for _, h := range hits {
		if err := e.inRecord(h.stream, h.record, wanted, func(ledger.Skip) bool { return false }, 0); err != nil {
			return err
		}
	}
	return nil
}

// search looks for jobs by id, or by the hash of dataset and id in a sample's key.
func (e *explainer) search(q question) error {
	needs, wanted := mayName(q.text), func(o ledger.Outcome) bool { return o.ID == q.text }
	if q.by == ByKey {
		needs, wanted = anyRecord, func(o ledger.Outcome) bool { return o.ID != "" && jobPrefix(o.Dataset, o.ID) == hashOf(q.text)+"-" }
		e.o.Samples = false // this one key, not all of the job's
	}
	hits, err := e.outcomes(needs, e.o.All, wanted)
	if err == nil {
		err = e.inHits(hits, wanted)
	}
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
		return e.finish()
	default:
		return e.key(q.text)
	}
	return nil
}

// key looks for one sample in the shards of its job.
func (e *explainer) key(key string) error {
	if err := e.finish(); err != nil {
		return err
	}
	var gone *Change
	for i := range e.answer.Fates {
		f := &e.answer.Fates[i]
		if err := e.lookInto(f.Shards, func(k string) bool { return k == key }, true); err != nil {
			return err
		}
		e.answer.Found = e.answer.Found || slices.ContainsFunc(f.Shards, func(s Shard) bool { return len(s.Holds) > 0 })
		if f.TakenDown != nil {
			gone = f.TakenDown
		}
	}
	switch {
	case e.answer.Found:
	case gone != nil:
		e.answer.Note = fmt.Sprintf("it was taken down on %s, and is in no snapshot from %d on: %s", gone.Time.Format("2006-01-02"), gone.Snapshot, gone.Reason)
	default:
		e.answer.Note = "the job that such a key is of is known (explain its id for how it ended), but no shard of it that can be read holds this sample"
	}
	return nil
}

// finish follows the fates' shards through edits, and looks for samples if asked to.
func (e *explainer) finish() error {
	if err := e.follow(); err != nil {
		return err
	}
	for i := range e.answer.Fates {
		f := &e.answer.Fates[i]
		if err := e.takenDown(f); err != nil {
			return err
		}
		if !e.o.Samples {
			continue
		}
		prefix := jobPrefix(f.Dataset, f.ID)
		if err := e.lookInto(f.Shards, func(key string) bool { return strings.HasPrefix(key, prefix) }, false); err != nil {
			return err
		}
	}
	return nil
}

// job names one, in a dataset.
type job struct{ dataset, id string }

// packs hunts for a sequence in the shards that hold some.
type packs struct {
	e   *explainer
	key string

	mu     sync.Mutex
	shards int // that hold sequences
	unread []string
	jobs   map[job]bool // of the sequence's members
}

// look says whether a shard holds the sequence.
func (p *packs) look(ctx context.Context, sh ledger.Shard) (bool, error) {
	members, err := p.e.membersOf(ctx, sh, p.key)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shards++
	if err != nil {
		p.unread = append(p.unread, err.Error())
	}
	for _, m := range members {
		p.jobs[job{m.Dataset, m.ID}] = true
	}
	return len(members) > 0, nil
}

// hunt looks in the shards that records name, and then in those that edits have added.
func (p *packs) hunt() (hits []hit, err error) {
	h := &hunt{s: p.e.s, progress: p.e.o.Progress, needs: func(record []byte) bool { return bytes.Contains(record, []byte(`"members":`)) }}
	h.visit = func(ctx context.Context, _ ledger.Stream, r *ledger.Record) (found, done bool, err error) {
		for _, sh := range r.Shards {
			if sh.Members == 0 {
				continue
			}
			if found, err = p.look(ctx, sh); found || err != nil {
				return found, found, err
			}
		}
		return false, false, nil
	}
	if hits, err = h.run(p.e.ctx); err != nil || len(hits) > 0 {
		return hits, err
	}
	if err := p.e.loadLatest(); err != nil || p.e.latest == nil {
		return nil, err
	}
	for edit, err := range ledger.Edits(p.e.ctx, p.e.s, p.e.latest) {
		if err != nil {
			return nil, err
		}
		for _, sh := range edit.Adds {
			if sh.Members == 0 {
				continue
			}
			if found, err := p.look(p.e.ctx, sh); found || err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// sequence looks for a sequence, and says what became of the jobs of its members.
func (e *explainer) sequence(key string) error {
	p := &packs{e: e, key: key, jobs: map[job]bool{}}
	hits, err := p.hunt()
	if err != nil {
		return err
	}
	e.o.Samples = false
	of := func(o ledger.Outcome) bool { return o.Status == ledger.OK && p.jobs[job{o.Dataset, o.ID}] }
	if len(hits) == 0 && len(p.jobs) > 0 { // of a takedown, which has packed it: its members are of any record
		if hits, err = e.outcomes(anyRecord, true, of); err != nil {
			return err
		}
	}
	if len(p.jobs) > 0 {
		e.answer.Found = true
		if err := e.inHits(hits, of); err != nil {
			return err
		}
		return e.members(key)
	}
	e.answer.Note = "no sequence of that key is in a shard that a record or an edit names"
	if p.shards == 0 {
		e.answer.Note += "; no shard here holds sequences"
	}
	if len(p.unread) > 0 {
		e.answer.Note += fmt.Sprintf("; %d shards could not be read: %s", len(p.unread), p.unread[0])
	}
	return nil
}

// members looks, for each job of a sequence, for those of its samples that are in it.
func (e *explainer) members(key string) error {
	if err := e.follow(); err != nil {
		return err
	}
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
		if err := e.takenDown(f); err != nil {
			return err
		}
	}
	return nil
}
