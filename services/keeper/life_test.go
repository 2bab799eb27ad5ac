package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/shard"
	"github.com/millrace/millrace/pipeline/store"
)

// life is a store under writers and keepers, and what a reader must find in it.
type life struct {
	t    *rapid.T
	s    store.Store
	dir  string
	jobs int
	// want is what is committed and not taken down; at what each snapshot must give that is
	// not forgotten.
	want map[string]string
	at   map[int64]map[string]string
}

// write commits a job, in all formats, on one of two streams.
func (l *life) write() {
	c := take(l.t, l.s, ledger.KafkaStream("c1", "ingest", int32(l.jobs%2)))
	id, at := fmt.Sprint("job", l.jobs), c.Next()
	l.jobs++
	e := ledger.Entry{To: at + 1, Outcomes: []ledger.Outcome{{Offset: at, ID: id, Dataset: "set", Status: ledger.OK, Samples: 1}}}
	sm := rich(id, 0)
	for _, f := range shard.Formats()[:2] {
		e.Shards = append(e.Shards, uploadAs(l.t, l.dir, l.s, c, f, []*pipeline.Sample{sm}, at, at+1))
		l.want[f+" "+sm.Key] = sum(sm)
	}
	commit(l.t, c, e)
}

// keep does something that may die, by a faulty store, after some requests.
func (l *life) keep(act string) {
	left := rapid.SampledFrom([]int{0, 3, 10, 20, 30, 40, 1000, 1000, 1000}).Draw(l.t, "requests before it dies")
	s := store.NewFaulty(l.s, func(op, key string, n int) store.Fault {
		if n > left {
			return store.Fault{Before: &store.Error{Op: op, Key: key, Kind: store.ErrDenied}}
		}
		return store.Fault{}
	})
	ctx := context.Background()
	var err error
	switch act {
	case "compact":
		_, err = Compact(ctx, s, compactOptions(l.dir))
	case "takedown":
		id := fmt.Sprint("job", rapid.IntRange(0, max(l.jobs-1, 0)).Draw(l.t, "job"))
		// A takedown that dies may have taken some shards and not others: the next round is
		// without faults, so that what is wanted is known.
		_, _ = Takedown(ctx, s, takedownOptions(l.dir, Selection{IDs: []string{id}}))
		_, err = Takedown(ctx, l.s, takedownOptions(l.dir, Selection{IDs: []string{id}}))
		for _, f := range shard.Formats() {
			delete(l.want, f+" "+rich(id, 0).Key)
		}
	case "sweep":
		_, err = SweepEdited(ctx, s, SweepOptions{})
		if err == nil {
			_, err = Sweep(ctx, s, SweepOptions{})
		}
	case "forget":
		keep := slices.Collect(maps.Keys(l.at))
		if len(keep) > 0 && rapid.Bool().Draw(l.t, "drop one") {
			n := rapid.SampledFrom(slices.Sorted(maps.Keys(l.at))).Draw(l.t, "dropped")
			delete(l.at, n)
			keep = slices.DeleteFunc(keep, func(k int64) bool { return k == n })
		}
		_, err = Forget(ctx, s, ForgetOptions{All: true, Keep: keep})
	}
	if err != nil && !errors.Is(err, store.ErrDenied) {
		l.t.Fatal(act, ": ", err)
	}
}

// check reads all that must be readable.
func (l *life) check() {
	if got := look(l.t, l.s, nil).sums; !maps.Equal(got, l.want) {
		l.t.Fatal(fmt.Sprintf("%d samples are there now, want %d, or others", len(got), len(l.want)))
	}
	for n, want := range l.at {
		snap, err := ledger.ReadSnapshot(context.Background(), store.Plain{Store: l.s}, n)
		if err != nil {
			l.t.Fatal(err)
		}
		if got := look(l.t, l.s, snap).sums; !maps.Equal(got, want) {
			l.t.Fatal(fmt.Sprintf("snapshot %d gives %d samples, and gave %d, or others", n, len(got), len(want)))
		}
	}
}

// Writers, compactions, takedowns, sweeps and forgetting, in any order and dying anywhere:
// what is committed and not taken down can be read, once, and each snapshot that is kept
// gives what it gave. In the end verify finds no fault, and a last sweep leaves no object
// that nobody will name.
func TestLifeOfAStore(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		l := &life{t: t, s: store.NewMemory(), dir: dir, want: map[string]string{}, at: map[int64]map[string]string{}}
		for range rapid.IntRange(3, 14).Draw(t, "steps") {
			switch act := rapid.SampledFrom([]string{"write", "write", "write", "publish", "compact", "compact", "takedown", "sweep", "forget"}).Draw(t, "act"); {
			case act == "write" || l.jobs == 0:
				l.write()
			case act == "publish":
				snap, err := ledger.Publish(context.Background(), store.Plain{Store: l.s})
				if err != nil {
					t.Fatal(err)
				}
				l.at[snap.N] = maps.Clone(l.want)
			default:
				l.keep(act)
			}
			l.check()
		}
		r, err := ledger.Verify(context.Background(), store.Plain{Store: l.s}, ledger.VerifyOptions{Deep: true}, nil)
		if err != nil || !r.OK() {
			t.Fatal("verify: ", r.Faults, err)
		}
		if _, err := SweepEdited(context.Background(), l.s, SweepOptions{}); err != nil {
			t.Fatal(err)
		}
		left, err := SweepEdited(context.Background(), l.s, SweepOptions{DryRun: true})
		// What has a claim may still come, until another edit removes what it would.
		if err != nil || slices.ContainsFunc(left, func(o Orphan) bool { return o.Verdict != Open }) {
			t.Fatal("after a last sweep there are ", left, err)
		}
		l.check()
	})
}
