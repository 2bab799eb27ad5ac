package claim

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/pipeline/store"
)

// bindingKey names the object that says which topic decides a store's creates. The
// same stands first in partition 0 of the topic.
const bindingKey = dir + "topic.json"

// Binding ties a store to a claim log, both ways.
type Binding struct {
	Version  int    `json:"v"`
	ID       string `json:"id"` // of this binding, made up
	Topic    string `json:"topic"`
	TopicID  string `json:"topic_id"`
	Cluster  string `json:"cluster"`
	Location string `json:"location"`
}

func newBinding(id Identity, location string) Binding {
	return Binding{Version: 1, ID: rand.Text(), Topic: id.Topic, TopicID: id.ID, Cluster: id.Cluster, Location: location}
}

// Bound gives the binding of a store, or false where its creates are its own.
func Bound(ctx context.Context, s store.Store) (Binding, bool, error) {
	data, err := read(ctx, s, bindingKey)
	if store.IsNotFound(err) {
		return Binding{}, false, nil
	}
	if err != nil {
		return Binding{}, false, err
	}
	b, err := parseBinding(data)
	if err != nil {
		return Binding{}, false, fmt.Errorf("%s: %w", bindingKey, err)
	}
	return b, true, nil
}

func parseBinding(data []byte) (Binding, error) {
	var b Binding
	if err := json.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("it says of no topic: %w", err)
	}
	if b.Version != 1 || b.TopicID == "" || b.ID == "" {
		return b, fmt.Errorf("it has version %d; this program knows 1", b.Version)
	}
	return b, nil
}

// Open binds the store to the log, if that has not been done, and checks that they
// belong together. Create does so by itself.
func (s *Store) Open(ctx context.Context) error { return s.bind(ctx) }

