package keeper

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// SweepOptions say what Sweep deletes.
type SweepOptions struct {
	// DryRun deletes nothing, and says what would be.
	DryRun bool
	// MinAge is how long ago, by the store's clock, an object must have been written. The
	// rule of epochs is enough by itself; this is for those who wear a belt too.
	MinAge time.Duration
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

func (o *SweepOptions) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// Verdict is what a sweep did to an object that no record names.
type Verdict string

// The verdicts.
const (
	Deleted   Verdict = "deleted"   // no record will ever name it
	Deletable Verdict = "deletable" // likewise, but this was a dry run
	Young     Verdict = "young"     // likewise, but written within MinAge
	Open      Verdict = "open"      // of the stream's current epoch: the next record may name it
)

// Orphan is an object that no record names.
type Orphan struct {
	Key      string    `json:"key"`
	Stream   string    `json:"stream"`
	Epoch    int64     `json:"epoch"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
	Verdict  Verdict   `json:"verdict"`
}

// Swept is what a sweep found, and did.
type Swept struct {
	DryRun  bool     `json:"dry_run"`
	Streams int      `json:"streams"`
	Orphans []Orphan `json:"orphans"` // in the order of their keys, stream by stream
}

// Sum counts the orphans of a verdict, and their bytes.
func (s *Swept) Sum(v Verdict) (objects int, bytes int64) {
	for _, o := range s.Orphans {
		if o.Verdict == v {
			objects++
			bytes += o.Bytes
		}
	}
	return objects, bytes
}

// deleters is how many objects are looked at, or deleted, at a time.
const deleters = 8

// Sweep deletes what writers that died have left under data/: objects that no record
// names, of epochs that are over (see [ledger.Orphans]). An epoch is over once the chain
// holds a fence of a later one, so it may run beside writers, and beside other sweeps. It
// deletes nothing of a stream whose chain is broken, and nothing outside data/. What stands
// beside a shard goes with it.
//
// What is returned with an error is what was done before it.
func Sweep(ctx context.Context, s store.Store, o SweepOptions) (*Swept, error) {
	swept := &Swept{DryRun: o.DryRun, Orphans: []Orphan{}}
	for stream, err := range ledger.Streams(ctx, store.Plain{Store: s}) {
		if err != nil {
			return swept, err
		}
		swept.Streams++
		orphans, err := orphansOf(ctx, s, stream)
		if err != nil {
			return swept, err
		}
		judge(orphans, o)
		if !o.DryRun {
			err = remove(ctx, s, orphans)
		}
		swept.Orphans = append(swept.Orphans, orphans...)
		if err != nil {
			return swept, fmt.Errorf("delete the orphans of stream %s: %w", stream, err)
		}
	}
	return swept, nil
}

// orphansOf gives a stream's orphans, with what the store says of them.
func orphansOf(ctx context.Context, s store.Store, stream ledger.Stream) ([]Orphan, error) {
	var all []Orphan
	for o, err := range ledger.Orphans(ctx, store.Plain{Store: s}, stream) {
		if err != nil {
			return nil, err
		}
		v := Open
		if o.Dead {
			v = Deletable
		}
		all = append(all, Orphan{Key: o.Key, Stream: stream.String(), Epoch: o.Epoch, Verdict: v})
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(deleters)
	for i := range all {
		g.Go(func() error {
			info, err := s.Stat(gctx, all[i].Key)
			if store.IsNotFound(err) {
				all[i].Key = "" // another sweep was here
				return nil
			}
			all[i].Bytes, all[i].Modified = info.Size, info.Modified
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	left := all[:0]
	for _, o := range all {
		if o.Key != "" {
			left = append(left, o)
		}
	}
	return left, nil
}

// judge makes young those of the deletable that are, or that stand beside one that is: a
// shard's index is written a little before the shard.
func judge(orphans []Orphan, o SweepOptions) {
	young := map[string]bool{}
	limit := o.now().Add(-o.MinAge)
	for i := range orphans {
		if orphans[i].Modified.After(limit) {
			young[orphans[i].Key] = true
		}
	}
	for i := range orphans {
		x := &orphans[i]
		if x.Verdict == Deletable && (young[x.Key] || young[shardOf(x.Key)]) {
			x.Verdict = Young
		}
	}
}

// shardOf is the name of the shard that an object would stand beside.
func shardOf(key string) string { return key[:max(strings.LastIndexByte(key, '.'), 0)] }

// remove deletes the deletable.
func remove(ctx context.Context, s store.Store, orphans []Orphan) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deleters)
	for i := range orphans {
		x := &orphans[i]
		if x.Verdict != Deletable {
			continue
		}
		g.Go(func() error {
			err := s.Delete(ctx, x.Key)
			if err == nil {
				x.Verdict = Deleted
			}
			return err
		})
	}
	return g.Wait()
}
