package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/codecs/packing"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
)

// batch is what one commit record will cover: whole offsets from..to, the shards that
// hold their samples, and how each job ended.
type batch struct {
	from, to int64         // [from, to)
	name     func() string // makes up names of shards
	skipped  []ledger.Skip
	outcomes []ledger.Outcome
	text     int // about how many bytes the outcomes have
	shards   []sealed
	open     map[output]*openShard
	windows  map[output]*sequencer // of outputs that are packed
	fill     packing.Fill          // of the windows that were packed
	since    time.Time             // of its first delivery; zero while there is none
	age      time.Duration         // at which it is committed: the least of its outputs'
	aged     bool                  // it holds samples, so that age is an output's
}

// output is one shard format of one dataset, and one shape of samples where the format
// has columns.
type output struct {
	dataset string
	index   int // in the recipe's Outputs
	shape   string
}

// inOrder gives the outputs of a map in an order of their own, so that the same jobs give
// the same record.
func inOrder[V any](m map[output]V) []output {
	return slices.SortedFunc(maps.Keys(m), func(a, b output) int {
		return cmp.Or(cmp.Compare(a.dataset, b.dataset), cmp.Compare(a.index, b.index), cmp.Compare(a.shape, b.shape))
	})
}

type openShard struct {
	*shard.Writer
	recipe  *pipeline.Recipe
	bounds  pipeline.Output
	members int64 // samples of jobs, where they are packed into sequences
}

type sealed struct {
	*shard.Sealed
	dataset, format string
	recipe          *pipeline.Recipe
	members         int64
}

// What is finished in one batch is bounded, so that a record and the scratch disk are.
// The ledger refuses a record that is too large, and would do so again each time.
const (
	maxOutcomes = 10_000 // and skipped ranges: some 75 bytes each in a record of at most 1 MiB
	maxText     = ledger.MaxTable / 4
	maxShards   = 8
	// idleAge is how long a batch without a single shard may wait.
	idleAge = time.Minute
)

// pack appends finished jobs in the order of their offsets, and hands a batch to commit
// whenever it is large or old enough. At the end of the feed it hands over the rest.
func (s *Stream) pack(ctx context.Context, items <-chan *item, batches chan<- *batch) error {
	p := &packer{s: s, next: s.parts.Chain.Next(), out: batches}
	p.begin()
	defer func() { p.batch.abort() }()
	for {
		it, more, err := p.await(ctx, items)
		if err != nil {
			return err
		}
		if !more {
			return p.flush(ctx)
		}
		if err := p.add(ctx, it); err != nil {
			return err
		}
	}
}

// packer fills the batch at hand.
type packer struct {
	s     *Stream
	next  int64 // the offset that must come
	batch *batch
	out   chan<- *batch
}

func (p *packer) begin() {
	p.batch = &batch{from: p.next, to: p.next, name: p.s.parts.Name, open: map[output]*openShard{}, windows: map[output]*sequencer{}}
}

