package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
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
	turn   chan struct{}
	inHand attempt          // the zero value is none
	given  map[int64]string // folders of offsets that were given up, until they are committed
}

// attempt is the n-th at an offset, whose marks are in a folder.
type attempt struct {
	folder string
	n      int
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
	return next >= a.until && a.inHand.n == 0
}

// begin marks an offset as in hand, and says which attempt at it this is, from 1 on; 0 where
// no care is needed. An offset that is to be given up gets no new mark.
func (a *attempts) begin(ctx context.Context, offset int64) (n int, err error) {
	if a == nil || offset >= a.until {
		return 0, nil
	}
	folder := fmt.Sprintf("%s%020d/", a.prefix, offset)
	for info, err := range a.store.List(ctx, folder, "") {
		if err != nil {
			return 0, fmt.Errorf("looking for attempts at offset %d: %w", offset, err)
		}
		if k, err := strconv.Atoi(info.Key[len(folder):]); err == nil {
			n = max(n, min(k, mostAttempts)) // whoever wrote it
		}
	}
	n++
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	if n >= mostAttempts {
		a.given[offset] = folder
		return n, nil
	}
	a.inHand = attempt{folder, n}
	if err := a.store.Create(ctx, a.inHand.mark(n), fmt.Appendf(nil, "attempt %d\n", n)); err != nil {
		// A mark too few costs an attempt more; a stream that ends costs everybody's work.
		a.log.Warn("marking an attempt", "offset", offset, "attempt", n, "error", err)
	}
	return n, ctx.Err()
}

// mark is the key of one attempt's mark.
func (t attempt) mark(n int) string { return fmt.Sprintf("%s%d", t.folder, n) }

// end removes the marks of the offset in hand, the earlier ones too: the process has
// outlived it, so whoever died with it in hand died of something else.
func (a *attempts) end(ctx context.Context) {
	if a == nil {
		return
	}
	a.turn <- struct{}{}
	defer func() { <-a.turn }()
	a.clear(ctx, a.inHand)
	a.inHand = attempt{}
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
		a.clear(ctx, attempt{folder, mostAttempts - 1})
		delete(a.given, offset)
	}
}

// clear removes the marks of an attempt and of those before it.
func (a *attempts) clear(ctx context.Context, t attempt) {
	for n := t.n; n > 0; n-- {
		a.remove(ctx, t.mark(n))
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
