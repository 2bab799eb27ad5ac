package upload

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Swept is what a sweep came to.
type Swept struct {
	Expired int // unfinished uploads that were removed
	Settled int // complete ones that were made a job
	Old     int // states of jobs that were removed; the objects stay
}

// Sweep goes through all uploads that nobody has touched since before. Unfinished ones
// are removed. What is complete without a job, as its process was killed between, is
// given to settle. Several may sweep at once. It returns what went wrong at the end,
// and goes on meanwhile.
func (s *Store) Sweep(ctx context.Context, before time.Time, settle func(context.Context, *Upload) error) (Swept, error) {
	var n Swept
	var errs []error
	for info, err := range s.parts.List(ctx, Prefix, "") {
		if err != nil {
			return n, errors.Join(append(errs, err)...)
		}
		name, isState := strings.CutSuffix(strings.TrimPrefix(info.Key, Prefix), ".info")
		tenant, id, ok := strings.Cut(name, "/")
		if !isState || !ok || !validID(id) || !info.Modified.Before(before) {
			continue
		}
		if err := s.sweep(ctx, tenant, id, settle, &n); err != nil {
			errs = append(errs, err)
		}
	}
	return n, errors.Join(errs...)
}

func (s *Store) sweep(ctx context.Context, tenant, id string, settle func(context.Context, *Upload) error, n *Swept) error {
	u, err := s.load(ctx, tenant, id)
	if err != nil {
		return err
	}
	switch {
	case u.Job != "":
		n.Old++
		return u.Remove(ctx, false)
	case u.Offset() == u.Size:
		if err := settle(ctx, u); err != nil {
			return err
		}
		n.Settled++
		return nil
	}
	n.Expired++
	return u.Remove(ctx, true)
}
