package keeper

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
)

// Options say how to answer.
type Options struct {
	// By is what the question is about; empty leaves that to its form.
	By string
	// Samples looks into the shards for the keys of a job's samples. A question for a key
	// does so anyway.
	Samples bool
	// All goes on behind the first that an id, or a sample's key, leads to.
	All bool
	// Progress, if set, hears how a search goes, never twice at the same time.
	Progress func(Searched)
	// Open reads a shard. There is nothing to close.
	Open func(context.Context, ledger.Shard) (shard.Reader, error)
}

// Explain says what became of a message, or where a sample is and came from. An offset is
// found by bisection. An id, or a sample's key, which derives from dataset and id, is
// looked for in the outcomes of records, from the ends of all streams backwards, up to the
// first; no shard is read to find the record. A sequence's key says nothing of its members,
// so sequences are looked for in the shards that hold some.
//
// Shards that were merged, or that something was taken down from, are followed to what they
// became.
//
// Nothing is changed, and nothing but the store is asked. That there is no such thing is
// an Answer too; an error means that the store could not be read.
func Explain(ctx context.Context, s ledger.Store, text string, o Options) (*Answer, error) {
	e := &explainer{ctx: ctx, s: s, o: o, snaps: map[int64]*ledger.Snapshot{}}
	q, err := understand(ctx, s, text, o.By)
	if err == nil {
		e.answer = &Answer{Asked: text, By: q.by, Fates: []Fate{}}
		switch {
		case q.by == ByOffset:
			if err = e.offset(q); err == nil {
				err = e.finish()
			}
		case q.sequence():
			err = e.sequence(q.text)
		default:
			err = e.search(q)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", text, err)
	}
	return e.answer, nil
}

type explainer struct {
	ctx    context.Context
	s      ledger.Store
	o      Options
	answer *Answer
	latest *ledger.Snapshot
	snaps  map[int64]*ledger.Snapshot // read before
}

// offset answers for one position of each stream that the name may mean.
func (e *explainer) offset(q question) error {
	if len(q.streams) == 0 {
		e.answer.Note = "no stream of that name is here; verify lists those that are"
		return nil
	}
	e.answer.Found = true
	for _, stream := range q.streams {
		if err := e.offsetOf(stream, q.offset); err != nil {
			return err
		}
	}
	return nil
}

func (e *explainer) offsetOf(stream ledger.Stream, offset int64) error {
	found, err := ledger.Find(e.ctx, e.s, stream, offset)
	if err != nil {
		return err
	}
	f := Fate{Stream: stream.String(), Offset: offset}
	switch r := found.Record; {
	case r == nil && offset < found.First:
		f.Status, f.Means = BeforeHead, fmt.Sprintf("never read: the stream begins at offset %d, where it was first taken up", found.First)
	case r == nil:
		f.Status, f.Means = NotYet, fmt.Sprintf("not yet: the stream ends at offset %d; a worker has it in hand, or none reads the stream", found.Next)
	default:
		return e.inRecord(stream, r, func(o ledger.Outcome) bool { return o.Offset == offset }, func(s ledger.Skip) bool { return s.From <= offset && offset < s.To }, offset)
	}
	e.answer.Fates = append(e.answer.Fates, f)
	return nil
}

// inRecord adds the fates of a record's outcomes, and of its skipped ranges, that are
// asked for.
func (e *explainer) inRecord(stream ledger.Stream, r *ledger.Record, wanted func(ledger.Outcome) bool, skipped func(ledger.Skip) bool, offset int64) error {
	outcomes, err := ledger.Outcomes(e.ctx, e.s, r)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		if !wanted(o) {
			continue
		}
		f, err := e.fate(stream, r, o)
		if err != nil {
			return err
		}
		e.answer.Fates = append(e.answer.Fates, f)
	}
	for _, s := range r.Skipped {
		if !skipped(s) {
			continue
		}
		f := Fate{Stream: stream.String(), Offset: offset, Status: Skipped, Reason: s.Reason, Record: recordOf(stream, r),
			Means: fmt.Sprintf("offsets %d to %d hold no message: %s", s.From, s.To-1, skipMeans(s.Reason))}
		if f.Snapshots, err = e.snapshots(stream, r.Seq); err != nil {
			return err
		}
		e.answer.Fates = append(e.answer.Fates, f)
	}
	return nil
}

// fate is that of one outcome.
func (e *explainer) fate(stream ledger.Stream, r *ledger.Record, o ledger.Outcome) (Fate, error) {
	f := Fate{
		Stream: stream.String(), Offset: o.Offset, Part: o.Part, ID: o.ID, Dataset: o.Dataset, Status: o.Status,
		Samples: o.Samples, Of: o.Of, Code: o.Code, Stage: o.Stage, Detail: o.Detail, Attempts: o.Attempts, Sources: o.Sources, Record: recordOf(stream, r),
	}
	f.Means = statusMeans(stream, o)
	if o.Status == ledger.OK {
		for _, sh := range r.Shards {
			if sh.Dataset == o.Dataset && sh.From <= o.Offset && o.Offset < sh.To {
				f.Shards = append(f.Shards, Shard{Shard: sh})
				if !slices.Contains(f.Recipes, sh.Recipe) && sh.Recipe != "" {
					f.Recipes = append(f.Recipes, sh.Recipe)
				}
			}
		}
	}
	var err error
	f.Snapshots, err = e.snapshots(stream, r.Seq)
	return f, err
}

func recordOf(stream ledger.Stream, r *ledger.Record) *Record {
	return &Record{Key: ledger.RecordKey(stream, r.Seq), Seq: r.Seq, Epoch: r.Epoch, Writer: r.Writer, Time: r.Time, From: r.From, To: r.To, Tools: r.Tools}
}
