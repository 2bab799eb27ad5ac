package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline/store"
)

// noteEvery is after how many records the follower's place is noted in the store.
const noteEvery = 64

// partition follows one partition of the log. It belongs to whoever has its turn.
type partition struct {
	s    *Store
	n    int
	turn chan struct{} // full while somebody has it

	reader Reader // at at; nil while there is none
	known  bool   // at and noted are
	at     int64  // every winner below is in the store
	noted  int64  // as at was when it was noted
}

// errAbsent says that a record that may have been appended is not in the log (yet).
var errAbsent = errors.New("the record is not in the claim log, and may still come")

// append appends a record, and follows the log until it is decided. It gives the first
// record of that key from p.at on. Without one it gives an error and its kind for a
// create.
func (p *partition) append(ctx context.Context, r Record) (first *Record, kind, err error) {
	var until int64
	offset, cause := p.s.log.Append(ctx, p.n, r)
	if cause != nil {
		switch refused, permanent := refusal(cause); {
		case permanent:
			return nil, store.ErrInvalid, cause
		case refused:
			return nil, store.ErrConflict, cause
		}
		if until, err = p.s.log.End(ctx, p.n); err != nil {
			return nil, store.ErrUnknown, errors.Join(cause, err)
		}
		offset = until
	} else {
		until = offset + 1
	}
	if offset < p.at {
		p.drop()
		return nil, store.ErrUnknown, lost("partition %d ended at %d or later, and now ends at %d", p.n, p.at, until)
	}
	first, err = p.follow(ctx, until, r.Key)
	switch {
	case first != nil: // whatever came after it
		return first, nil, nil
	case err == nil && cause == nil:
		return nil, nil, nil
	case err == nil:
		err = errAbsent
	}
	return nil, store.ErrUnknown, errors.Join(err, cause)
}

// follow goes over the records up to an offset. It gives the first with the key mine,
// which no record before p.at may have.
func (p *partition) follow(ctx context.Context, until int64, mine string) (first *Record, err error) {
	for p.at < until {
		if err := p.open(ctx); err != nil {
			return first, err
		}
		e, err := p.reader.Next(ctx)
		if err == nil {
			err = p.over(ctx, &e, mine, &first)
		}
		if err != nil {
			p.drop() // it may have gone past p.at
			return first, err
		}
		p.at = e.Next
		p.note(ctx)
	}
	return first, nil
}

// over sees to it that the winner is in the store, if e is one.
func (p *partition) over(ctx context.Context, e *Entry, mine string, first **Record) error {
	switch {
	case e.Invalid != nil:
		p.s.opts.Report(fmt.Sprintf("passed over offset %d of partition %d of the claim log", e.Offset, p.n), e.Invalid)
		return nil
	case e.Key == bindingKey:
		return nil
	case e.Op == Delete:
		if e.Key == mine {
			*first = nil
		}
		return p.s.remove(ctx, &e.Record)
	case e.Key != mine:
		return p.s.settle(ctx, &e.Record)
	case *first != nil:
		return nil
	}
	if err := p.s.put(ctx, &e.Record); err != nil {
		return err
	}
	*first = &e.Record
	return nil
}

// settle puts a record's object if it is the winner, which it is if there is none.
func (s *Store) settle(ctx context.Context, r *Record) error {
	_, err := s.Store.Stat(ctx, r.Key)
	if !store.IsNotFound(err) {
		return err
	}
	// A writer of the ledger has seen the record before: so that is there, unless this
	// log is not this store's.
	if before := previous(r.Key); before != "" {
		if _, err := s.Store.Stat(ctx, before); store.IsNotFound(err) {
			return lost("it has a record for %s, but there is no %s in the store", r.Key, before)
		} else if err != nil {
			return err
		}
	}
	return s.put(ctx, r)
}