// bind is done once; while it fails it is tried again by each caller.
func (s *Store) bind(ctx context.Context) error {
	select {
	case <-s.gate:
		defer func() { s.gate <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.p != nil {
		return nil
	}
	id, err := s.log.Identity(ctx)
	if err != nil {
		return err
	}
	b, found, err := Bound(ctx, s.Store)
	if err == nil && !found {
		b, err = s.adopt(ctx, id)
	}
	if err != nil {
		return err
	}
	if b.TopicID != id.ID {
		return lost("the store is bound to the topic %s (%s) of cluster %s; this is %s (%s) of %s", b.Topic, b.TopicID, b.Cluster, id.Topic, id.ID, id.Cluster)
	}
	s.id = id
	p := make([]*partition, id.Partitions)
	for n := range p {
		p[n] = &partition{s: s, n: n, turn: make(chan struct{}, 1)}
	}
	s.p = p
	s.bound.Store(true)
	return nil
}

// adopt ties a store and a log together that have not been. Of several writers that do
// so at once, the first in the log has it.
func (s *Store) adopt(ctx context.Context, id Identity) (Binding, error) {
	switch m, found, err := store.ReadMode(ctx, s.Store); {
	case err != nil:
		return Binding{}, err
	case found && m.Mode != store.Claims:
		return Binding{}, &modeError{}
	}
	if err := s.append(ctx, id); err != nil {
		return Binding{}, err
	}
	// Any record but a binding was appended by someone to whom the store was bound, and
	// whose store that was can not be this one.
	var first *Entry
	for n := range id.Partitions {
		end, err := s.log.End(ctx, n)
		if err != nil {
			return Binding{}, err
		}
		e, err := onlyBindings(ctx, s.log, id, n, end)
		if err != nil {
			return Binding{}, err
		}
		if n == 0 {
			first = e
		}
	}
	if first == nil {
		return Binding{}, errors.New("the claim log did not take the store's name; try again")
	}
	b, err := parseBinding(first.Data)
	switch {
	case err != nil:
		return b, fmt.Errorf("the first record of the claim log %s: %w", id.Topic, err)
	case b.Location != s.opts.Location:
		return b, foreign(id, "its first record is of the store "+b.Location)
	}
	return b, s.put(ctx, &first.Record)
}

// modeError says that others may be writing without the log.
type modeError struct{}

func (*modeError) Error() string {
	return "this store was written with its own conditional writes, and store.claim_log.topic is set: unset it, or stop every writer and run `millrace doctor --switch-mode`"
}

// Permanent says that trying again is of no use.
func (*modeError) Permanent() bool { return true }

func foreign(id Identity, why string) error {
	return fmt.Errorf("%w: the claim log %s is of another store: %s, and this store has no %s; give each store a claim log of its own", ErrLost, id.Topic, why, bindingKey)
}

// append appends a binding to an empty log.
func (s *Store) append(ctx context.Context, id Identity) error {
	end, err := s.log.End(ctx, 0)
	if err != nil || end > 0 {
		return err
	}
	data, err := json.Marshal(newBinding(id, s.opts.Location))
	if err != nil {
		return err
	}
	_, err = s.log.Append(ctx, 0, Record{Op: Create, Key: bindingKey, Token: rand.Text(), SHA256: digest(data), Data: data})
	if refused, _ := refusal(err); refused {
		return err
	}
	return nil // it is there, or it is not: that is looked at next
}

// onlyBindings gives the first record of a partition that has no other records than
// bindings, or nil.
func onlyBindings(ctx context.Context, log Log, id Identity, partition int, end int64) (*Entry, error) {
	r := log.Read(partition, 0)
	defer r.Close()
	var first *Entry
	for at := int64(0); at < end; {
		e, err := r.Next(ctx)
		switch {
		case err != nil:
			return nil, err
		case e.Invalid != nil:
		case e.Key != bindingKey || partition != 0:
			return nil, foreign(id, fmt.Sprintf("it has a record for %s", e.Key))
		case first == nil:
			first = &e
		}
		at = e.Next
	}
	return first, nil
}

// Rebind binds a store to a new, empty topic, after the old one was lost. What anybody
// was told is in the store already, so there is nothing to bring over. Every writer
// must have been stopped before, since what it had under way would be decided by
// nobody: Rebind can not check that.
func Rebind(ctx context.Context, s store.Store, log Log, location string) (was, is Binding, err error) {
	fail := func(err error) (Binding, Binding, error) {
		return was, is, fmt.Errorf("bind the store to a new claim log: %w", err)
	}
	was, found, err := Bound(ctx, s)
	if err != nil {
		return fail(err)
	}
	if !found {
		return fail(errors.New("the store is bound to none: start a worker with store.claim_log, and it will be"))
	}
	id, err := log.Identity(ctx)
	if err != nil {
		return fail(err)
	}
	if id.ID == was.TopicID {
		return fail(fmt.Errorf("the topic %s is the one it is bound to: delete the topic and make it anew, if it is damaged", id.Topic))
	}
	for n := range id.Partitions {
		end, err := log.End(ctx, n)
		if err == nil { // a binding may be there, of an earlier attempt
			_, err = onlyBindings(ctx, log, id, n, end)
		}
		if err != nil {
			return fail(fmt.Errorf("the new topic has to be empty; was a writer still running? %w", err))
		}
	}
	is = newBinding(id, location)
	data, err := json.Marshal(is)
	if err != nil {
		return fail(err)
	}
	r := Record{Op: Create, Key: bindingKey, Token: rand.Text(), SHA256: digest(data), Data: data}
	if _, err := log.Append(ctx, 0, r); err != nil {
		return fail(err)
	}
	if err := s.Put(ctx, bindingKey, store.BytesBody(data)); err != nil {
		return fail(err)
	}
	return was, is, nil
}

// Release ends the binding of a store, whose creates are then its own again. Every
// writer must have been stopped before.
func Release(ctx context.Context, s store.Store) error { return s.Delete(ctx, bindingKey) }
