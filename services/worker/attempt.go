package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/pipeline/ledger"
	"github.com/millrace/millrace/pipeline/store"
)

const (
	// unclean is how many writers in a row must have left nothing behind before the next
	// one is careful.
	unclean = 2
	// mostAttempts is the attempt at which a message is given up.
	mostAttempts = 3
)

// attempts is how a stream is worked on whose writers died one after the other: one offset
// at a time, each marked in the store while it is in hand. A mark outlives the process
// that made it only where that died, so a message that kills is known by its marks. An
// offset that was worked on and waits for its commit is not in hand any more: it is
// innocent of what comes after it.
//
// A nil attempts is for other times, and does nothing.
type attempts struct {
	store  store.Store
	prefix string // of the stream's marks
	until  int64  // where care ends: the window's width from where it began
	log    *slog.Logger

	// turn has a place for whoever works on what follows. It is kept over requests to the
	// store, which may take long: so it is a channel and no mutex.
	turn  chan struct{}
	mark  string           // of the offset in hand; "" for none
	given map[int64]string // folders of offsets that were given up, until they are committed
}

func newAttempts(s store.Store, stream ledger.Stream, from int64, window int, log *slog.Logger) *attempts {
	return &attempts{store: s, prefix: "_attempt/" + stream.Path() + "/", until: from + int64(window), log: log, turn: make(chan struct{}, 1), given: map[int64]string{}}
}

// settled waits until what was taken before the offset next is worked on, while there is
// need for care.
func (a *attempts) settled(ctx context.Context, l *line, next int64) error {
	if a == nil || a.over(next) {
		return nil
	}
	for l.packed.Load() < next {
		select {
		case <-l.moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	a.end(ctx)
	return nil
}

// over reports whether care has ended.
func (a *attempts) over(next int64) bool {
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	return next >= a.until && a.mark == ""
}

// begin marks an offset as in hand, and says which attempt at it this is, from 1 on; 0 where
// no care is needed. An offset that is to be given up gets no new mark.
func (a *attempts) begin(ctx context.Context, offset int64) (n int, err error) {
	if a == nil || offset >= a.until {
		return 0, nil
	}
	folder := fmt.Sprintf("%s%020d/", a.prefix, offset)
	for _, err := range a.store.List(ctx, folder, "") {
		if err != nil {
			return 0, fmt.Errorf("looking for attempts at offset %d: %w", offset, err)
		}
		n++
	}
	n++
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	if n >= mostAttempts {
		a.given[offset] = folder
		return n, nil
	}
	key := fmt.Sprintf("%s%d", folder, n)
	err = a.store.Create(ctx, key, fmt.Appendf(nil, "attempt %d\n", n))
	if err != nil && !errors.Is(err, store.ErrUnknown) { // a mark too few costs an attempt more, no more
		return 0, fmt.Errorf("marking an attempt at offset %d: %w", offset, err)
	}
	a.mark = key
	return n, nil
}

// end removes the mark of the offset in hand: the process has outlived it.
func (a *attempts) end(ctx context.Context) {
	if a == nil {
		return
	}
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	if a.mark != "" {
		a.remove(ctx, a.mark)
		a.mark = ""
	}
}

// committed removes the marks of offsets that were given up, once their end is on record.
func (a *attempts) committed(ctx context.Context, to int64) {
	if a == nil {
		return
	}
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	for offset, folder := range a.given {
		if offset >= to {
			continue
		}
		for n := 1; n < mostAttempts; n++ {
			a.remove(ctx, fmt.Sprintf("%s%d", folder, n))
		}
		delete(a.given, offset)
	}
}

// remove may fail: a mark that stays counts as a death that was none.
func (a *attempts) remove(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := a.store.Delete(ctx, key); err != nil {
		a.log.Warn("removing the mark of an attempt", "key", key, "error", err)
	}
}