// await gives the next item once it is finished. Meanwhile the batch may grow old, and
// is flushed.
func (p *packer) await(ctx context.Context, items <-chan *item) (*item, bool, error) {
	var it *item
	var done <-chan struct{}
	var idle <-chan time.Time
	if p.s.cfg.Idle > 0 && !p.s.cfg.Steady && p.batch.from < p.batch.to {
		idle = time.After(p.s.cfg.Idle)
	}
	for {
		from := items
		if it != nil {
			from, idle = nil, nil
		}
		select {
		case next, more := <-from:
			if !more {
				return nil, false, nil
			}
			it, done = next, next.done
			p.s.inHand = it
		case <-done:
			return it, true, it.err
		case <-idle:
			idle = nil
			if err := p.flush(ctx); err != nil {
				return nil, false, err
			}
		case <-clock(p.batch.since, p.batch.age, p.s.cfg.Steady):
			if err := p.flush(ctx); err != nil {
				return nil, false, err
			}
		case <-p.s.parts.Cut:
			return p.finished(it, items)
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// finished is the next item, which may be at hand, if nothing is to be waited for.
func (p *packer) finished(it *item, items <-chan *item) (*item, bool, error) {
	if it == nil {
		select {
		case it = <-items:
		default:
		}
		if it == nil {
			return nil, false, nil
		}
		p.s.inHand = it
	}
	select {
	case <-it.done:
		return it, true, it.err
	default:
		return nil, false, nil
	}
}

// add packs one delivery: every offset before it is accounted for, then its jobs.
func (p *packer) add(ctx context.Context, it *item) error {
	defer p.s.window.leave(it.held)
	defer it.close()
	if it.Offset != p.next {
		return fmt.Errorf("offset %d came where %d had to come: the feed is not contiguous", it.Offset, p.next)
	}
	if p.batch.full(p.fresh(it)) {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	if p.batch.since.IsZero() {
		p.batch.since, p.batch.age = time.Now(), idleAge
	}
	if it.Skip != nil {
		p.batch.skipped = append(p.batch.skipped, ledger.Skip{From: it.Offset, To: it.Skip.To, Reason: it.Skip.Reason})
	}
	if f := faultOf(it.Fault); f != nil {
		p.end(it, 0, &part{job: &pipeline.Job{}, verdict: pipeline.Verdict{Fault: f}}, ledger.Quarantined)
	} else if it.Fault != nil {
		return fmt.Errorf("offset %d: %w", it.Offset, it.Fault)
	}
	if it.Skip == nil && it.Fault == nil && len(it.parts) == 0 {
		p.batch.outcomes = append(p.batch.outcomes, ledger.Outcome{Offset: it.Offset, Status: ledger.None})
	}
	for i := range it.parts {
		if err := p.addPart(it, i); err != nil {
			return fmt.Errorf("job %q at offset %d: %w", it.parts[i].job.ID, it.Offset, err)
		}
	}
	p.next = it.End()
	p.batch.to = p.next
	p.s.inHand = nil
	p.s.parts.Advance(p.next)
	return nil
}

// fresh is how many bytes of samples an item adds. Not it.held: whether a repeat was worked
// on depends on when the first ended, and where a batch ends must not.
func (p *packer) fresh(it *item) int64 {
	var n int64
	for i := range it.parts {
		if _, yes := p.s.repeats(it.parts[i].job); !yes && it.parts[i].verdict.Fault == nil {
			n += it.parts[i].result.size
		}
	}
	return n
}

func (p *packer) addPart(it *item, i int) error {
	part := &it.parts[i]
	// A repeat is one even if it failed: its id stays known as that of samples.
	if of, yes := p.s.repeats(part.job); yes {
		p.end(it, i, part, ledger.DupOf)
		p.batch.outcomes[len(p.batch.outcomes)-1].Of = &of
		return nil
	}
	if part.verdict.Fault != nil {
		p.end(it, i, part, ledger.Quarantined)
		return nil
	}
	if part.recipe == nil { // seen when it was taken, and forgotten since
		return fmt.Errorf("its id left the index of known ids while it waited")
	}
	err := part.result.each(func(sm *pipeline.Sample) error { return p.batch.write(p.s.cfg.Dir, part, sm) })
	if err != nil {
		return err
	}
	p.end(it, i, part, ledger.OK)
	return nil
}

// write appends a sample to each output: to its open shard, or to the window that is
// packed into sequences.
func (b *batch) write(dir string, p *part, sm *pipeline.Sample) error {
	for i, o := range p.recipe.Outputs {
		key := output{dataset: p.job.Dataset, index: i}
		var err error
		if o.Pack != nil {
			err = b.collect(dir, key, p.recipe, sm)
		} else {
			err = b.append(dir, key, p.recipe, sm, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// append puts a sample into the open shard of an output, and closes that when it is
// full. members is how many samples were packed into this one, or 0.
func (b *batch) append(dir string, key output, r *pipeline.Recipe, sm *pipeline.Sample, members int) error {
	o := r.Outputs[key.index]
	var err error
	if key.shape, err = shard.Shape(o.Format, sm); err != nil {
		return err
	}
	w := b.open[key]
	if w != nil && w.recipe.Digest != r.Digest { // loaded anew while the batch was open
		if err := b.seal(key); err != nil {
			return err
		}
		w = nil
	}
	for {
		if w == nil {
			if w, err = b.create(dir, key, r); err != nil {
				return err
			}
		}
		err := w.Add(sm)
		if errors.Is(err, shard.ErrFull) && w.Samples() > 0 {
			if err := b.seal(key); err != nil {
				return err
			}
			w = nil
			continue
		}
		if err != nil {
			return err
		}
		w.members += int64(members)
		if w.Bytes() >= o.ShardBytes || int64(w.Samples()) >= o.ShardSamples {
			return b.seal(key)
		}
		return nil
	}
}

// create opens an output's next shard.
func (b *batch) create(dir string, key output, r *pipeline.Recipe) (*openShard, error) {
	o := r.Outputs[key.index]
	w, err := shard.Create(dir, o.Format, shard.Options{Name: b.name(), Compression: o.Compression, Fields: r.FieldNames(o)})
	if err != nil {
		return nil, err
	}
	b.ages(o.ShardAge)
	b.open[key] = &openShard{Writer: w, recipe: r, bounds: o}
	return b.open[key], nil
}

// ages bounds how old the batch may become, now that an output has samples in it.
func (b *batch) ages(age time.Duration) {
	if !b.aged || age < b.age {
		b.aged, b.age = true, age
	}
}

// seal closes one open shard. It belongs to the batch until that is committed.
func (b *batch) seal(key output) error {
	w := b.open[key]
	s, err := w.Seal()
	if err != nil {
		return err
	}
	delete(b.open, key)
	b.shards = append(b.shards, sealed{s, key.dataset, w.bounds.Format, w.recipe, w.members})
	return nil
}

// full reports whether the batch should be committed before a delivery with so many
// bytes of samples is added. Shards are closed between jobs if they can be: a job that
// straddles two would hold up the commit of the first.
func (b *batch) full(next int64) bool {
	if len(b.outcomes)+len(b.skipped) >= maxOutcomes || b.text >= maxText || len(b.shards) >= maxShards {
		return true
	}
	if len(b.shards) > 0 && len(b.open) == 0 {
		return true
	}
	for _, w := range b.open {
		if w.Bytes() >= w.bounds.ShardBytes/2 && w.Bytes()+next > w.bounds.ShardBytes {
			return true
		}
	}
	return false
}

// flush seals what is open and hands the batch to commit. It blocks while the batch
// before it is being uploaded.
func (p *packer) flush(ctx context.Context) error {
	b := p.batch
	if b.from == b.to {
		return nil
	}
	if err := b.sequenceAll(p.s.cfg.Dir); err != nil {
		return err
	}
	for _, key := range inOrder(b.open) {
		if err := b.seal(key); err != nil {
			return err
		}
	}
	select {
	case p.out <- b:
		p.begin()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// abort frees what the batch holds on disk. After a commit there is nothing left to free.
func (b *batch) abort() {
	for _, w := range b.windows {
		w.close()
	}
	for _, w := range b.open {
		w.Abort()
	}
	for _, s := range b.shards {
		s.Close()
	}
}

// textOf is about how many bytes an outcome has in a record, not counting escapes.
func textOf(o *ledger.Outcome) int {
	const rest = 100 // names of fields and numbers
	n := rest + len(o.ID) + len(o.Dataset) + len(o.ReplayOf) + len(o.Code) + len(o.Stage) + min(len(o.Detail), ledger.MaxText)
	for _, s := range o.Sources {
		n += rest + min(len(s.URI), ledger.MaxURI) + min(len(s.Version), ledger.MaxText) + len(s.SHA256)
	}
	return n
}

// end writes down how a job ended, and tells the observer.
func (p *packer) end(it *item, i int, part *part, status ledger.Status) {
	o := ledger.Outcome{Offset: it.Offset, Part: i, ID: part.job.ID, Dataset: part.job.Dataset, Status: status, ReplayOf: part.job.ReplayOf}
	for _, src := range part.sources {
		o.Sources = append(o.Sources, ledger.Source(src))
	}
	switch status {
	case ledger.OK:
		o.Samples = part.verdict.Samples
	case ledger.Quarantined:
		f := part.verdict.Fault
		o.Code, o.Stage, o.Detail, o.Attempts = f.Code, f.Stage, f.Detail, f.Attempts
	}
	p.batch.outcomes = append(p.batch.outcomes, o)
	p.batch.text += textOf(&o)
	if status != ledger.DupOf && o.ID != "" {
		p.s.parts.Known.add(part.job, it.Offset, status)
	}
	var bytes int64
	for _, s := range part.sources {
		bytes += s.Bytes
	}
	p.s.parts.Observe.Ended(part.job, status, part.verdict, bytes)
}
