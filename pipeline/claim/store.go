package claim

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/pipeline/store"
)

// dir is where the package keeps its own objects.
const dir = "_claim/"

// Options of a Store.
type Options struct {
	// Location names the store for people and for the claim log, without secrets.
	Location string
	// Report, if set, hears of what is passed over and of notes that could not be
	// written. It may be called from several goroutines.
	Report func(what string, err error)
}

// Store is a store whose creates are decided by a claim log, whatever the store itself
// makes of conditional writes. All who create in the store must do it so. Everything
// but Create and Delete is the store's own; its claims (under _claim/) are not listed.
//
// It connects to the log at Open or at the first create, so readers need no log. A
// process that takes streams calls Open before.
type Store struct {
	store.Store
	log  Log
	opts Options
	gate chan struct{} // holds one token: the right to bind
	id   Identity      // set once bound
	p    []*partition  // nil before

	bound atomic.Bool // that p is there, for those who have no business at the gate
}

// New wraps a store, which should retry faults of the moment. Neither it nor the log is
// closed by this package.
func New(s store.Store, log Log, o Options) *Store {
	if o.Report == nil {
		o.Report = func(string, error) {}
	}
	c := &Store{Store: s, log: log, opts: o, gate: make(chan struct{}, 1)}
	c.gate <- struct{}{}
	return c
}

// Unwrap returns the store that is wrapped.
func (s *Store) Unwrap() store.Store { return s.Store }

// Close ends the reading of the log. It is called once no create is under way.
func (s *Store) Close() error {
	for _, p := range s.p {
		p.drop()
	}
	return nil
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, key string, data []byte) error {
	fail := func(kind, err error) error {
		return &store.Error{Op: "create", Key: key, Kind: kind, Err: err}
	}
	switch err := store.CheckKey(key); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fail(store.ErrInvalid, err)
	case strings.HasPrefix(key, dir):
		return fail(store.ErrInvalid, fmt.Errorf("names under %s are the claim log's own", dir))
	case len(data) > MaxObject:
		return fail(store.ErrInvalid, fmt.Errorf("it has %d bytes; %d can be created by the claim log", len(data), MaxObject))
	}
	p, done, err := s.enter(ctx, key)
	if err != nil {
		return fail(before(err), err)
	}
	defer done()
	// That the object is not there says that no record before p.at had its key. Those
	// from p.at on are all looked at below.
	switch _, err := s.Store.Stat(ctx, key); {
	case err == nil:
		return fail(store.ErrExists, nil)
	case !store.IsNotFound(err):
		return fail(nil, err)
	}
	r := Record{Op: Create, Key: key, Token: rand.Text(), SHA256: digest(data), Data: bytes.Clone(data)}
	if len(data) > MaxInline {
		r.Data, r.Copy = nil, copyKey(r.SHA256)
		if err := s.Put(ctx, r.Copy, store.BytesBody(data)); err != nil {
			return fail(nil, err)
		}
	}
	first, kind, err := p.append(ctx, r)
	switch {
	case err != nil:
		return fail(kind, err)
	case first == nil:
		return fail(store.ErrUnknown, errors.New("it was created, and deleted at once"))
	case first.Token != r.Token:
		return fail(store.ErrExists, nil)
	}
	return nil
}

// before is the kind of an error that came before anything was appended.
func before(err error) error {
	if errors.Is(err, ErrLost) || store.IsPermanent(err) {
		return store.ErrInvalid
	}
	return nil
}

// Stat implements store.Store. Once the store is bound, a record of the ledger that is
// not there is looked for in the log first: a writer that takes a stream finds what the
// one before it appended and died over, and is not taken for its rival later.
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	info, err := s.Store.Stat(ctx, key)
	if !store.IsNotFound(err) || !s.bound.Load() || !strings.HasPrefix(key, "_log/") {
		return info, err
	}
	if err := s.catchUp(ctx, key); err != nil {
		if ctx.Err() != nil {
			return store.Info{}, ctx.Err()
		}
		return store.Info{}, &store.Error{Op: "stat", Key: key, Kind: before(err), Err: err}
	}
	return s.Store.Stat(ctx, key)
}

