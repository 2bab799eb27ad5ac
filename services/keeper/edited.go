package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

// SweepEdited deletes what attempts at edits have left under edited/ that no edit names and
// none ever will: of attempts that died, that lost to another edit, or that found theirs not
// worth it. Nothing of an attempt is touched while one of its objects is younger than
// MinAge. One without a claim is given up first, so that it can not land any more.
//
// What is returned with an error is what was done before it.
func SweepEdited(ctx context.Context, s store.Store, o SweepOptions) ([]Orphan, error) {
	e := &editedSweep{s: s, o: o, limit: o.now().Add(-o.MinAge)}
	err := e.run(ctx)
	if err != nil {
		err = fmt.Errorf("sweep what edits have left: %w", err)
	}
	return e.orphans, err
}

type editedSweep struct {
	s       store.Store
	o       SweepOptions
	limit   time.Time
	named   map[string]bool // by an edit of the latest snapshot
	removed *ledger.Removed
	orphans []Orphan
}

func (e *editedSweep) run(ctx context.Context) error {
	e.orphans = []Orphan{}
	if err := e.load(ctx); err != nil {
		return err
	}
	var id string
	var objects []store.Info
	for info, err := range e.s.List(ctx, ledger.EditedPrefix, "") {
		if err != nil {
			return err
		}
		if of := attemptOf(info.Key); of != id {
			if err := e.attempt(ctx, id, objects); err != nil {
				return err
			}
			id, objects = of, nil
		}
		objects = append(objects, info)
	}
	return e.attempt(ctx, id, objects)
}

// load reads what the latest snapshot's edits add and remove.
func (e *editedSweep) load(ctx context.Context) error {
	e.named = map[string]bool{}
	ls := store.Plain{Store: e.s}
	latest, err := ledger.Latest(ctx, ls)
	if err != nil && !errors.Is(err, ledger.ErrNoSnapshot) {
		return err
	}
	if e.removed, err = ledger.LoadRemoved(ctx, ls, latest); err != nil || latest == nil {
		return err
	}
	for edit, err := range ledger.Edits(ctx, ls, latest) {
		if err != nil {
			return err
		}
		for _, sh := range edit.Adds {
			e.named[sh.Key] = true
		}
	}
	return nil
}

// attempt judges and deletes the objects of one attempt.
func (e *editedSweep) attempt(ctx context.Context, id string, objects []store.Info) error {
	if id == "" {
		return nil // not an attempt's; nobody here knows what it is
	}
	from := len(e.orphans)
	claimed, young := false, false
	for _, x := range objects {
		young = young || x.Modified.After(e.limit)
		switch {
		case x.Key == (attempt{e.s, id}).prefix()+claimName:
			claimed = true
		case !e.named[x.Key] && !e.named[shardOf(x.Key)]:
			e.orphans = append(e.orphans, Orphan{Key: x.Key, Stream: ledger.EditedPrefix + id, Bytes: x.Size, Modified: x.Modified, Verdict: Open})
		}
	}
	left := e.orphans[from:]
	if len(left) == 0 {
		return nil
	}
	dead, err := e.dead(ctx, id, claimed, young)
	if err != nil {
		return err
	}
	for i := range left {
		switch {
		case !dead(left[i].Key):
		case young:
			left[i].Verdict = Young
		default:
			left[i].Verdict = Deletable
		}
	}
	if e.o.DryRun {
		return nil
	}
	return remove(ctx, e.s, left)
}

// dead says of an attempt's objects, which no edit names yet, whether none ever will.
func (e *editedSweep) dead(ctx context.Context, id string, claimed, young bool) (func(key string) bool, error) {
	all := func(is bool) func(string) bool { return func(string) bool { return is } }
	a := attempt{e.s, id}
	if !claimed && (young || e.o.DryRun) {
		return all(true), nil
	}
	if !claimed {
		err := a.claim(ctx, claim{Version: claimVersion, Abandoned: true})
		if err == nil || !errors.Is(err, ErrAbandoned) {
			return all(true), err
		}
		// It lives, and was quicker: its own claim says the rest.
	}
	c, err := readClaim(ctx, e.s, id)
	if err != nil || c == nil || c.Abandoned {
		return all(err == nil), err
	}
	over := false // something that it removes is removed: it has landed, or never will
	adds := map[string]bool{}
	for _, g := range c.Groups {
		over = over || slices.ContainsFunc(g.Removes, e.removed.Has)
		for _, key := range g.Adds {
			adds[key] = true
		}
	}
	return func(key string) bool { return over || !adds[key] && !adds[shardOf(key)] }, nil
}