// previous names the record before a record of the ledger, or is "".
func previous(key string) string {
	at := strings.LastIndexByte(key, '/')
	n, err := strconv.ParseInt(key[at+1:], 10, 64)
	if !strings.HasPrefix(key, "_log/") || err != nil || n < 1 || key[at+1:] != fmt.Sprintf("%020d", n) {
		return ""
	}
	return fmt.Sprintf("%s%020d", key[:at+1], n-1)
}

// put puts a winner.
func (s *Store) put(ctx context.Context, r *Record) error {
	data := r.Data
	if r.Copy != "" {
		var err error
		if data, err = read(ctx, s.Store, r.Copy); err != nil {
			return err
		}
		if digest(data) != r.SHA256 {
			return &store.Error{Op: "get", Key: r.Copy, Kind: store.ErrCorrupt, Err: fmt.Errorf("its SHA-256 is %s", digest(data))}
		}
	}
	return s.Put(ctx, r.Key, store.BytesBody(data))
}

// remove deletes what a record says, unless another stands there.
func (s *Store) remove(ctx context.Context, r *Record) error {
	data, err := read(ctx, s.Store, r.Key)
	switch {
	case store.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case digest(data) != r.SHA256:
		return nil
	}
	return s.Store.Delete(ctx, r.Key)
}

// read reads an object whole.
func read(ctx context.Context, s store.Store, key string) ([]byte, error) {
	rc, info, err := s.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rc.Close() }()
	if info.Size > MaxObject {
		return nil, &store.Error{Op: "get", Key: key, Kind: store.ErrInvalid, Err: fmt.Errorf("it has %d bytes; what was created has %d at most", info.Size, MaxObject)}
	}
	return io.ReadAll(rc)
}

// open makes a reader at p.at, where there is none.
func (p *partition) open(ctx context.Context) error {
	if p.reader != nil {
		return nil
	}
	if !p.known {
		at, err := p.noteRead(ctx)
		if err != nil {
			return err
		}
		p.at, p.noted, p.known = at, at, true
	}
	// What comes now is read from a topic that is asked for anew: is it the same?
	now, err := p.s.log.Identity(ctx)
	if err != nil {
		return err
	}
	if now.ID != p.s.id.ID {
		return lost("the topic %s was deleted and made anew (it was %s, it is %s)", now.Topic, p.s.id.ID, now.ID)
	}
	end, err := p.s.log.End(ctx, p.n)
	if err != nil {
		return err
	}
	if end < p.at {
		return lost("partition %d of %s ends at %d, but was read up to %d: it was cut", p.n, now.Topic, end, p.at)
	}
	p.reader = p.s.log.Read(p.n, p.at)
	return nil
}

func (p *partition) drop() {
	if p.reader != nil {
		p.reader.Close()
		p.reader = nil
	}
}

// note is where a follower was: every winner below Offset is in the store. That stays
// true, so it does not matter whose note is there.
type note struct {
	Version int   `json:"v"`
	Offset  int64 `json:"offset"`
}

func (p *partition) noteKey() string { return fmt.Sprintf("%snotes/%s/%06d", dir, p.s.id.ID, p.n) }

// note writes one from time to time. It may fail: it only saves reading.
func (p *partition) note(ctx context.Context) {
	if p.at-p.noted < noteEvery {
		return
	}
	data, err := json.Marshal(note{1, p.at})
	if err == nil {
		err = p.s.Put(ctx, p.noteKey(), store.BytesBody(data))
	}
	if err != nil {
		p.s.opts.Report("note the place in the claim log", err)
		return
	}
	p.noted = p.at
}

func (p *partition) noteRead(ctx context.Context) (int64, error) {
	data, err := read(ctx, p.s.Store, p.noteKey())
	if store.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil || n.Version != 1 || n.Offset < 0 {
		return 0, fmt.Errorf("%s is no note of this program's (%w): delete it, and the claim log is read from its beginning", p.noteKey(), errors.Join(err, fmt.Errorf("%.100q", data)))
	}
	return n.Offset, nil
}