// catchUp brings what a key's partition holds to the store.
func (s *Store) catchUp(ctx context.Context, key string) error {
	p, done, err := s.enter(ctx, key)
	if err != nil {
		return err
	}
	defer done()
	end, err := s.log.End(ctx, p.n)
	if err != nil {
		return err
	}
	_, err = p.follow(ctx, end, "")
	return err
}

// Delete implements store.Store. What was created is deleted by way of the log, so that
// nobody who is behind puts it again; such a key is not to be created anew.
func (s *Store) Delete(ctx context.Context, key string) error {
	if !claimed(key) {
		return s.Store.Delete(ctx, key)
	}
	data, err := read(ctx, s.Store, key)
	if err != nil {
		if store.IsNotFound(err) {
			return nil
		}
		return err
	}
	p, done, err := s.enter(ctx, key)
	if err != nil {
		return &store.Error{Op: "delete", Key: key, Kind: before(err), Err: err}
	}
	defer done()
	_, kind, err := p.append(ctx, Record{Op: Delete, Key: key, Token: rand.Text(), SHA256: digest(data)})
	if err != nil {
		if errors.Is(kind, store.ErrUnknown) {
			kind = nil // to delete again does no harm
		}
		return &store.Error{Op: "delete", Key: key, Kind: kind, Err: err}
	}
	return nil
}

// claimed reports whether an object may have come by a create.
func claimed(key string) bool {
	return !strings.HasPrefix(key, "data/") && !strings.HasPrefix(key, "_hint/") && !strings.HasPrefix(key, dir)
}

// List implements store.Store. It leaves out what this package keeps.
func (s *Store) List(ctx context.Context, prefix, startAfter string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range s.Store.List(ctx, prefix, startAfter) {
			if err == nil && strings.HasPrefix(info.Key, dir) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// enter gives the partition that decides a key, for one caller at a time, who calls
// done after use.
func (s *Store) enter(ctx context.Context, key string) (p *partition, done func(), err error) {
	if err := s.bind(ctx); err != nil {
		return nil, nil, err
	}
	n, err := partitionOf(key, s.id)
	if err != nil {
		return nil, nil, err
	}
	p = s.p[n]
	select {
	case p.turn <- struct{}{}:
		done = func() { <-p.turn }
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	// The place comes first: what the caller then finds missing in the store was missing
	// when every winner before the place was there.
	if err := p.open(ctx); err != nil {
		done()
		return nil, nil, err
	}
	return p, done, nil
}

// partitionOf gives the partition of a key: that of its stream, where it has one, else
// the first. It never changes, also when partitions are added.
func partitionOf(key string, id Identity) (int, error) {
	path, found := strings.CutPrefix(key, "_log/")
	if !found {
		return 0, nil
	}
	path, _, _ = strings.Cut(path, "/")
	words := strings.Split(path, "~")
	if len(words) != 3 {
		return 0, nil // a stream with a name
	}
	n, err := strconv.ParseUint(words[2], 10, 31)
	if err != nil {
		return 0, nil // no stream of the ledger's
	}
	if int(n) >= id.Partitions {
		return 0, &partitionsError{path, int(n), id}
	}
	return int(n), nil
}

// partitionsError says that the claim log is too narrow.
type partitionsError struct {
	stream string
	n      int
	id     Identity
}

func (e *partitionsError) Error() string {
	return fmt.Sprintf("the claim log %s has %d partitions, and the stream %s needs number %d: add partitions with kafka-topics --alter, as many as the ingest topic has",
		e.id.Topic, e.id.Partitions, e.stream, e.n)
}

// Permanent says that trying again is of no use.
func (*partitionsError) Permanent() bool { return true }
