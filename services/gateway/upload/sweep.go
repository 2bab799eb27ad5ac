package upload

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/millrace/millrace/pipeline/store"
)

// Swept is what a sweep came to.
type Swept struct {
	Expired int // unfinished uploads that were removed
	Settled int // complete ones that were made a job
	Old     int // ends of uploads that are jobs were removed; the objects stay
	Damaged int // uploads that nobody could go on with were removed
	Loose   int // tails and attempts of no upload were removed
}

// Sweep goes through the uploads of all tenants that nobody has touched since before.
// Unfinished ones are removed. What is complete without a job, as its process was killed
// between, is given to settle. So are attempts in parts that were begun before then and
// are of no upload, where a store keeps such. Objects are never removed, nor what a newer
// build has begun. Several may sweep at once. It returns what went wrong at the end, and
// goes on meanwhile.
func (s *Store) Sweep(ctx context.Context, before time.Time, settle func(context.Context, *Upload) error) (Swept, error) {
	w := sweeper{s: s, before: before, settle: settle}
	for info, err := range s.parts.List(ctx, Prefix, "") {
		if err != nil {
			w.errs = append(w.errs, err)
			break
		}
		w.add(ctx, info)
	}
	w.flush(ctx)
	w.attempts(ctx)
	return w.n, errors.Join(w.errs...)
}

// sweeper gathers the objects of one upload, which follow each other in a listing.
type sweeper struct {
	s      *Store
	before time.Time
	settle func(context.Context, *Upload) error
	n      Swept
	errs   []error

	tenant, id string
	state      *time.Time // when it was written; nil: there is none
	done       *time.Time
	tails      []store.Info
}

func (w *sweeper) add(ctx context.Context, info store.Info) {
	tenant, name, _ := strings.Cut(strings.TrimPrefix(info.Key, Prefix), "/")
	id, end, ok := strings.Cut(name, ".")
	if !ok || !validID(id) {
		return // a medium
	}
	if tenant != w.tenant || id != w.id {
		w.flush(ctx)
		w.tenant, w.id = tenant, id
	}
	switch end = "." + end; {
	case end == stateEnd:
		w.state = &info.Modified
	case end == doneEnd:
		w.done = &info.Modified
	case strings.HasPrefix(end, tailMark):
		w.tails = append(w.tails, info)
	}
}

// flush ends with the upload that was gathered.
func (w *sweeper) flush(ctx context.Context) {
	old := func(t *time.Time) bool { return t != nil && t.Before(w.before) }
	var err error
	switch {
	case old(w.state):
		err = w.unfinished(ctx)
	case w.state == nil && old(w.done):
		err = w.ended(ctx)
	case w.state == nil:
		for _, t := range w.tails {
			if t.Modified.Before(w.before) {
				err = errors.Join(err, w.s.parts.Delete(ctx, t.Key))
				w.n.Loose++
			}
		}
	}
	if err != nil {
		w.errs = append(w.errs, err)
	}
	w.state, w.done, w.tails = nil, nil, nil
}

// unfinished ends an upload of which it stands written how far it is.
func (w *sweeper) unfinished(ctx context.Context) error {
	u, err := w.s.read(ctx, w.tenant, w.id, stateEnd)
	bare := &Upload{s: w.s, State: State{Tenant: w.tenant, ID: w.id}}
	switch {
	case store.IsNotFound(err) || errors.Is(err, ErrNewer):
		return nil
	case w.done != nil: // it was complete before this was written
		return bare.clear(ctx)
	case errors.Is(err, ErrDamaged):
		w.n.Damaged++
		return bare.clear(ctx)
	case err != nil:
		return err
	case !u.written.Before(w.before): // somebody goes on with it just now
		return nil
	case u.Offset() == u.Size:
		return w.settled(ctx, u)
	}
	w.n.Expired++
	return u.Remove(ctx)
}

// ended forgets what became of an upload, once it is a job.
func (w *sweeper) ended(ctx context.Context) error {
	u, err := w.s.read(ctx, w.tenant, w.id, doneEnd)
	switch {
	case store.IsNotFound(err) || errors.Is(err, ErrNewer):
		return nil
	case errors.Is(err, ErrDamaged):
		w.n.Damaged++
	case err != nil:
		return err
	case u.Job == "":
		return w.settled(ctx, u)
	default:
		w.n.Old++
	}
	bare := &Upload{s: w.s, State: State{Tenant: w.tenant, ID: w.id, Complete: true}}
	return bare.Forget(ctx)
}

func (w *sweeper) settled(ctx context.Context, u *Upload) error {
	err := w.settle(ctx, u)
	switch {
	case err == nil:
		w.n.Settled++
	case errors.Is(err, ErrDamaged), errors.Is(err, handler.ErrNotFound):
		w.n.Damaged++
		err = nil
	}
	return err
}

// attempts ends those that no upload knows: their process was killed before it wrote the
// first state, or while it put a medium into the store.
func (w *sweeper) attempts(ctx context.Context) {
	p, ok := store.AsUnfinished(w.s.parts)
	if !ok {
		return
	}
	for a, err := range p.Unfinished(ctx, Prefix) {
		if err == nil && a.Begun.Before(w.before) {
			err = w.attempt(ctx, p, a)
		}
		if err != nil {
			w.errs = append(w.errs, err)
		}
	}
}

func (w *sweeper) attempt(ctx context.Context, p store.Unfinished, a store.PartedUpload) error {
	_, err := w.s.parts.Stat(ctx, a.Key+stateEnd)
	if !store.IsNotFound(err) {
		return err // somebody goes on with it, or did so of late
	}
	w.n.Loose++
	return p.AbortParts(ctx, a.Key, a.ID)
}
