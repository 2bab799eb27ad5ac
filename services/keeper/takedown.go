package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// TakedownOptions say what Takedown leaves out, and why.
type TakedownOptions struct {
	Dataset string
	Selection
	Reason string // for people; it is kept
	By     string // who does it; it is kept
	// Erase has the next Forget delete what was taken down, whatever the age of the
	// snapshots that name it.
	Erase    bool
	Dir      string // where shards are spooled, two at a time
	Recipes  Recipes
	Progress func(Step) // may be nil
	Now      func() time.Time
}

// Validate names the setting that can not be.
func (o *TakedownOptions) Validate() error {
	switch {
	case o.Dataset == "":
		return errors.New("which dataset is not said")
	case strings.TrimSpace(o.Reason) == "":
		return errors.New("the reason is not said: it is what people will find in years")
	case len(o.Reason) > mostReason:
		return fmt.Errorf("the reason has %d bytes; %d are allowed", len(o.Reason), mostReason)
	}
	return o.Selection.validate()
}

// mostReason leaves room for the deed's id in what an edit may say.
const mostReason = ledger.MaxText - 64

// roundShards bounds what is done again if another edit comes first, or the process dies.
const roundShards = 64

// Takedown publishes snapshots without the samples of the jobs that are selected: shards
// that hold some are written anew without them, in their order. A sequence is packed again
// without its members that are of such jobs; where its recipe is not to be had, it goes
// whole, and [Deed.Lost] counts the others in it.
//
// It covers what is committed when it begins. Later snapshots stay without it, but the same
// media sent again are new samples, and need a takedown of their own. What was done is kept
// for ever under _takedown/: by whom, when, why, how selected and how much, and no content.
//
// A process that dies leaves a deed that is not done, which says so; made again, the
// takedown takes what is left. Beside writers, compactions and other takedowns it is safe.
func Takedown(ctx context.Context, s store.Store, o TakedownOptions) (*Deed, error) {
	if o.Progress == nil {
		o.Progress = func(Step) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &taker{s: s, o: o}
	err := o.Validate()
	if err == nil {
		err = t.run(ctx)
	}
	if err != nil {
		return t.deed, fmt.Errorf("take down from dataset %s: %w", o.Dataset, err)
	}
	return t.deed, nil
}

type taker struct {
	s    store.Store
	o    TakedownOptions
	deed *Deed
	step Step
	jobs map[string]bool // that were taken down, by the hash in their samples' keys
}

func (t *taker) run(ctx context.Context) error {
	t.deed = newDeed(&t.o)
	t.jobs = map[string]bool{}
	if err := t.deed.begin(ctx, t.s); err != nil {
		return err
	}
	for again := 0; ; again++ {
		err := t.pass(ctx)
		if err == nil {
			break
		}
		if again == mostAgain || !errors.Is(err, ledger.ErrEditConflict) && !errors.Is(err, ErrAbandoned) {
			return err
		}
	}
	t.deed.Jobs = int64(len(t.jobs))
	return t.deed.finish(ctx, t.s, t.o.Now())
}

// pass goes over all shards that may hold what is selected, as of a new snapshot. An
// [ledger.ErrEditConflict] means that another edit replaced one of them meanwhile.
func (t *taker) pass(ctx context.Context) error {
	snap, err := ledger.Publish(ctx, store.Plain{Store: t.s})
	if err != nil {
		return err
	}
	t.deed.Base = snap.N
	sel, err := t.o.Selection.resolve(ctx, t.s, snap, t.o.Dataset)
	if err != nil {
		return err
	}
	var shards []ledger.Shard
	for sh, err := range ledger.Shards(ctx, store.Plain{Store: t.s}, snap, t.o.Dataset) {
		if err != nil {
			return err
		}
		if sel.mayHold(sh) {
			shards = append(shards, sh)
		}
	}
	t.step = Step{Of: len(shards)}
	for r := t.newRound(sel); ; {
		if len(shards) == 0 || len(r.edit.Removes) == roundShards {
			if err := r.commit(ctx); err != nil || len(shards) == 0 {
				return err
			}
			r = t.newRound(sel)
		}
		if err := r.take(ctx, shards[0]); err != nil {
			return err
		}
		t.step.Done++
		t.step.Bytes += shards[0].Bytes
		t.o.Progress(t.step)
		shards = shards[1:]
	}
}

// round is some shards that are written anew, and become one edit.
type round struct {
	t       *taker
	sel     *selected
	attempt attempt
	edit    ledger.Edit
	groups  []group
	counts  Counts
	jobs    map[string]bool
}

func (t *taker) newRound(sel *selected) *round {
	return &round{t: t, sel: sel, attempt: newAttempt(t.s), jobs: map[string]bool{},
		edit: ledger.Edit{Kind: ledger.Takedown, Dataset: t.o.Dataset, Reason: t.deed.reason()}}
}

// take writes a shard anew, if it holds something that is selected.
func (r *round) take(ctx context.Context, sh ledger.Shard) error {
	f, err := spoolShard(ctx, r.t.s, r.t.o.Dir, sh)
	if err == nil {
		defer f.Close()
		err = r.takeFrom(ctx, sh, f)
	}
	if err != nil {
		return fmt.Errorf("shard %s: %w", sh.Key, err)
	}
	return nil
}

func (r *round) takeFrom(ctx context.Context, sh ledger.Shard, f *os.File) error {
	hit, err := r.holds(ctx, sh, f)
	if err != nil || !hit {
		return err
	}
	o, pack, err := outputOf(ctx, r.t.o.Recipes, sh)
	if err != nil {
		return err
	}
	gone := func(i *sampleInfo) bool {
		if !r.sel.matches(i) {
			return false
		}
		r.jobs[hashOf(i.Key)] = true
		return true
	}
	re := &repacker{pack: pack, dataset: sh.Dataset, recipe: sh.Recipe, gone: gone}
	w := &rewriter{s: r.t.s, dir: r.t.o.Dir, prefix: r.attempt.prefix(), keep: re.filter}
	if sh.Members == 0 {
		w.keep = func(s *pipeline.Sample) (*pipeline.Sample, error) { return r.without(s, gone) }
	}
	targets := &targets{w: w, like: sh, o: o, open: map[string]*target{}}
	defer targets.abort()
	if err := w.copyFile(ctx, sh, f, targets); err != nil {
		return err
	}
	if err := targets.sealAll(); err != nil {
		return err
	}
	written, err := targets.upload(ctx)
	if err != nil {
		return err
	}
	r.edit.Removes, r.edit.Adds = append(r.edit.Removes, sh.Key), append(r.edit.Adds, written...)
	r.groups = append(r.groups, group{Removes: []string{sh.Key}, Adds: keysOf(written)})
	r.counts.Shards++
	r.counts.Written += len(written)
	r.counts.Samples += re.members
	r.counts.Lost += re.lost
	return nil
}

// without drops a sample that is selected.
func (r *round) without(s *pipeline.Sample, gone func(*sampleInfo) bool) (*pipeline.Sample, error) {
	i, err := parseInfo(fieldOf(s, "json"))
	if err != nil {
		return nil, fmt.Errorf("the description of sample %s: %w", s.Key, err)
	}
	if gone(i) {
		r.counts.Samples++
		return nil, nil
	}
	return s, nil
}

// holds looks for something that is selected; nothing is written for shards without.
func (r *round) holds(ctx context.Context, sh ledger.Shard, f io.ReaderAt) (bool, error) {
	rd, err := shard.Open(sh.Format, f, sh.Bytes, shard.DefaultLimits())
	if err != nil {
		return false, err
	}
	lim := shard.Limits{MaxSampleBytes: mostJSON}
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		x, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		i := x.Field("json")
		if i < 0 {
			return false, fmt.Errorf("sample %s has no field json, so where it is from is not known", x.Key)
		}
		data, err := shard.ReadField(rd, x, i, nil, lim)
		if err != nil {
			return false, err
		}
		found, err := r.sel.matchesAny(data, sh.Members > 0)
		if err != nil {
			return false, fmt.Errorf("the description of sample %s: %w", x.Key, err)
		}
		if found {
			return true, nil
		}
	}
}

// commit publishes the round, and counts it only then.
func (r *round) commit(ctx context.Context) error {
	if len(r.groups) == 0 {
		return nil
	}
	snap, err := r.attempt.commit(ctx, r.edit, r.groups)
	if err != nil {
		return err
	}
	d := r.t.deed
	d.Snapshot = snap.N
	d.Counts.plus(r.counts)
	for job := range r.jobs {
		r.t.jobs[job] = true
	}
	return nil
}
