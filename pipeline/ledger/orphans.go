package ledger

import (
	"context"
	"fmt"
	"iter"
	"strings"
)

// Orphan is an object under data/ that no record names. A small file that loaders expect
// beside a shard, under the shard's name and one more ending, belongs to the shard.
type Orphan struct {
	Key   string
	Epoch int64
	// Dead says that no record ever will: the stream has moved on to a later epoch.
	// Only then may it be deleted. (An object of the current epoch may be named by the
	// next record.)
	Dead bool
}

// Orphans gives a stream's unnamed objects. It rests on one rule, and on no clock: an
// object of epoch e is named by records of epoch e only, and none of these can appear
// once the chain holds a fence of a later one. An error is the last pair.
//
// It holds about 40 bytes for each shard of one epoch, and the unnamed objects of the
// current one.
func Orphans(ctx context.Context, s Store, stream Stream) iter.Seq2[Orphan, error] {
	return func(yield func(Orphan, error) bool) {
		if err := orphans(ctx, s, stream, yield); err != nil {
			yield(Orphan{}, fmt.Errorf("find the orphans of stream %s: %w", stream, err))
		}
	}
}

// orphans goes through objects and records side by side: both are in the order of epochs.
// An object of an epoch that records have gone beyond is told at once. The others wait: a
// record may have named one after the end of the chain was read, so the rest of the chain
// is read again before they are given.
func orphans(ctx context.Context, s Store, stream Stream, yield func(Orphan, error) bool) error {
	prefix := dataPrefix + stream.Path() + "/"
	w := newEpochWalk(ctx, s, stream)
	defer w.stop()
	var open []Orphan
	for key, err := range s.Keys(ctx, prefix, "") {
		if err != nil {
			return err
		}
		epoch, ours := epochOf(key, prefix)
		if !ours {
			continue
		}
		beyond, err := w.to(epoch)
		if err != nil {
			return err
		}
		if namedIn(&w.named, key) {
			continue
		}
		o := Orphan{Key: key, Epoch: epoch, Dead: beyond}
		if !beyond {
			open = append(open, o)
		} else if !yield(o, nil) {
			return nil
		}
	}
	if len(open) == 0 {
		return nil
	}
	late, err := namedSince(ctx, s, stream, w.next)
	if err != nil {
		return err
	}
	for _, o := range open {
		if !namedIn(late, o.Key) && !yield(o, nil) {
			return nil
		}
	}
	return nil
}

// epochWalk reads a chain epoch by epoch.
type epochWalk struct {
	pull  func() (Item, error, bool)
	stop  func()
	item  Item  // read, but of an epoch to come, where held
	held  bool  //
	epoch int64 // whose records' objects are in named
	named table
	next  int64 // the number of the first record not read
}

func newEpochWalk(ctx context.Context, s Store, stream Stream) *epochWalk {
	w := &epochWalk{}
	w.pull, w.stop = iter.Pull2(Read(ctx, s, stream, 0))
	return w
}

// to reads the records of an epoch, so that named has what they name; beyond says that
// the chain has gone on to a later one. Epochs are asked for in order.
func (w *epochWalk) to(epoch int64) (beyond bool, err error) {
	for {
		if !w.held {
			item, err, more := w.pull()
			if err != nil || !more {
				if w.epoch < epoch {
					w.named, w.epoch = table{}, epoch
				}
				return false, err
			}
			w.item, w.held, w.next = item, true, item.Record.Seq+1
		}
		r := w.item.Record
		if r.Epoch > epoch {
			if w.epoch < epoch {
				w.named, w.epoch = table{}, epoch
			}
			return true, nil
		}
		if r.Epoch > w.epoch {
			w.named, w.epoch = table{}, r.Epoch
		}
		nameAll(&w.named, r)
		w.held = false
	}
}

func nameAll(t *table, r *Record) {
	for _, shard := range r.Shards {
		t.put(hashID("", shard.Key), r.Seq)
	}
	if r.Table != nil {
		t.put(hashID("", r.Table.Key), r.Seq)
	}
}

// namedSince is what records from one on name.
func namedSince(ctx context.Context, s Store, stream Stream, from int64) (*table, error) {
	t := &table{}
	for item, err := range Read(ctx, s, stream, from) {
		if err != nil {
			return nil, err
		}
		nameAll(t, item.Record)
	}
	return t, nil
}

// epochOf reads the epoch in the name of an object under a stream's prefix; false for what
// is not ours.
func epochOf(key, prefix string) (int64, bool) {
	text, _, _ := strings.Cut(key[len(prefix):], "/")
	return parseNumber(text)
}

// namedIn says that an object is named, or stands beside one that is: under its name and
// one more ending.
func namedIn(t *table, key string) bool {
	if _, named := t.get(hashID("", key)); named {
		return true
	}
	_, named := t.get(hashID("", key[:max(strings.LastIndexByte(key, '.'), 0)]))
	return named
}
